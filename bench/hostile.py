# SPDX-License-Identifier: MIT
"""The group `hostile`: a polite client, alone and beside one of another user who wants too much
(tests/integration/hostiles.py). That one has the lowest priority: what it takes of the processor itself
is the kernel's to share out, what the daemon does for it is ours."""
import os

from hostiles import KINDS, Hostile

HOSTILE_UID = 4001
REQUESTS = 1500


def hostile_cases(world):
    if os.geteuid() != 0:
        raise SystemExit("hostile: only root can be two users")
    world.folder.chmod(0o711)
    daemon = world.add_daemon("crowded", mode="--system")
    (world.folder / "crowded").chmod(0o711)
    path = world.folder / "crowded/socket"
    path.chmod(0o666)

    def polite():
        return world.measure("xhr_client", "-n", REQUESTS, "-p", 1, "-d", daemon.pid,
                             world.origin.url("/1k"), daemon=daemon)

    def beside(kind):
        def measure():
            before = daemon.rss_kb()
            daemon.forget_peak()
            hostile = Hostile(kind, path, HOSTILE_UID, wrapper=("nice", "-n", "19"))
            try:
                made = polite()
                stayed = hostile.is_at_it()
            finally:
                said = hostile.stop()
            if not stayed:
                raise SystemExit(f"hostile: {kind} was sent away: {said}")
            return {**made, "daemon_growth_kb": daemon.peak_kb() - before}
        return measure

    return {"alone": polite, **{f"beside {kind}": beside(kind) for kind in KINDS}}
