#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_install.py SOURCE_DIR: a release build installed into an empty folder lands where Debian's
policy wants it, and can be used from there by pkg-config, CMake, C and C++.

`ctest -L install`; it builds the release preset when that is not built.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

MULTIARCH = subprocess.run(["gcc", "-print-multiarch"], capture_output=True, text=True,
                           check=True).stdout.strip()
LIB = f"usr/lib/{MULTIARCH}"
WANTED = [
    "usr/bin/xhr", "usr/bin/xhrctl", "usr/libexec/xhrd",
    f"{LIB}/libxhr.so", f"{LIB}/libxhr.so.0",
    f"{LIB}/pkgconfig/libxhr.pc", f"{LIB}/cmake/libxhr/libxhr-config.cmake",
    f"{LIB}/libxhr-xml.so", f"{LIB}/libxhr-xml.so.0", f"{LIB}/pkgconfig/libxhr-xml.pc",
    "usr/include/xhr/xml.h", "usr/share/man/man3/libxhr-xml.3",
    "usr/include/xhr/xhr.h", "usr/include/xhr/cookies.h", "usr/include/xhr/network.h", "usr/include/xhr/signing.h", "usr/include/xhr/adapter_libevent.h",
    "usr/include/xhr/adapter_sd_event.h",
    "usr/share/man/man1/xhr.1", "usr/share/man/man1/xhrctl.1", "usr/share/man/man3/libxhr.3",
    "usr/share/man/man5/xhrd.conf.5", "usr/share/man/man8/xhrd.8",
    "usr/share/bash-completion/completions/xhr", "usr/share/bash-completion/completions/xhrctl",
    "usr/share/zsh/vendor-completions/_xhr", "usr/share/zsh/vendor-completions/_xhrctl",
    "usr/lib/systemd/system/xhrd.service", "usr/lib/systemd/system/xhrd.socket",
    "usr/lib/systemd/user/xhrd.service", "usr/lib/systemd/user/xhrd.socket",
    "usr/lib/systemd/catalog/xhrd.catalog", "usr/lib/sysusers.d/xhrd.conf",
    "usr/lib/tmpfiles.d/xhrd.conf", "etc/xhrd/xhrd.conf",
]
PROGRAM = """
#include <xhr/xhr.h>
int main(void) { return sizeof(struct xhr_client *) == 0; }
"""
CMAKE = """
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES C)
find_package(libxhr REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE libxhr::xhr)
"""


def call(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def install(source: pathlib.Path, root: pathlib.Path):
    build = source / "build/release"
    call("cmake", "--preset", "release", cwd=source)
    call("cmake", "--build", build)
    call("cmake", "--install", build, env={**os.environ, "DESTDIR": str(root)})


def tree(root: pathlib.Path):
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir()}


def loads(program: pathlib.Path):
    """Names of the shared libraries a program asks for."""
    out = call("readelf", "-dW", program)
    return {line.split("[")[1].rstrip("]") for line in out.split("\n") if "(NEEDED)" in line}


def stray(have):
    """Whatever is there without being asked for, versions and headers apart."""
    return [name for name in sorted(have - set(WANTED))
            if not name.startswith((f"{LIB}/libxhr.so.", f"{LIB}/libxhr-xml.so.", f"{LIB}/cmake/libxhr/", "usr/include/xhr/",
                                    "usr/share/man/", "usr/share/doc/"))]


def check_units(root: pathlib.Path):
    for manager in ("system", "user"):
        unit = (root / f"usr/lib/systemd/{manager}/xhrd.service").read_text()
        if "ExecStart=/usr/libexec/xhrd " not in unit:
            yield f"{manager} unit does not start /usr/libexec/xhrd"


def check_programs(root: pathlib.Path):
    for name in ("usr/bin/xhr", "usr/bin/xhrctl"):
        extra = loads(root / name) - {"libc.so.6", "libprotobuf-c.so.1", "libxhr.so.0"}
        if name == "usr/bin/xhrctl":
            extra -= {"libsqlite3.so.0"}  # it reads the stores of browsers
        if extra:
            yield f"{name} loads {', '.join(sorted(extra))}"
    extra = loads(root / f"{LIB}/libxhr.so") - {"libc.so.6", "libprotobuf-c.so.1"}
    if extra:
        yield f"libxhr.so loads {', '.join(sorted(extra))}"
    call(root / "usr/libexec/xhrd", "--version")


def check_use(root: pathlib.Path, work: pathlib.Path):
    """A stranger's program, found by pkg-config and by CMake, in C99 and as C++."""
    (work / "user.c").write_text(PROGRAM)
    (work / "CMakeLists.txt").write_text(CMAKE)
    env = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(root),
           "PKG_CONFIG_PATH": str(root / LIB / "pkgconfig")}
    flags = call("pkg-config", "--cflags", "--libs", "libxhr", env=env).split()
    for compiler in (["gcc", "-std=c99", "-pedantic"], ["g++", "-x", "c++"]):
        call(*compiler, "-Wall", "-Wextra", "-Werror", "-I", root / "usr/include", work / "user.c",
             "-o", work / "user", *flags)
    call("cmake", "-G", "Ninja", "-S", work, "-B", work / "build",
         f"-Dlibxhr_DIR={root / LIB / 'cmake/libxhr'}")
    call("cmake", "--build", work / "build")
    return ()


def complaints(source: pathlib.Path):
    with tempfile.TemporaryDirectory() as scratch:
        root, work = pathlib.Path(scratch, "root"), pathlib.Path(scratch, "work")
        work.mkdir()
        install(source, root)
        have = tree(root)
        yield from (f"missing: {name}" for name in WANTED if name not in have)
        yield from (f"not asked for: {name}" for name in stray(have))
        yield from check_units(root)
        yield from check_programs(root)
        yield from check_use(root, work)


def main() -> int:
    try:
        found = list(complaints(pathlib.Path(sys.argv[1]).resolve()))
    except (RuntimeError, OSError) as error:
        found = [str(error)]
    print("\n".join(found) or "installed tree is whole")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
