#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_config.py SOURCE_DIR XHRD: every key that the daemon knows stands in the sample file under
its section and in xhrd.conf(5) under its heading, both with the daemon's default; and no other.
Keys that can be set for users and groups are listed there in xhrd.conf(5), and no other."""
import pathlib
import re
import subprocess
import sys


def keys_of_daemon(xhrd: str):
    """The daemon's own word: "Section\\tKey\\ttype\\tdefault"."""
    out = subprocess.run([xhrd, "--dump-config-keys"], check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    return ({(section, name): default for section, name, _, default, _ in rows},
            {name for _, name, _, _, where in rows if where == "each"})


def keys_of_some(text: str):
    """What the manual's section on users and groups lists as "*Key=*"."""
    part = re.search(r"\n# \[USER NAME\].*?(?=\n# )", text, re.S)
    return set(re.findall(r"\*(\w+)=\*", part.group(0))) if part else set()


def keys_of_sample(text: str):
    found, section = {}, ""
    for line in text.split("\n"):
        if head := re.fullmatch(r"\[(\w+)\]", line):
            section = head.group(1)
        elif key := re.fullmatch(r"#?([A-Z]\w+)=(.*)", line):
            found[section, key.group(1)] = key.group(2)
    return found


def keys_of_manual(text: str):
    """What stands below each `*Key=*_VALUE_`, under its `# [SECTION]`; without marks."""
    found, section, name = {}, "", ""
    for line in text.split("\n"):
        if head := re.fullmatch(r"# \[?(\w+)\]?", line):
            section, name = head.group(1), ""
        elif key := re.match(r"\*(\w+)=\*", line):
            name = key.group(1)
            found[section, name] = ""
        elif name and line.startswith("\t"):
            found[section, name] += re.sub(r"[_*]", "", line).strip() + " "
        elif line:
            name = ""
    return found


def default_is_told(text: str, default: str) -> bool:
    """"6 by default", "0, the default", "Empty, the default"."""
    told = re.escape(default or "Empty") + r"(?: by default|, the default)\b"
    return re.search(r"(?:^|[\s;])" + told, text) is not None


def complaints(root: pathlib.Path, xhrd: str):
    daemon, each = keys_of_daemon(xhrd)
    sample = keys_of_sample((root / "systemd/xhrd.conf").read_text())
    for key in sorted(daemon.keys() | sample.keys()):
        if daemon.get(key) != sample.get(key):
            yield (f"[{key[0]}] {key[1]}: the daemon's default is {daemon.get(key)!r}, "
                   f"systemd/xhrd.conf shows {sample.get(key)!r}")
    manual_text = (root / "daemon/man/xhrd.conf.5.scd").read_text()
    for name in sorted(each ^ keys_of_some(manual_text)):
        where = "cannot" if name not in each else "can"
        yield f"{name}: {where} be set for users; xhrd.conf(5) says otherwise under [USER NAME]"
    sections = {section.upper(): section for section, _ in daemon}
    manual = {(sections.get(section, section), name): text for (section, name), text
              in keys_of_manual(manual_text).items()}
    for section, name in sorted(daemon.keys() ^ manual.keys()):
        where = "the daemon" if (section, name) in manual else "xhrd.conf(5)"
        yield f"[{section}] {name}: not known to {where}"
    for key in sorted(daemon.keys() & manual.keys()):
        if not default_is_told(manual[key], daemon[key]):
            yield f"[{key[0]}] {key[1]}: xhrd.conf(5) does not tell the default {daemon[key]!r}"
    if not daemon:
        yield f"{xhrd} --dump-config-keys names no key"


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1]), sys.argv[2]))
    print("\n".join(found) or "keys agree")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
