#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail on a source file that does not say its licence in its first lines."""
import pathlib
import subprocess
import sys

SUFFIXES = {".c", ".h", ".py", ".sh", ".proto", ".map", ".service", ".socket", ".cmake", ".in"}
NAMES = {"CMakeLists.txt", "dev", ".clang-format", ".clang-tidy", "run"}
# Files that others wrote, and bytes that must stay as they are.
LEAVE = ("tests/data/", "tests/fuzz/corpus/")
MARK = "SPDX-License-Identifier: MIT"


def tracked(root: pathlib.Path):
    out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                         check=True, capture_output=True, text=True).stdout
    return [name for name in out.split("\0") if name and not name.startswith(LEAVE)]


def wants_mark(name: str) -> bool:
    path = pathlib.PurePosixPath(name)
    return path.suffix in SUFFIXES or path.name in NAMES


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    names = [n for n in tracked(root) if wants_mark(n) and (root / n).is_file()]
    found = [f"{n}: no '{MARK}' in its first three lines" for n in names
             if MARK not in "\n".join((root / n).read_text(errors="replace").split("\n")[:3])]
    print("\n".join(found) or f"{len(names)} files marked")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
