# SPDX-License-Identifier: MIT
"""The group `tls`: handshakes in full and resumed, a connection for each request, and what they
cost others who have one already."""
import subprocess

AT_ONCE = 200
BATCH = 1500


def tls_cases(world):
    full, resumed = world.origin.full_url("/1k"), world.origin.url("/1k")
    wide = world.add_daemon("wide", f"[Network]\nConnectionsPerHost={AT_ONCE}\n")
    alone = world.add_daemon("alone", f"[Network]\nConnectionsPerHost={AT_ONCE}\n")
    traced = world.folder / "opened"
    watched = world.add_daemon("watched", wrapper=("strace", "-f", "-qq", "-e", "trace=openat",
                                                   "-o", traced))

    def curl(url):
        return lambda: world.measure("curl_client", "-F", "-n", BATCH, "-p", 8,
                                     "-a", world.origin.ca, url)

    def xhr(url):
        return lambda: world.measure("xhr_client", "-F", "-n", BATCH, "-p", 8, "-d", wide.pid,
                                     url, daemon=wide)

    def warm(n=2000):
        return world.measure("xhr_client", "-n", n, "-p", 1, "-d", wide.pid, resumed,
                             daemon=wide)

    def warm_beside():
        """Two hundred handshakes are always under way, to another origin."""
        with subprocess.Popen([str(world.programs["xhr_client"]), "-F", "-n", "100000000", "-p",
                               str(AT_ONCE), full], env=wide.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as others:
            try:
                return warm(300)
            finally:
                others.kill()

    def longest_step():
        """What the loop was held up by a handshake at most, as the processor counts it, against all
        of a handshake in full."""
        world.measure("xhr_client", "-F", "-n", BATCH, "-p", AT_ONCE, full, daemon=alone)
        lines = world.run(world.bin / "xhrctl", "metrics", daemon=alone).splitlines()
        told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("xhrd_"))
        name = "xhrd_handshake_step"
        handshakes = float(told['xhrd_connection_handshakes_total{kind="full"}'])
        all_us = float(told[f"{name}s_cpu_seconds_total"]) * 1e6
        return {"longest_us": float(told[f"{name}_cpu_seconds_max"]) * 1e6,
                "mean_us": all_us / float(told[f"{name}s_total"]),
                "handshake_us": all_us / handshakes,
                "steps": float(told[f"{name}s_total"]) / handshakes}

    def trust_store():
        world.measure("xhr_client", "-F", "-n", 200, "-p", 8, full, daemon=watched)
        opened = traced.read_text()
        return {"opened": float(opened.count(f'"{world.origin.ca}"'))}

    return {"libcurl, in full": curl(full), "libxhr, in full": xhr(full),
            "libcurl, resumed": curl(resumed), "libxhr, resumed": xhr(resumed),
            "warm": warm, "warm beside 200 handshakes": warm_beside,
            "steps of handshakes": longest_step, "trust store": trust_store}
