#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_config.py SOURCE_DIR: every key of daemon/app/config.c, with its default, stands in the
sample file under its section, and in xhrd.conf(5); and nothing else does."""
import pathlib
import re
import sys

KEY = re.compile(r'^\s*KEY\("(\w+)",\s*"(\w+)",.*?"([^"]*)"\),', re.M | re.S)


def keys_of_code(text: str):
    return {(section, name): default for section, name, default in KEY.findall(text)}


def keys_of_sample(text: str):
    found, section = {}, ""
    for line in text.split("\n"):
        if head := re.fullmatch(r"\[(\w+)\]", line):
            section = head.group(1)
        elif key := re.fullmatch(r"#?([A-Z]\w+)=(.*)", line):
            found[section, key.group(1)] = key.group(2)
    return found


def keys_of_manual(text: str):
    """Key= as it stands in the source of xhrd.conf(5)."""
    return set(re.findall(r"\b([A-Z][A-Za-z]+)=", text))


def complaints(root: pathlib.Path):
    code = keys_of_code((root / "daemon/app/config.c").read_text())
    sample = keys_of_sample((root / "systemd/xhrd.conf").read_text())
    for key in sorted(code.keys() | sample.keys()):
        if code.get(key) != sample.get(key):
            yield (f"[{key[0]}] {key[1]}: the daemon's default is {code.get(key)!r}, "
                   f"systemd/xhrd.conf shows {sample.get(key)!r}")
    manual = root / "daemon/man/xhrd.conf.5.scd"
    if manual.exists():
        shown, names = keys_of_manual(manual.read_text()), {name for _, name in code}
        for name in sorted(names - shown):
            yield f"{name}=: not in xhrd.conf(5)"
        for name in sorted(shown - names):
            yield f"{name}=: in xhrd.conf(5), but the daemon has no such key"
    if not code:
        yield "no key found in daemon/app/config.c"


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "keys agree")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
