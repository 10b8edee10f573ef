"""What the documents claim, held against the tree and the binary.

    /usr/bin/python3 tests/docs/check_docs.py BINARY

One line a check: "ok NAME", "FAIL NAME reason" or "skipped NAME (reason)". Fails when one does.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANUALS = ["man/mlgate.1", "man/mlgate-server.8"]
FOLDERS = ("src", "doc", "man", "tests", "script", "bench", "deploy", ".ci")
# Put together here, so that this file does not contain what it looks for.
FORBIDDEN = [rb"(?<![\w.])/wo" + rb"rk\b", rb"\bTO" + rb"DO\b", rb"\bFIX" + rb"ME\b"]
# It lists the same words for the same reason.
EXEMPT = {"tests/docs/check_rules.py"}
# Flags of the server that are not settings, and so are not in its table.
PLAIN_FLAGS = {"config", "help"}
# Values of enums without a name in src/http and src/gateway that are no limits.
LABELS = {"SIZE", "GO_ON", "GATEWAY_ROLES", "ROUTE_CLASSES"}
UNITS = {"ms": 1e-3, "s": 1, "B": 1, "KiB": 1024, "MiB": 1024**2}


def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


def tracked():
    """All files that belong to the tree: git's, or everything but build outputs without git."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [p for p in listed.stdout.split("\n") if p and (ROOT / p).is_file()]
    outside = (".git", "build", "__pycache__")
    names = [p.relative_to(ROOT) for p in ROOT.rglob("*") if p.is_file()]
    return [str(p) for p in names if not set(p.parts) & set(outside)]


def ask(binary, *words):
    return subprocess.run([binary, *words], capture_output=True, text=True, check=True).stdout


# ---- paths ---------------------------------------------------------------------------------------


