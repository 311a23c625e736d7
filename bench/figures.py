# SPDX-License-Identifier: MIT
"""The figures: what they are made of, and what is to be reached. Nothing is measured here, so that
`table` can be checked where nothing is built.

`row` is the row of the last table of the design's page on performance, counted from 1; None: a
figure of our own. `value` makes the figure of one round from {case: {metric: value}}."""
import dataclasses
import statistics
from typing import Callable


@dataclasses.dataclass
class Figure:
    row: int | None
    group: str
    name: str
    value: Callable
    goal: float | None = None  # None: there is none, it is only told
    at_least: bool = True
    unit: str = "×"
    then: float | None = None  # to be reached after the goal

    def goal_text(self):
        if self.goal is None:
            return ""
        sign = "≥" if self.at_least else "≤"
        later = f", then {short(self.then)}{self.unit}" if self.then is not None else ""
        return f"{sign} {short(self.goal)}{self.unit}{later}"

    def is_met(self, measured):
        if self.goal is None:
            return True
        return measured >= self.goal if self.at_least else measured <= self.goal

    def verdict(self, measured):
        if self.goal is None:
            return ""
        if self.is_met(measured):
            return "met"
        if self.goal == 0:
            return "missed"
        percent = abs(measured - self.goal) / self.goal * 100
        return f"missed by {percent:.0f} %" if percent >= 1 else "missed by less than 1 %"


def short(number):
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def summary(values):
    """What is kept of the rounds."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def told(made, unit=""):
    """A summary in words."""
    if made["min"] == made["max"]:
        return short(made["median"]) + unit
    return f"{short(made['median'])} ({short(made['min'])}–{short(made['max'])}){unit}"


# ---- what a figure is made of -------------------------------------------------------------------

def ratio(metric, above, below):
    return lambda cases: cases[above][metric] / cases[below][metric]


def value(case, metric):
    return lambda cases: cases[case][metric]


def mib(case, metric):
    return lambda cases: cases[case][metric] / 1024


def all_cpu(case):
    """Of the client and the daemon."""
    return case["cpu_us"] + case.get("daemon_cpu_us", 0)


def cpu_ratio(above, below):
    return lambda cases: all_cpu(cases[above]) / all_cpu(cases[below])


def on_one_core(case):
    """How many that a second of one core pays for, client and daemon together."""
    return lambda cases: 1e6 / all_cpu(cases[case])


def beyond_the_round_trip(cases):
    return cases["xhr"]["p50_us"] / 1000 - cases["xhr"]["rtt_ms"]


def down_growth_mib(cases):
    """Of the daemon's memory while a gibibyte goes through it."""
    return max(made["daemon_growth_kb"] for case, made in cases.items()
               if case.startswith("xhr")) / 1024


def other_libraries(cases):
    return max(cases["xhr"]["others"], cases["a program with libxhr"]["others"])


# ---- the figures ----------------------------------------------------------------------------------

CURL_32, XHR_32 = "libcurl, 32 in flight, 32 connections", "libxhr, 32 in flight, 32 connections"
CURL_6, XHR_6 = "libcurl, 32 in flight, 6 connections", "libxhr, 32 in flight, 6 connections"

HOSTILE = {
    "flood": "a flood of requests above the quota", "deaf": "a thousand answers that nobody reads",
    "greedy": "48 downloads without end", "held": "a flood of bodies above the quota", "bodies": "a flood of bodies that are taken", "endless": "64 uploads without end",
    "crowd": "a thousand connections of one user", "halves": "120 half frames",
    "fds": "a flood of descriptors", "cookies": "a flood of cookies",
    "lists": "lists of 3,000 cookies, again and again",
    "imports": "messages of 400 cookies, again and again",
    "sulkers": "clients that are sent away and do not go",
}

