#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write test data as C rows: rows_to_c.py url|dates OUT.inc FILE.json… [--skipped FILE.json]"""
import argparse
import json
import pathlib

URL_KEYS = ("href", "protocol", "username", "password", "host", "hostname", "port",
            "pathname", "search", "hash", "origin")


def load(path: pathlib.Path):
    """JSON whose head may be a // comment: the licence of the date examples."""
    text = path.read_text(encoding="utf-8")
    return json.loads("\n".join(l for l in text.split("\n") if not l.startswith("//")))


def span(text):
    """A struct span literal. Lone surrogates become U+FFFD: the URL parser takes scalar values."""
    if text is None:
        return "{NULL, 0}"
    data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return '{"%s", %d}' % ("".join("\\%03o" % byte for byte in data), len(data))


def url_rows(files, skipped):
    reasons = {(row["input"], row["base"]): row["reason"] for row in skipped}
    for row in (row for file in files for row in load(file) if isinstance(row, dict)):
        reason = reasons.pop((row["input"], row["base"]), None)
        fields = [span(row["input"]), span(row["base"]), span(reason)]
        fields.append("true" if row.get("failure") else "false")
        fields += [span(row.get(key)) for key in URL_KEYS]
        yield "{%s}," % ", ".join(fields)
    if reasons:
        raise SystemExit(f"skipped, but not in the data: {list(reasons)}")


def date_rows(files, _skipped):
    for row in (row for file in files for row in load(file)):
        yield "{%s, %s}," % (span(row["test"]), span(row["expected"]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("url", "dates"))
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--skipped", type=pathlib.Path)
    args = parser.parse_args()
    skipped = load(args.skipped) if args.skipped else []
    make = {"url": url_rows, "dates": date_rows}[args.kind]
    args.out.write_text("\n".join(make(args.files, skipped)) + "\n")


if __name__ == "__main__":
    main()
