#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_debian.py SOURCE_DIR: what debian/ says twice is what the build says: the version, the
packages it takes to build, and no file of an installation that goes into no package."""
import fnmatch
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_install import MULTIARCH, WANTED  # noqa: E402

ESSENTIAL = {"gcc", "libc6-dev"}  # build-essential, which every build has


def version_of_cmake(root):
    return re.search(r"^project\(xhrd VERSION (\S+)", (root / "CMakeLists.txt").read_text(),
                     re.M).group(1)


def version_of_debian(root):
    return re.match(r"xhrd \((\S+)\)", (root / "debian/changelog").read_text()).group(1)


def build_packages(root):
    words = re.search(r'^BUILD_PACKAGES="(.*?)"', (root / "dev").read_text(), re.M | re.S).group(1)
    return set(words.split()) - ESSENTIAL


def build_depends(root):
    field = re.search(r"^Build-Depends:(.*?)^\S", (root / "debian/control").read_text(),
                      re.M | re.S).group(1)
    names = {re.split(r"[\s(:]", entry.strip())[0] for entry in field.split(",")}
    return names - {"", "debhelper-compat"}


def patterns(root):
    """What goes into the packages, relative to the root of an installation."""
    for path in sorted((root / "debian").glob("*.install")):
        for line in path.read_text().splitlines():
            yield line.split()[0].replace("*", MULTIARCH, 1) if "lib/*/" in line else line.split()[0]


def is_packaged(name, wanted):
    return any(fnmatch.fnmatch(name, pattern) or name.startswith(pattern + "/")
               for pattern in wanted)


def complaints(root):
    if version_of_cmake(root) != version_of_debian(root):
        yield f"debian/changelog: is of {version_of_debian(root)}, not of {version_of_cmake(root)}"
    ours, theirs = build_packages(root), build_depends(root)
    yield from (f"debian/control: Build-Depends has no {name}" for name in sorted(ours - theirs))
    yield from (f"debian/control: {name} is not in BUILD_PACKAGES" for name in sorted(theirs - ours))
    wanted = list(patterns(root))
    yield from (f"debian/*.install: {name} goes into no package" for name in WANTED
                if not is_packaged(name, wanted))


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "debian/ agrees with the build")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