FIGURES = [
    Figure(1, "fresh", "a fresh `xhr` against curl with Debian's trust store, p50",
           ratio("p50_us", "curl, Debian's trust store", "xhr"), 16),
    Figure(2, "fresh", "the same, curl with one CA file; cookies read and stored on both sides",
           ratio("p50_us", "curl, one CA file", "xhr"), 8),
    Figure(3, "floor", "its p50 against a bare socket client behind nginx, which has no cookies",
           ratio("p50_us", "xhr", "a bare client behind nginx"), 1, at_least=False),
    Figure(4, "fresh", "page faults of a fresh `xhr`", value("xhr", "page_faults"), 45,
           at_least=False, unit=""),
    Figure(5, "wan", "20 ms away: p50 beyond the round trip", beyond_the_round_trip, 4.5,
           at_least=False, unit=" ms"),
    Figure(5, "wan", "20 ms away: against curl", ratio("p50_us", "curl", "xhr"), 3.5),
    Figure(6, "warm", "warm, one in flight, p50 against libcurl in the process",
           ratio("p50_us", "libxhr, 1 in flight", "libcurl, 1 in flight"), 1.2, at_least=False,
           then=1),
    Figure(6, "h2", "the same over HTTP/2 on both sides",
           ratio("p50_us", "libxhr h2, 1 in flight", "libcurl h2, 1 in flight"), 1.2,
           at_least=False, then=1),
    Figure(7, "warm", "32 in flight, requests/s against libcurl multi, HTTP/1.1, 32 connections on "
           "both sides", ratio("req_s", XHR_32, CURL_32), 1.6),
    Figure(7, "h2", "32 in flight, requests/s against libcurl multi, HTTP/2 on both sides",
           ratio("req_s", "libxhr h2, 32 in flight", "libcurl h2, 32 in flight"), 1.4),
    Figure(7, "h2", "32 in flight, HTTP/2 against libcurl multi over HTTP/1.1, 32 connections",
           ratio("req_s", "libxhr h2, 32 in flight", "libcurl h1, 32 in flight"), 1.6),
    Figure(8, "crowd", "32 processes × 1000 GETs against libcurl in each, HTTP/1.1",
           ratio("wall_ms", "libcurl, 32 processes", "libxhr, 32 processes"), 1.4),
    Figure(8, "crowd", "the same, HTTP/2 from the daemon",
           ratio("wall_ms", "libcurl, 32 processes", "libxhr h2, 32 processes"), 1.4),
    Figure(9, "relay", "CPU of the daemon for a warm request against the floor's, 1 in flight",
           ratio("daemon_cpu_us", "libxhr, 1 in flight", "the floor, 1 in flight"), 1.3,
           at_least=False),
    Figure(9, "relay", "the same with 32 in flight over 32 connections",
           ratio("daemon_cpu_us", "libxhr, 32 in flight", "the floor, 32 in flight"), 1.3,
           at_least=False),
    Figure(10, "many", "100 processes × 10 GETs, wall time against libcurl in each",
           ratio("wall_ms", "libcurl, 100 processes", "libxhr, 100 processes"), 6),
    Figure(10, "many", "the same against a curl for each GET",
           ratio("wall_ms", "curl, 100 at once, 1,000 times", "libxhr, 100 processes"), 60),
    Figure(10, "many", "the same, sum of PSS, the daemon included",
           mib("libxhr, 100 processes", "pss_kb"), 20, at_least=False, unit=" MiB"),
    Figure(11, "many", "connections, and so handshakes, at the origin in the same test, HTTP/1.1",
           value("libxhr, 100 processes", "connections"), 8, at_least=False, unit=""),
    Figure(11, "many", "the same over HTTP/2",
           value("libxhr h2, 100 processes", "connections"), 1, at_least=False, unit=""),
    Figure(12, "bulk", "1 GiB down to nowhere, throughput against curl",
           ratio("GB_s", "xhr to nowhere", "curl to nowhere"), 1.25),
    Figure(12, "bulk", "1 GiB down to a file, throughput against curl",
           ratio("GB_s", "xhr to a file", "curl to a file"), 1.4),
    Figure(12, "bulk", "1 GiB down to nowhere, CPU of client and daemon against curl's",
           cpu_ratio("xhr to nowhere", "curl to nowhere"), 0.85, at_least=False),
    Figure(12, "bulk", "1 GiB down to a file, CPU of client and daemon against curl's",
           cpu_ratio("xhr to a file", "curl to a file"), 0.85, at_least=False),
    Figure(13, "up", "256 MiB up from a file, throughput against curl",
           ratio("GB_s", "xhr, 256 MiB up", "curl, 256 MiB up"), 1),
    Figure(14, "memory", "the daemon, idle (PSS)", mib("idle", "pss_kb"), 6, at_least=False,
           unit=" MiB"),
    Figure(14, "memory", "with 100 warm TLS connections (PSS)",
           mib("100 TLS connections", "held_kb"), 9, at_least=False, unit=" MiB"),
    Figure(14, "memory", "each of 10,000 requests in flight, HTTP/1.1",
           value("10,000 in flight, h1", "each_kb"), 34, at_least=False, unit=" KiB"),
    Figure(14, "memory", "each of 10,000 requests in flight, HTTP/2",
           value("10,000 in flight, h2", "each_kb"), 4, at_least=False, unit=" KiB"),
    Figure(15, "library", "text of libxhr", value("libxhr", "text_kb"), 96, at_least=False,
           unit=" KiB"),
    Figure(15, "client", "libraries a client loads besides libc, libprotobuf-c and libxhr",
           other_libraries, 0, at_least=False, unit=""),
    Figure(15, "library", "heap of a connected client that rests",
           value("a client at rest", "heap_kb"), 32, at_least=False, unit=" KiB"),
    Figure(16, "many", "cookies kept of 100 that 100 processes set at once",
           value("xhr, 100 cookies", "kept"), 100, unit=""),
    Figure(17, "jar", "CPU of the daemon for a request with 3,000 cookies in the jar against 30",
           ratio("daemon_cpu_us", "a request, 3,000 cookies", "a request, 30 cookies"), 2,
           at_least=False),

    # Figures of our own.
    Figure(None, "floor", "a fresh `xhr` against the floor's static client, p50",
           ratio("p50_us", "xhr", "the floor")),
    Figure(None, "warm", "32 in flight over 6 connections on both sides, the daemon's default",
           ratio("req_s", XHR_6, CURL_6)),
    Figure(None, "warm", "the daemon's 6 connections against libcurl's 32",
           ratio("req_s", XHR_6, CURL_32)),
    Figure(None, "relay", "requests/s against the floor, 32 in flight",
           ratio("req_s", "libxhr, 32 in flight", "the floor, 32 in flight")),
    Figure(None, "many", "100 processes, PSS against libcurl's",
           ratio("pss_kb", "libxhr, 100 processes", "libcurl, 100 processes"), 1 / 8,
           at_least=False),
    Figure(None, "crowd", "connections at the origin, 32 processes, HTTP/1.1",
           value("libxhr, 32 processes", "connections"), 8, at_least=False, unit=""),
    Figure(None, "crowd", "connections at the origin, 32 processes, HTTP/2",
           value("libxhr h2, 32 processes", "connections"), 1, at_least=False, unit=""),
    Figure(None, "bulk", "1 GiB down into a pipe, throughput against curl",
           ratio("GB_s", "xhr into a pipe", "curl into a pipe")),
    Figure(None, "bulk", "1 GiB down into a pipe, CPU with `cat`'s against curl's",
           cpu_ratio("xhr into a pipe", "curl into a pipe"), at_least=False),
    Figure(None, "bulk", "1 GiB down to nowhere over HTTP/2, throughput against curl",
           ratio("GB_s", "xhr to nowhere, HTTP/2", "curl to nowhere, HTTP/2")),
    Figure(None, "bulk", "1 GiB down to nowhere over HTTP/2, CPU against curl's",
           cpu_ratio("xhr to nowhere, HTTP/2", "curl to nowhere, HTTP/2"), at_least=False),
    Figure(None, "bulk", "growth of the daemon's memory while 1 GiB comes down", down_growth_mib,
           4, at_least=False, unit=" MiB"),
    Figure(None, "cookies", "cookies added from 8 processes, each acknowledged, against SQLite "
           "alone (NORMAL)", ratio("added_s", "xhrd", "SQLite, NORMAL")),
    Figure(None, "cookies", "the same, safe from loss of power, against SQLite alone (FULL)",
           ratio("added_s", "xhrd, Durability=full", "SQLite, FULL")),
    Figure(None, "cookies", "the same against curl's file, rewritten for each (1,000)",
           ratio("added_s", "xhrd", "curl's file")),
    Figure(None, "cookies", "durable acknowledged cookies from 8 processes",
           value("xhrd", "added_s"), unit="/s"),
    Figure(None, "cookies", "the same from one process", value("xhrd, 1 process", "added_s"),
           unit="/s"),
    Figure(None, "cookies", "the same from 8 processes, safe from loss of power",
           value("xhrd, Durability=full", "added_s"), unit="/s"),
    Figure(None, "cookies", "cookies kept of 10,000 of 8 processes", value("xhrd", "kept"), 10000,
           unit=""),
    Figure(None, "cookies", "cookies kept of 1,000 in curl's file", value("curl's file", "kept"),
           unit=""),
    Figure(None, "jar", "CPU for a request with 3,000 cookies in the jar against none",
           ratio("daemon_cpu_us", "a request, 3,000 cookies", "a request, 0 cookies")),
    Figure(None, "cookies", "memory of the daemon for 1,000 cookies",
           value("memory", "kb_per_1000"), 400, at_least=False, unit=" KiB"),
    Figure(None, "cookies", "start with 1,000,000 cookies of 23 users, to the first answer about "
           "one of them", value("start, 1,000,000 cookies", "answer_ms"), 1000, at_least=False,
           unit=" ms"),
    Figure(None, "tls", "handshakes in full on one core, against libcurl",
           cpu_ratio("libcurl, in full", "libxhr, in full")),
    Figure(None, "tls", "resumed handshakes on one core, against libcurl",
           cpu_ratio("libcurl, resumed", "libxhr, resumed")),
    Figure(None, "tls", "handshakes in full a second, against libcurl",
           ratio("req_s", "libxhr, in full", "libcurl, in full")),
    Figure(None, "tls", "resumed handshakes a second, against libcurl",
           ratio("req_s", "libxhr, resumed", "libcurl, resumed")),
    Figure(None, "tls", "handshakes in full", value("libxhr, in full", "req_s"), unit="/s"),
    Figure(None, "tls", "resumed handshakes", value("libxhr, resumed", "req_s"), unit="/s"),
    Figure(None, "tls", "handshakes in full that a second of one core pays for",
           on_one_core("libxhr, in full"), unit=""),
    Figure(None, "tls", "resumed handshakes that a second of one core pays for",
           on_one_core("libxhr, resumed"), unit=""),
    Figure(None, "tls", "p99 of a warm request beside 200 handshakes against without",
           ratio("p99_us", "warm beside 200 handshakes", "warm")),
    Figure(None, "tls", "the longest step of a handshake, and so the longest a round of the loop is "
           "held up by one, against all of a handshake in full (CPU)",
           lambda cases: cases["steps of handshakes"]["longest_us"]
           / cases["steps of handshakes"]["handshake_us"]),
    Figure(None, "tls", "a step of a handshake in full against all of it (CPU)",
           lambda cases: cases["steps of handshakes"]["mean_us"]
           / cases["steps of handshakes"]["handshake_us"]),
    *(figure for kind, what in HOSTILE.items() for figure in (
        Figure(None, "hostile", f"p99 of a request beside {what} against alone",
               ratio("p99_us", f"beside {kind}", "alone"), 2, at_least=False),
        Figure(None, "hostile", f"the same, as the kernel shares the processors: beside {what}",
               ratio("shared_p99_us", f"beside {kind}", "alone"), 2, at_least=False))),
    Figure(None, "hostile", "what the daemon grew by for the worst of them",
           lambda made: max(case.get("daemon_growth_kb", 0) for case in made.values()) / 1024, 16,
           at_least=False, unit=" MiB"),
    Figure(None, "tls", "times the trust store was opened in a daemon's life",
           value("trust store", "opened"), 1, at_least=False, unit=""),
]


def figures_of(group):
    return [figure for figure in FIGURES if figure.group == group]
