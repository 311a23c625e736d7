# SPDX-License-Identifier: MIT
"""A daemon in which the n-th allocation, or the n-th call of the system, fails once: failing.c is
loaded into it and looks at a page of memory that the test has too."""
import mmap
import struct

from programs import BUILD, SANITIZED

SHIM = BUILD / "tests/libfailing.so"
KINDS = {"allocations": 1, "calls": 2, "interrupted": 3}
LASTING = {"no descriptors": 4, "no memory": 5, "no space": 6, "stalled": 7, "other time": 8}
NEVER = 1 << 62
_LAYOUT = struct.Struct("=IIQQ64s")


def environment(plan):
    env = {"LD_PRELOAD": str(SHIM), "FAIL_PLAN": str(plan)}
    if SANITIZED:
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0:allocator_may_return_null=1"
    return env


class Plan:
    """The page: what is to fail, and what came of it."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def arm(self, kind, at=NEVER):
        _LAYOUT.pack_into(self._page, 0, 0, 0, at & (1 << 64) - 1, 0, b"")
        struct.pack_into("=I", self._page, 0, {**KINDS, **LASTING}[kind])

    def disarm(self):
        """Return: (how many calls there were, the name of the one that failed or "")."""
        struct.pack_into("=I", self._page, 0, 0)
        _, failed, _, count, what = _LAYOUT.unpack_from(self._page, 0)
        return count, what.rstrip(b"\0").decode() if failed else ""

    def has_failed(self):
        return bool(_LAYOUT.unpack_from(self._page, 0)[1])

    def close(self):
        self._page.close()


class Rack:
    """A daemon with a plan."""

    def __init__(self, make_xhrd, folder, **options):
        self.plan = Plan(folder / "plan")
        self.daemon = make_xhrd(env=environment(self.plan.path), **options)

    def close(self):
        self.plan.close()
