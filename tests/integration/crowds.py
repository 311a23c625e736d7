# SPDX-License-Identifier: MIT
"""Thousands at once: idle clients, requests that an origin holds, and what one more request costs
among them, counted in instructions, which repeat where seconds do not. bench/scale uses it, too."""
import contextlib
import pathlib
import re
import socket
import subprocess

from origins import LOOPBACK, stop_process
from waiting import wait_until

SOURCE = pathlib.Path(__file__).resolve().with_name("hold_origin.c")
HELLO = bytes([4, 10, 2, 8, 1])  # a frame of four bytes: ClientMessage.hello, protocol version 1
ADDRESSES = 8                    # of the origin, so that ports and queues of none run out


def address(number):
    return f"127.0.0.{number + 1}"


class HoldOrigin:
    """hold_origin.c: answers at once, but /hold when it is released."""

    def __init__(self, program, authority, addresses=ADDRESSES):
        names = [address(number) for number in range(addresses)]
        assert names[0] == LOOPBACK
        cert, key = authority.issue(*names)
        self.names = names
        self.process = subprocess.Popen(
            [str(program), str(cert), str(key), str(addresses)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ports = {"https": int(self.process.stdout.readline()),
                      "http": int(self.process.stdout.readline())}

    def urls(self, path, scheme="https"):
        """The same on each of its addresses."""
        return [f"{scheme}://{name}:{self.ports[scheme]}{path}" for name in self.names]

    def _say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return tuple(map(int, self.process.stdout.readline().split()))

    def count(self):
        """Return: (connections, requests that are held)."""
        return self._say("count")

    def wait_for(self, number, deadline_s=300):
        """Until so many requests are held, each on a connection of its own."""
        wait_until(lambda: self.count()[1] >= number, f"{number} requests to be held",
                   deadline_s=deadline_s)

    def release(self):
        return self._say("release")

    def stop(self):
        stop_process(self.process)


def compile_origin(folder):
    """For those who have no build of the tests."""
    program = pathlib.Path(folder) / "hold_origin"
    subprocess.run(["cc", "-O2", "-g", "-Wall", "-Wextra", str(SOURCE), "-o",
                    str(program), "-lssl", "-lcrypto"], check=True)
    return program


@contextlib.contextmanager
def idle_clients(path, number):
    """Connected, greeted and silent."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
            client.sendall(HELLO)
            assert client.recv(1), "an idle client was sent away"
        yield  # who enters looks how many the daemon has: a refusal is an answer, too


# ---- counting -------------------------------------------------------------------------------------

def counting(out):
    """What to start a daemon with, to have it counted: `out` is a place for callgrind's files. Until
    instructions() asks nothing is counted, and it runs at a fifth of its speed."""
    return ["valgrind", "--tool=callgrind", "--instr-atstart=no",
            f"--callgrind-out-file={out}", "-q"]


def control(pid, *words):
    done = subprocess.run(["callgrind_control", *words, str(pid)], text=True, capture_output=True)
    if done.returncode != 0 or "Error" in done.stdout + done.stderr:
        raise AssertionError(f"callgrind_control {words}: {done.stdout}{done.stderr}")


def instructions(pid, out, action):
    """Return: how many instructions the daemon executes while `action` runs."""
    out = pathlib.Path(out)
    control(pid, "-i", "on")
    control(pid, "-z")
    action()
    control(pid, "-d")
    control(pid, "-i", "off")
    dumps = sorted(out.parent.glob(out.name + ".*"), key=lambda path: int(path.suffix[1:]))
    totals = re.search(r"^totals: (\d+)", dumps[-1].read_text(), re.M)
    return int(totals.group(1))
