# SPDX-License-Identifier: MIT
"""./dev soak: everything at once for a while, then nothing may be left over."""
import os
import random
import threading
import time

import pytest
from origins import response
from wire import Closed

SECONDS = float(os.environ.get("XHRD_SOAK_SECONDS", "600"))


def answer(request):
    size = random.choice((0, 1, 1000, 70_000, 500_000))
    cookie = f"c{random.randrange(50)}={random.randrange(1 << 30)}; Max-Age=1000"
    return response(os.urandom(size), fields=[("Set-Cookie", cookie)],
                    status=random.choice(("200 OK", "404 Not Found", "503 Busy")))


def misbehave(connection):
    while True:
        data = answer(connection.request())
        fate = random.random()
        if fate < 0.02:
            connection.send(data[:random.randrange(len(data))])
            connection.reset()
        elif fate < 0.04:
            return
        connection.send(data)


def use(daemon, origin, until, faults):
    try:
        while time.monotonic() < until:
            with daemon.client() as client:
                for _ in range(random.randrange(1, 50)):
                    exchange = client.open(origin.url(f"/{random.random()}"))
                    if random.random() < 0.05:
                        client.abort(exchange)
                    if random.random() < 0.02:
                        break
                    client.finish(exchange)
    except (Closed, AssertionError, OSError) as fault:
        faults.append(fault)


@pytest.mark.soak
@pytest.mark.xhrd(arguments=["--log-level", "warning"])
def test_mixed_load_leaves_nothing_behind(xhrd, origin_raw):
    origin_raw.script = misbehave
    until, faults = time.monotonic() + SECONDS, []
    users = [threading.Thread(target=use, args=(xhrd, origin_raw, until, faults)) for _ in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert not faults, faults
