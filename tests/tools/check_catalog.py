#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_catalog.py SOURCE_DIR: the ids of daemon/base/message_id.h and of systemd/xhrd.catalog
are the same, each is used by the daemon, and the journal's own tool takes the catalog."""
import pathlib
import re
import subprocess
import sys
import tempfile


def ids_of_header(text: str):
    return dict(re.findall(r'#define (MESSAGE_\w+)\s+"([0-9a-f]{32})"', text))


def refused(catalog: pathlib.Path):
    """What journalctl says against the file; nothing when it can be compiled."""
    with tempfile.TemporaryDirectory() as root:
        folder = pathlib.Path(root, "usr/lib/systemd/catalog")
        folder.mkdir(parents=True)
        pathlib.Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
        (folder / catalog.name).write_text(catalog.read_text())
        done = subprocess.run(["journalctl", f"--root={root}", "--update-catalog"],
                              capture_output=True, text=True)
        return done.stderr.strip() if done.returncode or done.stderr.strip() else ""


def complaints(root: pathlib.Path):
    header = root / "daemon/base/message_id.h"
    catalog = root / "systemd/xhrd.catalog"
    ids = ids_of_header(header.read_text())
    entries = set(re.findall(r"^-- ([0-9a-f]{32})$", catalog.read_text(), re.M))
    for name, value in ids.items():
        if value not in entries:
            yield f"{name}: no entry in {catalog.name}"
    for value in entries - set(ids.values()):
        yield f"{catalog.name}: {value} is not in {header.name}"
    code = "\n".join(p.read_text() for p in (root / "daemon").rglob("*.c"))
    for name in ids:
        if not re.search(rf"\b{name}\b", code):
            yield f"{name}: nothing logs it"
    if text := refused(catalog):
        yield text


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "catalog agrees")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
