#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_exports.py NAME CLIENT_LIB LIBRARY [--any-needs]: headers, map, manual and library of NAME
name the same things; libxhr needs libc and libprotobuf-c alone, libxhr-xml libxml2 and libxhr
(--any-needs: a sanitizer's build needs more)."""
import pathlib
import re
import subprocess
import sys

PARTS = {  # folder of map, folder of manual, headers, what it needs, version of its symbols
    "libxhr": (".", "man", ("include/xhr/xhr.h", "include/xhr/cookies.h", "include/xhr/network.h",
                         "include/xhr/signing.h"),
               {"libc.so.6", "libprotobuf-c.so.1"}, "LIBXHR_0"),
    "libxhr-xml": ("xml", "xml", ("xml/include/xhr/xml.h",),
                   {"libc.so.6", "libxhr.so.0", "libxml2.so.2"}, "LIBXHR_XML_0"),
}


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def exported(library, version):
    for line in run("nm", "-D", "--defined-only", library).splitlines():
        name = line.split()[-1].split("@")[0]
        if name != version:
            yield name


def compare(what, have, want):
    for name in sorted(want - have):
        yield f"{what} lacks {name}"
    for name in sorted(have - want):
        yield f"{what} has {name}, the header has not"


def complaints(part, root, library, any_needs):
    at, manual_at, headers, needs, version = PARTS[part]
    header = re.sub(r"/\*.*?\*/", "", "".join((root / name).read_text() for name in headers), flags=re.S)
    functions = set(re.findall(r"XHR_API[^;]*?\b(xhr_\w+)\(", header))
    constants = set(re.findall(r"\bXHR_\w+\b", header))
    manual = (root / manual_at / f"{part}.3.scd").read_text().replace("\\_", "_")
    yield from compare(f"{part}.map", set(re.findall(r"\b(xhr_\w+);", (root / at / f"{part}.map").read_text())),
                       functions)
    yield from compare(f"{part}(3)", set(re.findall(r"\b(xhr_\w+)\*?\(", manual)), functions)
    for name in sorted(constants - set(re.findall(r"\bXHR_\w+\b", manual))):
        yield f"{part}(3) lacks {name}"
    yield from compare(f"{part}.so", set(exported(library, version)), functions)
    dynamic = run("readelf", "-d", library)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    if not any_needs and not needed <= needs:
        yield f"{part}.so needs {sorted(needed - needs)}"
    if f"[{part}.so.0]" not in dynamic:
        yield f"{part}.so: another soname than {part}.so.0"


def main() -> int:
    found = list(complaints(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], "--any-needs" in sys.argv))
    print("\n".join(found) or "header, map, manual and library agree")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
