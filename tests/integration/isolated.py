#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""isolated.py [--keep FOLDER]… -- COMMAND…: run a command where no daemon of this machine can be
found.

A client without XHRD_SOCKET looks in $XDG_RUNTIME_DIR, /run/user/UID, /tmp/xhrd-UID and for
/run/xhrd.sock before it starts a daemon. Tests of that starting, and the demo, must not talk to
one that runs already: the command gets a mount namespace in which /run and /tmp are empty, but
for the folders to keep. Without root that takes a user namespace, in which the uid stays what it
is. Where the system allows neither, the command runs only if nobody listens in these places.
"""
import contextlib
import ctypes
import os
import pathlib
import socket
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
HIDDEN = (pathlib.Path("/run"), pathlib.Path("/tmp"))

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, data=None):
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    check(libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]),
          f"mount {target}")


def enter_namespaces():
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)), "unshare")
    if uid:
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)


def hide(keep):
    """Empty the hidden folders; what is kept is held open over it and bound to its place again."""
    inside = {path for path in keep if any(path.is_relative_to(hidden) for hidden in HIDDEN)}
    outermost = [path for path in inside if not any(other in inside for other in path.parents)]
    held = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in outermost]
    for hidden in HIDDEN:
        mount("none", str(hidden), "tmpfs", data="mode=1777")
    for path, fd in held:
        path.mkdir(parents=True)
        mount(f"/proc/self/fd/{fd}", str(path), flags=MS_BIND | MS_REC)
        os.close(fd)


def places():
    uid = os.geteuid()
    return [f"/run/user/{uid}/xhrd/socket", f"/tmp/xhrd-{uid}/socket", "/run/xhrd.sock"]


def listens(path):
    with socket.socket(socket.AF_UNIX) as probe:
        with contextlib.suppress(OSError):
            probe.connect(path)
            return True
    return False


def isolate(*keep):
    """This process and its children from now on. Threads that run already stay as they are."""
    folder = os.getcwd()
    try:
        enter_namespaces()
    except OSError as error:
        there = [path for path in places() if listens(path)]
        if there:
            sys.exit(f"a daemon listens on {', '.join(there)}, and it cannot be hidden "
                     f"({error}): stop it, or run this as root")
        return
    hide({pathlib.Path(path).resolve() for path in keep})
    os.chdir(folder)  # the one behind the new mount, if it was kept


def command(*keep):
    """What to put in front of a command line."""
    return [sys.executable, "-B", __file__, *(word for path in keep for word in ("--keep", str(path))),
            "--"]


def main():
    words, keep = sys.argv[1:], [os.getcwd()]
    while words[:1] == ["--keep"]:
        keep.append(words[1])
        words = words[2:]
    if words[:1] != ["--"] or len(words) < 2:
        sys.exit(__doc__)
    keep.append(pathlib.Path(words[1]).resolve().parent)
    isolate(*keep)
    os.execvp(words[1], words[1:])


if __name__ == "__main__":
    main()
