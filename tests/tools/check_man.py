#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_man.py PAGE_DIR [PROGRAM…]: every manual page renders without a warning, and the flags
that a program's --help shows are those its page describes."""
import pathlib
import re
import subprocess
import sys


def pages(root: pathlib.Path):
    return sorted(root.glob("*.[1-8]"))


def render(page: pathlib.Path):
    """Return: (text, complaints)."""
    done = subprocess.run(["man", "--warnings=w", "-E", "UTF-8", "-l", str(page)],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "200",
                               "MANROFFOPT": "-c", "MAN_KEEP_FORMATTING": "", "PAGER": "cat"})
    return re.sub(r".\x08", "", done.stdout), done.stderr.strip()


def flags_in(text: str):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9](?![-\w])", text))


def complaints(root: pathlib.Path, programs):
    texts = {}
    for page in pages(root):
        texts[page.name], warned = render(page)
        if warned:
            yield f"{page.name}: {warned}"
        if not texts[page.name].strip():
            yield f"{page.name}: renders to nothing"
    for program in programs:
        page = next((name for name in texts if name.rpartition(".")[0] == program.name), None)
        if not page:
            yield f"{program.name}: no manual page"
            continue
        helped = flags_in(subprocess.run([program, "--help"], capture_output=True, text=True,
                                         stdin=subprocess.DEVNULL, check=True).stdout)
        described = flags_in(texts[page])
        for flag in sorted(helped - described):
            yield f"{program.name}: {flag} is in --help and not in {page}"
        for flag in sorted(described - helped - foreign(program, texts[page])):
            yield f"{program.name}: {flag} is in {page} and not in --help"


def foreign(program, text):
    """Flags of other programs, shown in examples: lines that begin with another program's name."""
    lines = [line for line in text.split("\n")
             if re.match(r"\s*(systemctl|curl|xhrd|xhr|xhrctl|man|journalctl) ", line)
             and not re.match(rf"\s*{program.name} ", line)]
    return flags_in("\n".join(lines))


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    if not pages(root):
        sys.exit(f"no page in {root}: is scdoc installed?")
    found = list(complaints(root, [pathlib.Path(p) for p in sys.argv[2:]]))
    print("\n".join(found) or f"{len(pages(root))} pages agree")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
