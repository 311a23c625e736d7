# SPDX-License-Identifier: MIT
"""The one way to wait: for a condition, with a deadline that only a fault reaches."""
import time

DEADLINE_S = 20.0


def wait_until(condition, what="the condition", deadline_s=DEADLINE_S):
    """Return the condition's first true value; fail when the deadline passes before it."""
    end = time.monotonic() + deadline_s
    pause = 0.0005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s:g} s in vain for {what}; last: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
