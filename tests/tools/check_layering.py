#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fail when a room of daemon/ includes one it may not see (see daemon/ARCHITECTURE.md)."""
import pathlib
import re
import sys

# room -> rooms whose headers it may include; <prefixes> of outside headers it may include.
MAY_USE = {
    "base": set(),
    "loop": {"base"},
    "http": {"base"},
    "policy": {"base", "http"},
    "net": {"base", "loop"},
    "store": {"base", "loop", "http", "policy"},
    "transport": {"base", "loop", "http", "net"},
    "pool": {"base", "loop", "http", "policy", "net", "transport"},
    "fetch": {"base", "loop", "http", "policy", "pool"},
    "ipc": {"base", "loop"},
    "service": {"base", "loop", "http", "policy", "pool", "fetch", "ipc"},
}
MAY_USE["app"] = set(MAY_USE)
# A room open by one door only.
ALSO = {"fetch": {"transport/exchange.h"}}
OUTSIDE = {
    "event2": {"loop", "net"},
    "openssl": {"http", "net"},  # http: digests only
    "sqlite3.h": {"store"},
    "idn2.h": {"http"},
    "zlib.h": {"http"},
    "brotli": {"http"},
    "zstd.h": {"http"},
    "zstd_errors.h": {"http"},
    "libpsl.h": {"policy"},
    "nghttp2": {"transport"},
    "systemd": {"app"},
    "ini.h": {"app"},
    "protobuf-c": {"service"},
    "sys/socket.h": {"base", "net", "fetch", "ipc", "app"},  # base: to the journal; fetch: passed ones
    "wire": {"ipc", "service"},  # proto/wire; service: precheck, heads of body chunks
    "xhrd": {"service"},  # generated protobuf; ipc sees frames only
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^">]+)[">]', re.M)


def complaints(root: pathlib.Path):
    for path in sorted(root.rglob("*.[ch]")):
        room = path.relative_to(root).parts[0]
        for mark, target in INCLUDE.findall(path.read_text()):
            head = target.split("/")[0]
            if mark == '"' and head in MAY_USE and head != room:
                if head not in MAY_USE[room] and target not in ALSO.get(room, ()):
                    yield f"{path}: room {room} may not include {target}"
                elif target.endswith("_priv.h"):
                    yield f"{path}: {target} is private to {head}"
            for prefix, rooms in OUTSIDE.items():
                if (target == prefix or target.startswith(prefix + "/")) and room not in rooms:
                    yield f"{path}: room {room} may not include <{target}>"


def main() -> int:
    found = list(complaints(pathlib.Path(sys.argv[1])))
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