def fences_out(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def quoted(text):
    """What stands in backticks outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", fences_out(text))


def named_paths(text):
    for word in quoted(text):
        word = word.split()[0].rstrip("/")
        if word.split("/")[0] in FOLDERS and "/" in word and not re.search(r"[<>*{}…]", word):
            yield word
        elif re.fullmatch(r"[A-Z]+\.md|LICENSE|meson\.build", word):
            yield word
    yield from re.findall(r"\]\(((?!https?:|#)[^)#]+)", text)


def check_paths(document):
    """From the root, or as links of the document's own folder are."""
    beside = (ROOT / document).parent
    for path in named_paths(text_of(document)):
        if not (ROOT / path).exists() and not (beside / path).exists():
            yield f"{document} names {path}, which is not there"


def check_tour_files():
    """A file named beside its folder ("`ini.h`" in the paragraph of `src/config/`) is in it."""
    part = text_of("TOUR.md").split("## Folder by folder")[1].split("\n## ")[0]
    for paragraph in re.split(r"\n(?=\*\*`src/)", part):
        folder = re.search(r"\*\*`(src/\w+)/`", paragraph)
        for word in quoted(paragraph) if folder else []:
            if re.fullmatch(r"\w+\.[ch]", word) and not (ROOT / folder[1] / word).exists():
                yield f"TOUR.md names {word}, which is not in {folder[1]}"


def check_tour_whole():
    tour = text_of("TOUR.md")
    for path in tracked():
        parts = path.split("/")
        if parts[0] != "src" or path in tour:
            continue
        if len(parts) < 3 or f"{parts[0]}/{parts[1]}/" not in tour:
            yield f"TOUR.md says nothing about {path}"


def check_names(document):
    """Functions, structures, members and keys that the text names are in the source."""
    sources = "".join(text_of(p) for p in tracked() if p.startswith("src/"))
    for words in quoted(text_of(document)):
        for name in re.findall(r"(?<![\w./-])[a-z]+(?:_[a-z0-9]+)+(?![\w./-])", words):
            if not re.search(rf"\b{name}\b", sources):
                yield f"{document} names {name}, which is not in src"


# ---- variables, flags, verbs ---------------------------------------------------------------------


def variables(binary):
    return re.findall(r"^([A-Z][A-Z0-9_]+)(?:\s|$)", ask(binary, "help", "env"), re.M)


def check_variables(binary):
    known = variables(binary)
    if not known:
        yield "`help env` names no variable"
    documents = text_of("README.md") + "".join(text_of(m) for m in MANUALS)
    for name in known:
        if not re.search(rf"\b{name}\b", documents):
            yield f"{name} is in `help env` and in no document"


def rows_of_variables(text):
    """(name, cells behind it) of the tables of variables."""
    for name, cells in re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|(.*)\|$", text, re.M):
        yield name, [cell.strip().strip("`") for cell in cells.split("|")]


def check_readme_variables(binary):
    """README names every variable, and the defaults in its tables are the real ones."""
    said = ask(binary, "help", "env")
    defaults = dict(re.findall(r"^([A-Z][A-Z0-9_]+)  \(default (\S+)\)$", said, re.M))
    known = set(variables(binary))
    readme = text_of("README.md")
    client = dict(rows_of_variables(section("README.md", "## The environment of the client")))
    container = dict(rows_of_variables(section("README.md", "## The container")))
    if not client or not container:
        yield "README.md has no tables of variables"
    for name, cells in [*client.items(), *container.items()]:
        default = cells[1] if name in client else cells[0]
        if name not in known:
            yield f"README.md has a row for {name}, which is no variable"
        elif default != defaults.get(name, ""):
            yield f"{name} has the default {defaults.get(name)}, not {default} as README.md says"
    for name in sorted(known):
        if f"`{name}`" not in readme:
            yield f"{name} is not in README.md"


def check_flags(binary, verb, heading):
    """Of a verb of the first manual whose flags are a table."""
    said = ask(binary, verb, "--help")
    if said != ask(binary, "help", verb):
        yield f"`mlgate {verb} --help` and `mlgate help {verb}` differ"
    manual = text_of(MANUALS[0]).split(f".Ss {heading}")[1].split("\n.Ss ")[0]
    flags = set(re.findall(r"^--([a-z-]+)", said, re.M))
    in_manual = set(re.findall(r"\bFl -([a-z][a-z-]+)", manual)) - PLAIN_FLAGS
    for flag in sorted(flags ^ in_manual):
        yield f"--{flag} is only in one of `mlgate {verb} --help` and {MANUALS[0]}"
    if not flags:
        yield f"`mlgate {verb} --help` names no flag"


def check_ids(binary):
    """The ids of `mlgate check` are in the manual, each with what it is about."""
    said = ask(binary, "check", "--help").split("The ids of the findings:")[1]
    real = dict(re.findall(r"^  (\S+) +(.+)$", said, re.M))
    manual = text_of(MANUALS[0]).split(".Ss The check")[1].split("\n.Ss ")[0]
    told = dict(re.findall(r"^\.It Li (\S+)\n(.+)\.$", manual, re.M))
    if not real:
        yield "`mlgate check --help` names no id"
    for name in sorted(real.keys() ^ told.keys()):
        yield f"the id {name} is only in one of `mlgate check --help` and {MANUALS[0]}"
    for name in sorted(real.keys() & told.keys()):
        if real[name].lower() != told[name].lower():
            yield f"{MANUALS[0]} says something else about {name} than `mlgate check --help`"


def check_server_flags(binary):
    said = ask(binary, "help", "server")
    manual = text_of(MANUALS[1])
    flags = set(re.findall(r"^--([a-z-]+)", said, re.M))
    in_manual = set(re.findall(r"\bFl -([a-z][a-z-]+)", manual))
    for flag in sorted(flags - in_manual):
        yield f"--{flag} is not in {MANUALS[1]}"
    for flag in sorted(in_manual - flags - PLAIN_FLAGS):
        yield f"--{flag} is in {MANUALS[1]} and not in `help server`"
    for name in re.findall(r"Variable: ([A-Z_]+)\.", said):
        if name not in manual:
            yield f"{name} is not in {MANUALS[1]}"
    if not flags:
        yield "`help server` names no flag"


def check_verbs(binary):
    """The commands that README and runbook show exist."""
    verbs = set(re.findall(r"^  (\w+)", ask(binary, "help"), re.M))
    for document in ("README.md", "doc/OPERATING.md"):
        blocks = re.findall(r"^```.*?^```", text_of(document), re.S | re.M)
        shown = re.sub(r"^ {5}.*$", "", "\n".join(blocks), flags=re.M)  # what a command says
        for word in re.findall(r"(?<![\w/.-])(?:build/)?mlgate ([a-z]+)", shown):
            if word not in verbs:
                yield f"{document} shows `mlgate {word}`, which is no verb"
    for verb in sorted(verbs):
        if not re.search(rf"^\.(It|Ss|Nm).*\b{verb}\b", text_of(MANUALS[0]), re.M):
            yield f"{MANUALS[0]} does not describe {verb}"


# ---- texts and numbers ---------------------------------------------------------------------------


def section(document, heading):
    text = text_of(document)
    level = heading.split()[0]
    start = re.search(rf"^{re.escape(heading)}$", text, re.M)
    if not start:
        return ""
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def string_literals():
    """All literals of the sources in one text, those that the compiler joins joined."""
    found = []
    for path in tracked():
        if path.startswith("src/") and path.endswith((".c", ".h")):
            joined = re.sub(r'"\s*\n\s*"', "", text_of(path))
            found += re.findall(r'"((?:\\.|[^"\\\n])*)"', joined)
    return "\n".join(found).replace('\\"', '"')


def check_texts(document, heading):
    """Every text in the first column of the section's tables is in the sources; … stands for what
    differs from case to case."""
    rows = re.findall(r"^\| `([^`]+)` \|", section(document, heading), re.M)
    literals = string_literals()
    if not rows:
        yield f'{document} has no table of texts under "{heading}"'
    for row in rows:
        pieces = [piece.strip(" :;,.()[]") for piece in row.split("…")]
        missing = [piece for piece in pieces if len(piece) > 3 and piece not in literals]
        if missing:
            yield f'{document} quotes "{row}", but no source has "{missing[0]}"'


def gateway_errors():
    """(code, status) of every answer that the gateway makes itself."""
    for path in tracked():
        if re.match(r"src/gateway/\w+\.c$", path):
            text = text_of(path)
            for status, code in re.findall(r"\.status = (\d+),[^{}]*?\.code = ([^,]+),", text):
                for word in re.findall(r'"(\w+)"', code):  # one, or a choice of two
                    yield status, word
            yield from re.findall(r'case (\d+):\s+return "(\w+)"', text)


def check_error_codes():
    """The table of error codes has each code that there is, with its status, and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", section("README.md", "### Errors"), re.M)
    said = {(status, code) for code, status in rows}
    real = set(gateway_errors())
    if not real:
        yield "no error code found in src/gateway"
    for status, code in sorted(real - said):
        yield f"{status} {code} is not in README.md"
    for status, code in sorted(said - real):
        yield f"{status} {code} is in README.md and not in src/gateway"


def check_all_constants():
    """Every limit of http and gateway (a value of an enum without a name) is in a table."""
    rows = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", text_of("doc/DESIGN.md"), re.M))
    for path in tracked():
        if not re.match(r"src/(http|gateway)/\w+\.[ch]$", path):
            continue
        text = re.sub(r"/\*.*?\*/", "", text_of(path), flags=re.S)
        for body in re.findall(r"^enum \{(.*?)\}", text, re.S | re.M):
            for name in re.findall(r"\b([A-Z][A-Z0-9_]+)\s*=", body):
                if name not in rows | LABELS:
                    yield f"{name} of {path} is in no table of doc/DESIGN.md"


def number_of(name, path):
    """A constant that another one is made of, from the same folder."""
    for beside in tracked():
        if Path(beside).parent == Path(path).parent:
            found = source_value(beside, name)
            if found is not None:
                return str(found)
    return name


def source_value(path, name):
    """The constant's number as the file defines it, in the unit that its name says."""
    source = re.sub(r"/\*.*?\*/", "", text_of(path), flags=re.S)
    found = re.search(rf"\b{name}\s*=\s*([^,;}}]+)", source)
    if not found:
        return None
    words = re.sub(r"\((?:size_t|uint64_t)\)|(?<=\d)(?:ULL|LL|UL|U|L)\b", "", found[1]).strip()
    words = re.sub(r"\b[A-Z][A-Z0-9_]+\b", lambda m: number_of(m[0], path), words)
    if not re.fullmatch(r"[\d\s()*+<-]+", words):
        return None
    number = eval(words, {"__builtins__": {}})  # digits and operators only, see above
    for suffix, unit in (("_US", 1e-6), ("_MS", 1e-3)):
        if name.endswith(suffix):
            return number * unit
    return number


def written_value(words):
    number, _, unit = words.partition(" ")
    return float(number.replace(",", "")) * UNITS.get(unit, 1)


def check_constants():
    rows = re.findall(
        r"^\| `([A-Z0-9_]+)` \| ([\d,.]+(?: \w+)?) \| `([\w./]+)` \|", text_of("doc/DESIGN.md"), re.M
    )
    if len(rows) < 20:
        yield "doc/DESIGN.md has no tables of constants"
    for name, said, path in rows:
        path = f"src/{path}"
        real = source_value(path, name) if (ROOT / path).exists() else None
        if real is None:
            yield f"doc/DESIGN.md names {name} in {path}, which does not define it as a number"
        elif abs(real - written_value(said)) > 1e-9 * max(1, real):
            yield f"{name} is {said} in doc/DESIGN.md and {real:g} in {path}"


# ---- the rest ------------------------------------------------------------------------------------


def check_words():
    for path in set(tracked()) - EXEMPT:
        data = (ROOT / path).read_bytes()
        for pattern in FORBIDDEN:
            for found in re.finditer(pattern, data):
                line = data[: found.start()].count(b"\n") + 1
                yield f"{path}:{line} contains {found[0].decode()}"


def check_manual(path):
    if shutil.which("mandoc"):
        command = ["mandoc", "-T", "lint", "-W", "warning", path]
    else:
        command = ["groff", "-mandoc", "-ww", "-z", path]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    for line in (said.stdout + said.stderr).strip().split("\n"):
        if line:
            yield line


def checks(binary):
    yield "paths of TOUR.md", lambda: [*check_paths("TOUR.md"), *check_tour_files()]
    yield "paths of README.md", lambda: check_paths("README.md")
    for document in ("doc/DESIGN.md", "doc/PROTOCOL.md", "doc/OPERATING.md", "PRINCIPLES.md"):
        yield f"paths of {document}", lambda document=document: check_paths(document)
    yield "TOUR.md covers the source", check_tour_whole
    for document in ("TOUR.md", "doc/DESIGN.md", "doc/PROTOCOL.md"):
        yield f"names in {document}", lambda document=document: check_names(document)
    yield "variables", lambda: check_variables(binary)
    yield "variables of README.md", lambda: check_readme_variables(binary)
    yield "gateway flags", lambda: check_flags(binary, "gateway", "The gateway")
    yield "register flags", lambda: check_flags(binary, "register", "The registration")
    yield "ids of check", lambda: check_ids(binary)
    yield "server flags", lambda: check_server_flags(binary)
    yield "verbs", lambda: check_verbs(binary)
    yield "log lines of README.md", lambda: check_texts("README.md", "## Troubleshooting")
    yield "lines of doc/OPERATING.md", lambda: check_texts("doc/OPERATING.md", "## More lines")
    yield "texts of doc/PROTOCOL.md", lambda: check_texts("doc/PROTOCOL.md", "## Refusals")
    yield "error codes of README.md", check_error_codes
    yield "constants of doc/DESIGN.md", check_constants
    yield "all constants of http and gateway", check_all_constants
    yield "forbidden words", check_words
    for manual in MANUALS:
        yield manual, lambda manual=manual: check_manual(manual)


def main():
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    failed = 0
    for name, check in checks(sys.argv[1]):
        if name in MANUALS and not (shutil.which("mandoc") or shutil.which("groff")):
            print(f"skipped {name} (neither mandoc nor groff is here)")
            continue
        found = list(check())
        failed += bool(found)
        if found:
            more = f" (and {len(found) - 8} more)" if len(found) > 8 else ""
            print(f"FAIL {name} " + "; ".join(found[:8]) + more)
        else:
            print(f"ok {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
