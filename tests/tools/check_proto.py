#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail on a message schema that protobuf-c 1.4 could be hurt with, or that breaks our habits.

Recursive types let 100 kB of wire nest deep enough to exhaust the parser's stack. A `string` is
cut at its first NUL and may hold bad UTF-8, so only names that we check ourselves are strings.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

# Checked against a small alphabet on arrival.
STRINGS = {"profile", "jar"}


def load(proto_dir: pathlib.Path):
    names = sorted(p.relative_to(proto_dir).as_posix() for p in proto_dir.rglob("*.proto"))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"--proto_path={proto_dir}", f"--descriptor_set_out={out.name}",
                        *names], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())


def walk(prefix: str, messages):
    for message in messages:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from walk(name, message.nested_type)


def recursive(graph):
    """Names of messages that can hold themselves, at any remove."""
    def reaches(start):
        seen, todo = set(), list(graph[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph.get(name, ())
        return start in seen
    return sorted(name for name in graph if reaches(name))


def enums_of(proto):
    yield from proto.enum_type
    for _, message in walk("", proto.message_type):
        yield from message.enum_type


def complaints(files):
    graph = {}
    for proto in files.file:
        for enum in enums_of(proto):
            if enum.value[0].number or not enum.value[0].name.endswith("_UNSPECIFIED"):
                yield f"{proto.name}: enum {enum.name} must start with _UNSPECIFIED = 0"
        for name, message in walk(f".{proto.package}", proto.message_type):
            graph[name] = {f.type_name for f in message.field if f.type == f.TYPE_MESSAGE}
            numbers = [f.number for f in message.field]
            if len(set(numbers)) != len(numbers):
                yield f"{name}: a field number is used twice"
            for field in message.field:
                if field.type == field.TYPE_STRING and field.name not in STRINGS:
                    yield f"{name}.{field.name}: bytes, or add it to STRINGS and check it"
                if not re.fullmatch(r"[a-z][a-z0-9_]*", field.name):
                    yield f"{name}.{field.name}: lower_case"
    for name in recursive(graph):
        yield f"{name}: recursive"


def main() -> int:
    files = load(pathlib.Path(sys.argv[1]).resolve())
    found = list(complaints(files))
    print("\n".join(found) or f"{len(files.file)} schema files sound")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
