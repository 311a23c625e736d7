#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""encodings.txt to C: every label in the order bsearch() wants, and the tables of single bytes."""
import pathlib
import sys

# Which of libc's converters comes nearest where a character is more than a byte.
ICONV = {"GBK": "GB18030", "gb18030": "GB18030", "Big5": "BIG5-HKSCS", "EUC-JP": "EUC-JP-MS",
         "ISO-2022-JP": "ISO-2022-JP", "Shift_JIS": "CP932", "EUC-KR": "UHC"}
KINDS = {"UTF-8": "UTF8", "UTF-16BE": "UTF16BE", "UTF-16LE": "UTF16LE", "replacement": "REPLACEMENT",
         "x-user-defined": "USER_DEFINED"}


def main() -> int:
    labels, charsets, tables = [], [], []
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        if line.startswith("#"):
            continue
        name, rest = line.split(" = ", 1)
        names, _, points = rest.partition(" : ")
        labels += [(label, len(charsets)) for label in names.split()]
        if points:
            cells = ["0xFFFD" if p == "-" else f"0x{int(p, 16):04X}" for p in points.split()]
            assert len(cells) == 128, name
            charsets.append(f'{{"{name}", XHR_CHARSET_TABLE, {len(tables)}, ""}}')
            tables.append("    {" + ", ".join(cells) + "},")
        elif name in KINDS:
            charsets.append(f'{{"{name}", XHR_CHARSET_{KINDS[name]}, 0, ""}}')
        else:
            charsets.append(f'{{"{name}", XHR_CHARSET_ICONV, 0, "{ICONV[name]}"}}')
    print('/* Made by charsets/to_c.py of charsets/encodings.txt. */\n#include "charset.h"\n')
    print("const uint16_t xhr_charset_tables[][128] = {", *tables, "};", sep="\n")
    print("const struct xhr_charset xhr_charsets[] = {", *(f"    {c}," for c in charsets), "};", sep="\n")
    print("const struct xhr_charset_label xhr_charset_labels[] = {")
    for label, number in sorted(labels):
        assert len(label) < 20, label
        print(f'    {{"{label}", {number}}},')
    print("};\nconst size_t xhr_n_charset_labels = sizeof(xhr_charset_labels) / sizeof(*xhr_charset_labels);")
    return 0


if __name__ == "__main__":
    sys.exit(main())
