"""script/bench all: script/bench tunnel, then script/bench gateway."""

import argparse
import pathlib
import sys

import gateway
import tunnel
from runner import arguments, run_bench

BENCHES = {"tunnel": tunnel, "gateway": gateway}


def named(file, name):
    """numbers.json → numbers-tunnel.json"""
    if not file:
        return file
    path = pathlib.Path(file)
    return path.with_name(f"{path.stem}-{name}{path.suffix}")


def main():
    args = arguments("all", __doc__)
    worst = 0
    for name, module in BENCHES.items():
        own = argparse.Namespace(**vars(args))
        own.groups = list(module.NAMES)
        own.json, own.markdown = named(args.json, name), named(args.markdown, name)
        status = run_bench(own, module.bench)
        if status > 1:
            return status
        worst = max(worst, status)
    return worst


if __name__ == "__main__":
    sys.exit(main())
