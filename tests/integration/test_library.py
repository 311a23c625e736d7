# SPDX-License-Identifier: MIT
"""Programs in C that use all of a part of libxhr, against a daemon that runs."""
import os

import programs
import pytest

pytestmark = pytest.mark.shallow


@pytest.mark.xhrd(config=f"[Cookies]\nSystemJarWrite={os.geteuid()}\n")
def test_every_cookie_function_blocking_and_with_a_callback(xhrd, folder):
    program = programs.Program(programs.XHR.parent / "live_cookies", folder,
                               XHRD_SOCKET=str(xhrd.socket_path))
    done = program()
    assert done.status == 0, done.err
