# SPDX-License-Identifier: MIT
"""The group `hostile`: a polite client, alone and beside one of another user who wants too much
(tests/integration/hostiles.py), each time twice. Once the polite client, the daemon and the origin
have real-time priority: what the other's processes take of the processors themselves, which they
could as well without any daemon, is the kernel's to share out and not in the figure; all that the
daemon does for the other is. Then everybody has the ordinary one, but the other the lowest of it."""
import contextlib
import os
import pathlib

from hostiles import KINDS, Hostile

HOSTILE_UID = 4001
REQUESTS = 3000  # so that thirty lie above the p99
REAL_TIME = ("chrt", "--rr", "1")


def threads_of(pid):
    return [int(tid.name) for tid in pathlib.Path(f"/proc/{pid}/task").iterdir()]


@contextlib.contextmanager
def real_time(*pids):
    """Their threads, and those they start meanwhile."""
    def set_all(policy, priority):
        for tid in [tid for pid in pids for tid in threads_of(pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(tid, policy, os.sched_param(priority))
    try:
        set_all(os.SCHED_RR, 1)
    except PermissionError:
        raise SystemExit("hostile: wants the right to real-time priority (CAP_SYS_NICE)")
    try:
        yield
    finally:
        set_all(os.SCHED_OTHER, 0)


def hostile_cases(world):
    if os.geteuid() != 0:
        raise SystemExit("hostile: only root can be two users")
    world.folder.chmod(0o711)
    daemon = world.add_daemon("crowded", mode="--system")
    (world.folder / "crowded").chmod(0o711)
    path = world.folder / "crowded/socket"
    path.chmod(0o666)
    served_by = (daemon.pid, world.origin.process.pid, *world.origin.worker_pids())

    def polite(*wrapper):
        return world.measure("xhr_client", "-n", REQUESTS, "-p", 1, "-d", daemon.pid,
                             world.origin.url("/1k"), daemon=daemon, wrapper=wrapper)

    def both():
        with real_time(*served_by):
            made = polite(*REAL_TIME)
        shared = polite()
        return {**made, "shared_p50_us": shared["p50_us"], "shared_p99_us": shared["p99_us"]}

    def beside(kind):
        def measure():
            before = daemon.rss_kb()
            daemon.forget_peak()
            hostile = Hostile(kind, path, HOSTILE_UID, wrapper=("nice", "-n", "19"))
            try:
                made = both()
                stayed = hostile.is_at_it()
            finally:
                said = hostile.stop()
            if not stayed:
                raise SystemExit(f"hostile: {kind} was sent away: {said}")
            return {**made, "daemon_growth_kb": daemon.peak_kb() - before}
        return measure

    return {"alone": both, **{f"beside {kind}": beside(kind) for kind in KINDS}}
