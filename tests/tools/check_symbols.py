#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_symbols.py SOURCE_DIR LIBRARY: what xhr.h declares, libxhr.map exports and libxhr.so holds
is one list; the public headers compile alone as strict C99 and as C++."""
import pathlib
import re
import subprocess
import sys
import tempfile


def declared(text: str):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return set(re.findall(r"XHR_API[^;]*?\b(xhr_\w+)\s*\(", text))


def mapped(text: str):
    return set(re.findall(r"^\s+(xhr_\w+);", text, re.M))


def exported(library: str):
    out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                         check=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.split("\n") if line.split()[1:2] == ["T"]}


def compile_alone(include: pathlib.Path, header: str):
    """What either compiler has against the header by itself."""
    with tempfile.TemporaryDirectory() as scratch:
        for compiler, suffix in ((["gcc", "-std=c99"], "c"), (["g++", "-std=c++11"], "cc")):
            source = pathlib.Path(scratch, f"alone.{suffix}")
            source.write_text(f"#include <{header}>\nint main(void) {{ return 0; }}\n"
                              .replace("void", "" if suffix == "cc" else "void"))
            done = subprocess.run([*compiler, "-D_POSIX_C_SOURCE=200809L", "-pedantic", "-Wall",
                                   "-Wextra", "-Werror", "-I", str(include), "-fsyntax-only",
                                   str(source)], capture_output=True, text=True)
            if done.returncode:
                yield f"{header} alone with {' '.join(compiler)}:\n{done.stderr}"


def complaints(root: pathlib.Path, library: str):
    include = root / "client-lib/include"
    sources = {"xhr.h": declared("".join((include / "xhr" / name).read_text()
                                          for name in ("xhr.h", "cookies.h", "network.h", "signing.h"))),
               "libxhr.map": mapped((root / "client-lib/libxhr.map").read_text()),
               "libxhr.so": exported(library)}
    every = set.union(*sources.values())
    for name, symbols in sources.items():
        for symbol in sorted(every - symbols):
            if not re.match(r"__(asan|ubsan|tsan|odr)", symbol):
                yield f"{symbol} is not in {name}"
    manual = next((root / "client-lib/man").glob("libxhr.3*"), None)
    if manual:
        text = manual.read_text().replace("\\_", "_")
        for symbol in sorted(sources["xhr.h"]):
            if not re.search(rf"\b{symbol}\b", text):
                yield f"{symbol} is not in {manual.name}"
    for header in sorted(include.rglob("*.h")):
        yield from compile_alone(include, header.relative_to(include).as_posix())


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1]), sys.argv[2]))
    print("\n".join(found) or "symbols agree")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
