#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_ids.py TESTS_DIR: every statement of the reliability list that is claimed here is proved by
a test whose name carries its id, so that a reader can go from the one to the other."""
import pathlib
import re
import sys

# What has been built so far; an id is added together with its tests.
CLAIMED = """
CK01-CK30 UR01-UR17 H101-H115 PL07 PL14-PL16 LB04-LB10 IP07-IP10
EX01-EX16 DB01 HS01-HS10 AU01-AU03 AU06 AU07 RD01-RD19
SD01-SD12 IP01
TV01-TV18 TS01-TS10 TS12 TS13
PL01-PL12 IP02-IP04 CD01 CD08 LB01-LB03 LB11 CD02-CD04 PX01-PX12 CD05-CD07 CD09
IP05 IP06 IP11-IP20 DB02-DB15 H201-H216 PL13
"""


def expand(text: str):
    for word in text.split():
        first, _, last = word.partition("-")
        letters, number = re.fullmatch(r"([A-Z]+)(\d+)", first).groups()
        end = int(re.fullmatch(r"[A-Z]+(\d+)", last or first).group(1))
        for n in range(int(number), end + 1):
            yield f"{letters}{n:0{len(number)}d}".lower()


def proved(tests: pathlib.Path):
    """Ids in names of tests: test_ck01_ck02_... in C and Python, or a row's id="ex01_..."."""
    names = set()
    for path in (*tests.rglob("test_*.c"), *tests.rglob("test_*.py")):
        names.update(re.findall(r"\btest_((?:[a-z]+\d+_)+)", path.read_text()))
    return {part for name in names for part in name.split("_") if part}


def main() -> int:
    claimed = list(expand(CLAIMED))
    missing = sorted(set(claimed) - proved(pathlib.Path(sys.argv[1])))
    print("\n".join(f"{i.upper()}: no test carries this id" for i in missing)
          or f"{len(claimed)} ids proved")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main())
