#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""xhr.h, libxhr.map, libxhr(3) and libxhr.so name the same things; the library needs libc and
libprotobuf-c alone (--any-needs: a sanitizer's build needs more)."""
import pathlib
import re
import subprocess
import sys

NEEDS = {"libc.so.6", "libprotobuf-c.so.1"}


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def exported(library):
    for line in run("nm", "-D", "--defined-only", library).splitlines():
        name = line.split()[-1].split("@")[0]
        if name != "LIBXHR_0":
            yield name


def compare(what, have, want):
    for name in sorted(want - have):
        yield f"{what} lacks {name}"
    for name in sorted(have - want):
        yield f"{what} has {name}, xhr.h has not"


def complaints(root, library, any_needs):
    header = re.sub(r"/\*.*?\*/", "", "".join((root / "include/xhr" / name).read_text() for name in ("xhr.h", "cookies.h", "network.h")), flags=re.S)
    functions = set(re.findall(r"XHR_API[^;]*?\b(xhr_\w+)\(", header))
    constants = set(re.findall(r"\bXHR_\w+\b", header))
    manual = (root / "man/libxhr.3.scd").read_text().replace("\\_", "_")
    yield from compare("libxhr.map", set(re.findall(r"\b(xhr_\w+);", (root / "libxhr.map").read_text())),
                       functions)
    yield from compare("libxhr(3)", set(re.findall(r"\b(xhr_\w+)\*?\(", manual)), functions)
    for name in sorted(constants - set(re.findall(r"\bXHR_\w+\b", manual))):
        yield f"libxhr(3) lacks {name}"
    yield from compare("libxhr.so", set(exported(library)), functions)
    dynamic = run("readelf", "-d", library)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    if not any_needs and not needed <= NEEDS:
        yield f"libxhr.so needs {sorted(needed - NEEDS)}"
    if "[libxhr.so.0]" not in dynamic:
        yield "libxhr.so: another soname than libxhr.so.0"


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1]), sys.argv[2], "--any-needs" in sys.argv))
    print("\n".join(found) or "header, map, manual and library agree")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
