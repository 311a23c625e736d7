#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail on what CONTRIBUTING.md bans in C: calls, words, and #ifdef inside a function."""
import pathlib
import re
import sys

# Why each is banned is in CONTRIBUTING.md, "Banned".
CALLS = (
    "strcpy strcat sprintf vsprintf strncpy strncat strtok strtok_r atoi atol atoll strtol strtoul "
    "strtoll strtoull gmtime localtime gets alloca isalpha isdigit isspace isalnum tolower toupper"
).split()
DAEMON_CALLS = ["assert", "malloc", "calloc", "realloc", "strdup", "strndup"]
# The one module that is the allocator.
ALLOCATOR = "daemon/base/mem.c"
WORDS = ("TODO", "FIXME", "XXX")
TREES = ("daemon", "client-lib", "proto", "tests", "bench")
SLEEPS = re.compile(r"\b(?:usleep|nanosleep|sleep)\s*\(")


def blank(match):
    """What is left out keeps its newlines, so that line numbers stay true."""
    return re.sub(r"[^\n]", " ", match.group(0))


def code_only(text: str) -> str:
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def calls_in(code: str, names):
    for match in re.finditer(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(", code):
        yield code.count("\n", 0, match.start()) + 1, match.group(1)


def conditionals_in_functions(code: str):
    """Preprocessor conditionals where braces of a function body are open."""
    depth = 0
    for number, line in enumerate(code.split("\n"), 1):
        if re.match(r"\s*#\s*(if|ifdef|ifndef|elif|else)\b", line):
            if depth > 0:
                yield number
            continue
        if line.lstrip().startswith(('extern "C"', "extern  ")):
            continue
        depth = max(0, depth + line.count("{") - line.count("}"))


def complaints_in(root: pathlib.Path, path: pathlib.Path):
    name = path.relative_to(root).as_posix()
    text = path.read_text(encoding="utf-8")
    code = code_only(text)
    banned = list(CALLS)
    if name.startswith("daemon/") and name != ALLOCATOR:
        banned += DAEMON_CALLS
    for line, call in calls_in(code, banned):
        yield f"{name}:{line}: {call}() is banned"
    if name.startswith("tests/"):
        for match in SLEEPS.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: a test waits for a condition, it does not sleep"
    for number, line in enumerate(text.split("\n"), 1):
        for word in WORDS:
            if re.search(rf"\b{word}\b", line):
                yield f"{name}:{number}: {word}: finish it, or file an issue"
    if path.suffix == ".c":
        for line in conditionals_in_functions(code):
            yield f"{name}:{line}: preprocessor conditional inside a function"


def sleeps_in_python(root: pathlib.Path):
    """Waiting has one place: waiting.py."""
    for path in sorted((root / "tests/integration").glob("*.py")):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if path.name != "waiting.py" and re.search(r"\bsleep\s*\(", line):
                yield f"{path.relative_to(root)}:{number}: wait_until() a condition"


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    files = [p for tree in TREES for p in sorted((root / tree).rglob("*.[ch]"))
             if "/build/" not in p.as_posix() and "/corpus/" not in p.as_posix()]
    found = [c for path in files for c in complaints_in(root, path)]
    found += sleeps_in_python(root)
    print("\n".join(found) or f"{len(files)} files clean")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
