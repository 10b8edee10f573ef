"""The house rules a program can check: sizes, banned calls, layers. One line a broken rule."""

import re
import subprocess
import sys

FUNCTION_LINES = 70
FILE_LINES = 700
BANNED = re.compile(
    r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|system|popen|rand)\s*\("
)
ALLOCATORS = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|strdup|strndup|free)\s*\(")
OPEN_ENDS = re.compile(r"\b(TO_?DO|FIX_?ME|X{3}|HA[C]K)\b")

# Who may include whom: a folder and those it stands on (doc/DESIGN.md, "Layers").
LAYERS = {
    "base": [],
    "proto": ["base"],
    "mux": ["base"],
    "http": ["base"],
    "config": ["base"],
    "net": ["base", "mux", "proto", "http", "config"],
    "gateway": ["base", "http", "config", "net"],
    "tunnel": ["base", "mux", "proto", "http", "config", "net"],
    "testnode": ["base", "http", "net"],
    "observe": ["base", "http", "config", "net", "gateway", "tunnel"],
    "container": ["base", "config", "net", "testnode", "observe"],
    "check": [
        *("base", "mux", "proto", "http", "config", "net", "gateway", "tunnel", "observe"),
        "container",
    ],
    "cli": [
        *("base", "mux", "proto", "http", "config", "net", "gateway", "tunnel", "testnode"),
        *("observe", "container", "check"),
    ],
}
# Cores: no sockets, no clock, no loop.
CORES = ("proto", "mux", "http")
IMPURE = re.compile(r"#include <(uv|sys/socket|time|unistd|openssl/ssl)\.h>")


def files(*patterns):
    out = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, check=True)
    return out.stdout.split()


def long_functions():
    out = subprocess.run(
        ["ctags", "--fields=+ne", "-f", "-", "--kinds-C=f", *files("src/*.c")],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in out.stdout.splitlines():
        found = re.match(r"(\S+)\t(\S+)\t.*line:(\d+).*end:(\d+)", line)
        if found and int(found[4]) - int(found[3]) + 1 > FUNCTION_LINES:
            yield f"{found[2]}:{found[3]}: {found[1]} is longer than {FUNCTION_LINES} lines"


def without_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\])*"', '""', text)


def calls(path, text):
    for number, line in enumerate(without_comments(text).split("\n"), 1):
        for found in BANNED.finditer(line):
            yield f"{path}:{number}: {found[1]}() is not used here"
        for found in ALLOCATORS.finditer(line):
            if path != "src/base/mem.c":
                yield f"{path}:{number}: {found[1]}() belongs into base/mem.c"


def layers(path, text):
    folder = path.split("/")[1]
    if folder not in LAYERS:
        return
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'#include "(\w+)/', line)
        if found and found[1] != folder and found[1] not in LAYERS[folder]:
            yield f"{path}:{number}: {folder} must not include {found[1]}"
        if folder in CORES and IMPURE.match(line):
            yield f"{path}:{number}: a protocol core does no I/O: {line}"


def sources():
    for path in files("src/*.c", "src/*.h"):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if text.count("\n") > FILE_LINES:
            yield f"{path}: longer than {FILE_LINES} lines"
        yield from calls(path, text)
        yield from layers(path, text)


def open_ends():
    for path in files("src/*", "tests/*", "script/*", "*.md"):
        if path in ("tests/docs/check_rules.py", "tests/docs/check_docs.py"):
            continue
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        for number, line in enumerate(text.split("\n"), 1):
            if OPEN_ENDS.search(line):
                yield f"{path}:{number}: left for later: {line.strip()[:60]}"


def main():
    broken = [*long_functions(), *sources(), *open_ends()]
    for line in broken:
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
