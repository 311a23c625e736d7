#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The completions as bash and zsh run them: what Tab offers is what --help lists."""
import os
import pathlib
import pty
import re
import select
import subprocess
import tempfile
import time
import unittest

from fake_daemon import BUILD
from test_flags import HELP, flags_of, help_of

MADE = BUILD / "client-lib/completions"
# Loaded by name, as bash does it on the first Tab behind the program's name.
BASH = """
shopt -s extglob progcomp
. /usr/share/bash-completion/bash_completion
compopt() { :; }  # only where readline asks
_completion_loader "$1"
function=$(complete -p "$1") function=${function##*-F } function=${function%% *}
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE=$* COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def tab(*words, folder="/"):
    """What bash offers for the last word."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
                   "BASH_COMPLETION_USER_DIR": str(MADE)}
    run = subprocess.run(["bash", "--norc", "-c", BASH, "bash", *words], capture_output=True, text=True,
                         env=environment, cwd=folder, stdin=subprocess.DEVNULL, timeout=60)
    assert run.stderr == "", run.stderr
    return set(run.stdout.split())


def words_of_help(program):
    flags = flags_of(HELP, help_of(program))
    return ({letter for letter, *_ in flags if letter} | {name for _, name, *_ in flags} |
            {f"{name}=" for _, name, _, optional in flags if optional})


class Bash(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        (self.folder / "data.json").touch()
        (self.folder / "down").mkdir()

    def test_every_flag_of_help_is_offered_and_no_other(self):
        for program, at_least in (("xhr", 45), ("xhrctl", 10)):
            offered = tab(program, "-")
            self.assertGreater(len(offered), at_least)
            self.assertEqual(offered, words_of_help(program))

    def test_beginning_of_a_flag_is_completed(self):
        self.assertEqual(tab("xhr", "--output-d"), {"--output-dir"})
        self.assertEqual(tab("xhr", "--events"), {"--events", "--events="})
        self.assertEqual(tab("xhr", "-s", "http://h/", "--retry-c"), {"--retry-connrefused"})

    def test_values_that_are_files_folders_and_devices(self):
        for flag in ("-o", "--cacert", "-sSo", "-T", "--socket"):
            self.assertEqual(tab("xhr", flag, "", folder=self.folder), {"data.json", "down"}, flag)
        self.assertEqual(tab("xhr", "--output-dir", "", folder=self.folder), {"down"})
        self.assertEqual(tab("xhr", "--events=da", folder=self.folder), {"data.json"})
        self.assertEqual(tab("xhr", "-d", "@da", folder=self.folder), {"@data.json"})
        self.assertEqual(tab("xhr", "-d", "da", folder=self.folder), set())
        self.assertEqual(tab("xhr", "-m", "", folder=self.folder), set())

    def test_commands_of_xhrctl_are_offered_word_by_word(self):
        section = help_of("xhrctl").split("Commands:\n")[1].split("\n\n")[0]
        commands = [re.match(r"  ([a-z -]+?)(?: [A-Z\[].*?)?  ", line)[1].split()
                    for line in section.split("\n")]
        self.assertEqual(tab("xhrctl", ""), {first for first, *_ in commands})
        for first in {first for first, *more in commands if more}:
            wanted = {more[0] for word, *more in commands if word == first and more}
            self.assertEqual(tab("xhrctl", first, ""), wanted)
            self.assertEqual(tab("xhrctl", "--json", "--socket", "/x", first, ""), wanted)
        self.assertEqual(tab("xhrctl", "hsts", "rm", ""), set())


class Zsh:
    """An interactive zsh on a terminal of its own."""

    def __init__(self, folder):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {
                "PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "dumb",
                "ZDOTDIR": str(folder)})
        self.n_seen = 0
        # ^T is Tab, and then says that all of it is on the screen: there is no other way to know.
        self.say("PS1='> ' RPS1= LISTMAX=100000 COLUMNS=300 LINES=1000; unsetopt zle_bracketed_paste "
                 f"beep; fpath=({MADE} $fpath); autoload -U compinit; compinit -u -D; "
                 "zstyle ':completion:*' verbose no; "
                 "look() { zle complete-word; zle -R; print -rn -- \"[$BUFFER]\"; BUFFER=; "
                 "print -n \"se\"en-$((++n_seen)).; }; zle -N look; bindkey '^T' look\n")
        self.tab(": ")

    def say(self, text):
        os.write(self.terminal, text.encode())

    def read_until(self, mark, seconds=30):
        text, end = "", time.monotonic() + seconds
        while mark not in text:
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"no {mark!r} from zsh: {text!r}")
            text += os.read(self.terminal, 65536).decode(errors="replace")
        return text

    def tab(self, line):
        """What it shows when Tab is pressed behind @line, and in brackets what the line is then."""
        self.n_seen += 1
        self.say(f"{line}\x14")
        return self.read_until(f"seen-{self.n_seen}.")

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class ZshCompletions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = tempfile.TemporaryDirectory()
        (pathlib.Path(cls.holder.name) / "only-file").touch()
        cls.zsh = Zsh(cls.holder.name)

    @classmethod
    def tearDownClass(cls):
        cls.zsh.close()
        cls.holder.cleanup()

    def test_every_flag_of_help_is_offered(self):
        for program in ("xhr", "xhrctl"):
            wanted = {word.rstrip("=") for word in words_of_help(program) if word.startswith("--")}
            shown = set(re.findall(r"--[\w.-]*\w", self.zsh.tab(f"{program} --")))
            self.assertEqual(shown, wanted)

    def test_flags_files_and_commands_are_completed(self):
        for line, completed in (("xhr --output-d", "xhr --output-dir "), ("xhr -o onl", "xhr -o only-file "),
                                ("xhr -d @onl", "xhr -d @only-file "),
                                ("xhrctl show conn", "xhrctl show connections "),
                                ("xhrctl sta", "xhrctl status ")):
            self.assertIn(f"[{completed}]", self.zsh.tab(line))


if __name__ == "__main__":
    unittest.main()
