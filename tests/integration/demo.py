# SPDX-License-Identifier: MIT
"""./dev demo: one process logs in, another one, started later, is logged in, over the first one's
connection. The origin is nginx on loopback with an authority of its own; no daemon is started
first. Everything lives in a temporary folder and is stopped at the end."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import isolated  # noqa: E402
from origins import Authority, Nginx  # noqa: E402
from waiting import wait_until  # noqa: E402

BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class Demo:
    def __init__(self, build: pathlib.Path, folder: pathlib.Path):
        self.build, self.folder = build, folder
        (folder / "run").mkdir(mode=0o700)
        self.nginx = Nginx(folder / "nginx", Authority(folder / "ca", "demo authority"))
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("XHRD_")}
        self.environment.update(
            PATH=f"{build / 'bin'}:{os.environ['PATH']}", HOME=str(folder),
            XHRD_DAEMON=str(build / "bin/xhrd"), XDG_RUNTIME_DIR=str(folder / "run"),
            XDG_STATE_HOME=str(folder / "state"))

    def show(self, *command):
        """Run a command as a user would type it, and show what it says as it says it."""
        print(f"{BOLD}$ {' '.join(map(str, command))}{PLAIN}", flush=True)
        run = subprocess.Popen(list(map(str, command)), env=self.environment, cwd=self.folder,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in run.stdout:
            lines.append(line)
            print(f"  {DIM if line.startswith('{') else ''}{line.rstrip()}{PLAIN}", flush=True)
        if run.wait() != 0:
            raise SystemExit(f"exit status {run.returncode}")
        print()
        return lines

    def stop(self):
        self.nginx.stop()
        for pid in self.daemons():
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not self.daemons(), "the daemon to leave")

    def daemons(self):
        """The daemons of this demo, known by their program and their runtime folder."""
        found, mine = [], f"XDG_RUNTIME_DIR={self.folder / 'run'}".encode()
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if (os.readlink(entry / "exe") == self.environment["XHRD_DAEMON"]
                        and mine in (entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
            except OSError:
                pass
        return found


def head_of(lines):
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in events if event["event"] == "head"][0]


def play(demo: Demo):
    nginx, ca = demo.nginx, demo.nginx.authority.pem
    print(f"\nnginx answers on {nginx.url('/')}; its authority is known to nobody but --cacert.\n")
    print("One process logs in. No daemon runs: its client starts one. Its events, as they came:")
    first = demo.show("xhr", "-s", "--events", "--cacert", ca, "-d", "user=ann", nginx.url("/login"))
    print("Another process, started later, is logged in:")
    second = demo.show("xhr", "-s", "--events", "--cacert", ca, nginx.url("/account"))
    print("A third one asks for no cookies, and is not:")
    demo.show("xhr", "-s", "--jar", "none", "--cacert", ca, nginx.url("/account"))
    print("What the daemon holds for them:")
    demo.show("xhrctl", "cookies", "list")
    demo.show("xhrctl", "show", "connections")
    report(nginx, first, second)


def report(nginx, first, second):
    print("nginx's own log: connection, request on it, method, path, status")
    for connection, number, method, path, status, *_ in nginx.log():
        print(f"  connection {connection}  request {number}  {method} {path} {status}")
    ids = [head_of(lines)["connection"]["id"] for lines in (first, second)]
    reused = head_of(second)["connection"]["reused"]
    logged_in = any(line.startswith("hello, ann") for line in second)
    one = len({connection for connection, *_ in nginx.log()}) == 1
    if not (logged_in and reused and one and ids[0] == ids[1]):
        raise SystemExit("the demo did not show what it promises")
    print(f"\n{BOLD}The second process was logged in, and rode the first one's connection "
          f"(number {ids[1]}, reused).{PLAIN}")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    isolated.isolate(build)  # a daemon that runs already would be the one that is found
    folder = pathlib.Path(tempfile.mkdtemp(prefix="xhrd-demo-", dir="/tmp"))
    demo = None
    try:
        demo = Demo(build, folder)
        play(demo)
    finally:
        if demo:
            demo.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
