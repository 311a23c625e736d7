#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of flags, as --help prints it, and the manual pages say the same."""
import re
import subprocess
import unittest

from fake_daemon import BUILD, SOURCE

HELP = re.compile(r"^ +(?:(-.), )?(--[\w.-]+)(?: ([A-Z][\w:]*)|\[=(\w+)\])?(?:  .*)?$", re.M)
MANUAL = re.compile(r"^(?:\*(-.)\*, )?\*(--[\w.-]+)\*(?: _([^_]+)_|\[=_(\w+)_\])?$", re.M)


def flags_of(pattern, text):
    return {(letter, name, value, optional) for letter, name, value, optional in pattern.findall(text)}


def help_of(program):
    return subprocess.run([BUILD / "bin" / program, "--help"], capture_output=True, text=True,
                          check=True).stdout


class ManualPages(unittest.TestCase):
    def check(self, program, at_least):
        shown = flags_of(HELP, help_of(program))
        told = flags_of(MANUAL, (SOURCE / f"client-lib/man/{program}.1.scd").read_text())
        self.assertGreaterEqual(len(shown), at_least)
        self.assertEqual(shown, told)

    def test_every_flag_of_xhr_is_in_its_manual_page_and_no_other(self):
        self.check("xhr", 45)

    def test_every_flag_of_xhrctl_is_in_its_manual_page_and_no_other(self):
        self.check("xhrctl", 10)

    def test_every_exit_code_is_in_the_manual_page(self):
        header = (SOURCE / "client-lib/xhr/trouble.h").read_text()
        codes = set(re.findall(r"^    EXIT_\w+ = (\d+),", header, re.M))
        manual = (SOURCE / "client-lib/man/xhr.1.scd").read_text()
        status = manual[manual.index("# EXIT STATUS"):manual.index("# ENVIRONMENT")]
        self.assertEqual(codes, set(re.findall(r"\*(\d+)\*", status)))

    def test_every_write_out_variable_is_in_the_manual_page(self):
        code = (SOURCE / "client-lib/xhr/writeout.c").read_text()
        names = set(re.findall(r'\[VAR_\w+\] = \{"(\w+)"', code))
        manual = (SOURCE / "client-lib/man/xhr.1.scd").read_text()
        part = manual[manual.index("# WRITE-OUT"):manual.index("# EXIT STATUS")]
        words = set(re.findall(r"\b\w+\b", part))
        self.assertGreaterEqual(len(names), 38)
        self.assertEqual(names - words, set())


if __name__ == "__main__":
    unittest.main()
