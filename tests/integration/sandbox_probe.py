# SPDX-License-Identifier: MIT
"""Run in the service's place, with all properties of its unit: tries what must not go, and what
must. Says a name and an outcome a line: "ok", or the name of the errno."""
import ctypes
import errno
import mmap
import os
import socket
import stat
import tempfile

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_long]
CLONE_NEWUSER = 0x10000000


def call(result):
    if result == -1 or result == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "")


def write_to(folder):
    with tempfile.NamedTemporaryFile(dir=folder):
        pass


def set_user_bit():
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        os.chmod(file.name, stat.S_ISUID | 0o700)


TRIALS = {
    "writable code": lambda: call(LIBC.mmap(
        None, 4096, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
        mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "inet": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "inet6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
    "unix": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "homes": lambda: os.listdir("/home"),
    "root's home": lambda: os.listdir("/root"),
    "shadow": lambda: open("/etc/shadow"),
    "process 1": lambda: os.stat("/proc/1"),
    "meminfo": lambda: os.stat("/proc/meminfo"),
    "disk": lambda: os.stat("/dev/sda"),
    "kernel log": lambda: os.stat("/dev/kmsg"),
    "write /etc": lambda: write_to("/etc"),
    "write /usr": lambda: write_to("/usr"),
    "shell": lambda: os.execv("/bin/sh", ["sh"]),
    "user namespace": lambda: call(LIBC.unshare(CLONE_NEWUSER)),
    "set-user bit": set_user_bit,
    "mount": lambda: call(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "host name": lambda: socket.sethostname("x"),
    "clock": lambda: __import__("time").clock_settime(0, 0),
    "kernel setting": lambda: open("/proc/sys/kernel/hostname", "w"),
    "control group": lambda: os.mkdir("/sys/fs/cgroup/x"),
    "state": lambda: write_to(os.environ["STATE_DIRECTORY"]),
    "cache": lambda: write_to(os.environ["CACHE_DIRECTORY"]),
    "runtime": lambda: write_to(os.environ["RUNTIME_DIRECTORY"]),
    "tmp": lambda: write_to("/tmp"),
    "certificates": lambda: os.listdir("/etc/ssl/certs"),
}

for name, trial in TRIALS.items():
    try:
        trial()
        outcome = "ok"
    except OSError as fault:
        outcome = errno.errorcode[fault.errno]
    print(f"{name}: {outcome}", flush=True)
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines())
print(f"capabilities: {int(status['CapEff'], 16) + int(status['CapBnd'], 16)}")
print(f"no new privileges: {status['NoNewPrivs']}")
print(f"uid: {os.getuid()}")
