#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hold daemon/ARCHITECTURE.md against the code: its table of rooms against check_layering.py and
the link lines of daemon/CMakeLists.txt; every function, file and constant it names must exist."""
import pathlib
import re
import sys

import check_layering

ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|([^|]*)\|$", re.M)
ROOM = re.compile(r"xhrd_room\((\w+)\s([^)]*)\)")
LIBRARIES_OF_PROTO = {"wire", "proto"}


def words(cell: str) -> set:
    return {word.strip("` ,") for word in cell.replace("–", "").split()}


def rooms_of_document(text: str):
    """room -> (what it may include, outside headers)."""
    return {room: (words(may), words(outside)) for room, may, outside in ROW.findall(text)}


def rooms_of_layering():
    found = {}
    for room, may in check_layering.MAY_USE.items():
        outside = {prefix for prefix, rooms in check_layering.OUTSIDE.items() if room in rooms}
        found[room] = (set(may) | check_layering.ALSO.get(room, set()), outside)
    return found


def compare_tables(text: str):
    told, held = rooms_of_document(text), rooms_of_layering()
    for room in sorted(told.keys() | held.keys()):
        if told.get(room) != held.get(room):
            yield f"room {room}: the page says {told.get(room)}, check_layering.py {held.get(room)}"


def compare_links(cmake: str):
    """A room may link less than it may see, never more. What it sees through one header of
    another room (ALSO) comes with that room's users."""
    for room, body in ROOM.findall(cmake):
        if room not in check_layering.MAY_USE:
            if "${" not in body:
                yield f"daemon/CMakeLists.txt: room {room} has no row in check_layering.py"
            continue
        linked = set(re.findall(r"\bxhrd_(\w+)", body.split("USES")[-1])) if "USES" in body else set()
        more = linked - LIBRARIES_OF_PROTO - check_layering.MAY_USE[room] - {"flags"}
        if more:
            yield f"daemon/CMakeLists.txt: room {room} links {sorted(more)}, which it may not see"


def compare_folders(daemon: pathlib.Path):
    folders = {path.parent.name for path in daemon.glob("*/*.c")}
    for room in folders ^ set(check_layering.MAY_USE):
        yield f"{room}: a folder without a row, or a row without a folder"


def names_that_are_gone(text: str, root: pathlib.Path):
    code = "\n".join(path.read_text() for folder in ("daemon", "client-lib", "proto")
                     for path in sorted((root / folder).rglob("*.[ch]")))
    for name in sorted(set(re.findall(r"`(\w+)\(\)`", text))):
        if not re.search(rf"\b{name}\(", code):
            yield f"{name}(): no such function"
    for name in sorted(set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", text))):
        if not re.search(rf"\b{name}\b", code):
            yield f"{name}: no such constant"
    for name in sorted(set(re.findall(r"`(?:struct|enum) (\w+)`", text))):
        if not re.search(rf"\b(struct|enum) {name}\b", code):
            yield f"{name}: no such type"
    prose = re.sub(r"^\|.*$", "", text, flags=re.M)  # tables also name system headers and plans
    for name in sorted(set(re.findall(r"`([a-z_0-9-]+(?:/[a-z_0-9-]+)+\.(?:[ch]|py|md))`", prose))):
        if not any((root / place / name).exists() for place in ("", "daemon")):
            yield f"{name}: no such file"


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    daemon = root / "daemon"
    text = (daemon / "ARCHITECTURE.md").read_text()
    found = [*compare_tables(text), *compare_links((daemon / "CMakeLists.txt").read_text()),
             *compare_folders(daemon), *names_that_are_gone(text, root)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
