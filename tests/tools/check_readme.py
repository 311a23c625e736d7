#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hold README.md and client-lib/README.md against the tree: their first program in C is
client-lib/examples/first.c and compiles, files they name are there, commands and flags exist."""
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def c_blocks(text: str):
    return [body for language, body in BLOCK.findall(text) if language == "c"]


def compile_block(body: str, compiler: str, include: str, library: str):
    """Return: what the compiler has to say; empty when it is content."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "block.c")
        source.write_text(body)
        run = subprocess.run([compiler, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror",
                              f"-I{include}", "-o", f"{folder}/block", source, library],
                             capture_output=True, text=True)
        return run.stderr if run.returncode else ""


def programs_in_c(root: pathlib.Path, compile_with):
    _, example = (root / "client-lib/examples/first.c").read_text().split("\n", 1)
    for name in ("README.md", "client-lib/README.md"):
        blocks = c_blocks((root / name).read_text())
        if not blocks or blocks[0] != example:
            yield f"{name}: its first program is not the one of client-lib/examples/first.c"
        for body in blocks:
            said = compile_block(body, *compile_with)
            if said:
                yield f"{name}: does not compile:\n{said}"


def code_of(text: str):
    """Lines of code and inline code."""
    for _, body in BLOCK.findall(text):
        yield from body.splitlines()
    prose = BLOCK.sub("", text)
    yield from re.findall(r"^    (\S.*)$", prose, re.M)
    yield from re.findall(r"`([^`\n]+)`", prose)


def flags_that_are_none(text: str, programs):
    for code in code_of(text):
        command = re.match(r"(?:\$ )?(?:build/\w+/bin/)?(xhr|xhrctl|xhrd) (.*)", code)
        if not command:
            continue
        help_text = programs[command[1]]
        for flag in re.findall(r"(?<!\S)--[a-z0-9-]+", command[2]):
            if not re.search(rf"{flag}\b", help_text):
                yield f"README.md: {command[1]} has no {flag}: {code}"


def flags_that_are_there_after_all(text: str, help_text: str):
    section = text.split("## What it does not do\n")[1].split("\n## ")[0]
    for flag in re.findall(r"(?<=`)--?[\w.-]+", section):
        if re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w.-])", help_text):
            yield f"README.md: says that there is no {flag}, but xhr --help lists it"


def dev_commands_that_are_none(text: str, dev: str):
    for word in sorted({word for code in code_of(text) for word in re.findall(r"\./dev (\w+)", code)}):
        if not re.search(rf"^cmd_{word}\(\)", dev, re.M):
            yield f"README.md: ./dev has no {word}"


def files_that_are_gone(text: str, root: pathlib.Path):
    for name in sorted(set(re.findall(r"`((?:\w[\w.-]*/)*[\w.-]+\.(?:md|c|py|h))`", text))):
        if not any((root / place / name).exists() for place in ("", "client-lib/examples")):
            yield f"README.md: no file {name}"


def help_of(program: str) -> str:
    return subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    compile_with = sys.argv[2:5]  # compiler, folder of headers, library
    programs = {pathlib.Path(path).name: help_of(path) for path in sys.argv[5:]}
    text = (root / "README.md").read_text()
    found = [*programs_in_c(root, compile_with), *flags_that_are_none(text, programs),
             *flags_that_are_there_after_all(text, programs["xhr"]),
             *dev_commands_that_are_none(text, (root / "dev").read_text()),
             *files_that_are_gone(text, root)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
