#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bytes of earlier versions still say what they said, and are what protobuf itself would write.

Every kind of message must be among them, so that a new one is not forgotten.
"""
import pathlib
import re
import subprocess
import sys


def protoc(proto_dir, mode, kind, data):
    done = subprocess.run(
        ["protoc", f"--proto_path={proto_dir}", f"--{mode}=xhrd.v1.{kind}", "xhrd/v1/envelope.proto"],
        input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.stdout if done.returncode == 0 else done.stderr


def kinds_of(proto_dir):
    text = (proto_dir / "xhrd/v1/envelope.proto").read_text()
    for name in ("ClientMessage", "ServerMessage"):
        body = re.search(rf"message {name} {{.*?\n}}", text, re.S).group(0)
        for field in re.findall(r"(\w+) = \d+;", body):
            yield name, field


def complaints(proto_dir, folder):
    seen = set()
    for line in (folder / "golden").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, kind, digits = line.split()
        golden = bytes.fromhex(digits)
        text = (folder / f"{name}.txtpb").read_bytes()
        said = b"".join(l + b"\n" for l in text.splitlines() if not l.startswith(b"#"))
        seen.add((kind, said.split(b" ")[0].decode()))
        if protoc(proto_dir, "decode", kind, golden) != said:
            yield f"{name}: the bytes say something else now"
        if protoc(proto_dir, "encode", kind, said) != golden:
            yield f"{name}: protobuf writes other bytes now"
    for kind, field in kinds_of(proto_dir):
        if (kind, field) not in seen:
            yield f"{kind}.{field}: no golden bytes"


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
    print("\n".join(found) or "golden bytes hold")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
