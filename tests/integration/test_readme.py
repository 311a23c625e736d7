# SPDX-License-Identifier: MIT
"""README.md, "Sharing a login between two scripts": a reader who types what stands there sees
what stands there."""
import os
import re
import signal
import socket
import subprocess

import pytest
from programs import BUILD
from test_per_user import home  # noqa: F401: a fixture
from wire import SOURCE

HEADING = "## Sharing a login between two scripts\n"
BLOCK = re.compile(r"(?:`(\w+\.sh)`[^`]*)?^```(\w*)\n(.*?)^```$", re.M | re.S)
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MARK = "the prompt"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Shell:
    """bash, given one line after another."""

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)

    def type(self, line, lines_wanted):
        """Return: what was said before the next prompt. What runs in the background may say its
        lines behind it."""
        said = []
        prompted = False
        self.process.stdin.write(f"{line}\necho '{MARK}'\n")
        while not prompted or len(said) < lines_wanted:
            text = self.process.stdout.readline()
            assert text, f"bash ended: {said}"
            if text == MARK + "\n":
                prompted = True
                if not line.endswith("&"):
                    break
            else:
                said.append(text)
        return "".join(said)

    def close(self):
        """And what it left in the background, should a test end early."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self.process.stdin.close()
        self.process.stdout.close()


def section(port):
    text = (SOURCE / "README.md").read_text()
    text = text.split(HEADING)[1].split("\n## ")[0]
    return text.replace("8443", str(port)).replace("site.py &", f"site.py {port} &").replace(
        "$PWD/build/release/bin", str(BUILD / "bin"))


def steps(console):
    """(command, what it says) of a console block."""
    for part in re.split(r"^\$ ", console, flags=re.M)[1:]:
        command, _, said = part.partition("\n")
        yield command, said


@pytest.fixture
def shell(home):  # noqa: F811
    (home.folder / "client-lib").symlink_to(SOURCE / "client-lib")
    environment = {name: value for name, value in home.xhr.env.items() if name != "XHRD_DAEMON"}
    shell = Shell(home.folder, environment)
    yield shell
    shell.close()


def test_two_scripts_share_a_login_as_the_readme_says(shell, home):  # noqa: F811
    typed = 0
    for script, language, body in BLOCK.findall(section(free_port())):
        if language == "sh":
            (home.folder / script).write_text(body)
            continue
        assert language == "console", language
        for command, expected in steps(body):
            said = shell.type(command, expected.count("\n"))
            assert DATE.sub("DATE", said) == DATE.sub("DATE", expected), command
            typed += 1
    assert typed >= 10
