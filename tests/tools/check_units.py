#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_units.py UNIT_DIR INSTALLED_DAEMON BUILT_DAEMON: what systemd itself says of the units.

The units name a path that need not exist on this machine, so copies that name the built daemon
are verified. Exposure must not grow past what the units were designed for.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

EXPOSURE = {"system": "12", "user": "19"}  # tenths


def copy_units(source: pathlib.Path, target: pathlib.Path, installed: str, built: str):
    target.mkdir()
    for unit in sorted(source.iterdir()):
        if unit.suffix in (".service", ".socket"):
            (target / unit.name).write_text(unit.read_text().replace(installed, built))
    return sorted(target.iterdir())


def analyze(manager: str, runtime: str, *args) -> str:
    """What systemd-analyze had to say, empty when all is well."""
    done = subprocess.run(["systemd-analyze", *args], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, "XDG_RUNTIME_DIR": runtime})
    quiet = args[0] == "verify" and not done.stdout.strip()
    if done.returncode == 0 and (quiet or args[0] == "security"):
        return ""
    return f"{manager}: {' '.join(args)}\n{done.stdout}"


def complaints(units: pathlib.Path, installed: str, built: str):
    with tempfile.TemporaryDirectory() as scratch:
        for manager, threshold in EXPOSURE.items():
            copies = copy_units(units / manager, pathlib.Path(scratch, manager), installed, built)
            yield analyze(manager, scratch, "verify", f"--{manager}", "--man=no", *map(str, copies))
            service = str(pathlib.Path(scratch, manager, "xhrd.service"))
            yield analyze(manager, scratch, "security", "--offline=true",
                          f"--threshold={threshold}", service)


def main() -> int:
    units, installed, built = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    found = [c for c in complaints(units, installed, built) if c]
    print("\n".join(found) or "units verified")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
