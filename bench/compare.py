"""Riwaq beside a FastAPI peer, in one run on one machine; prints a report in Markdown.

usage: compare.py --riwaq target/release/riwaq [--repeats 5] [--seconds 8] [--rate 300]

Needs wrk and hey on the PATH (nginx where it is installed) and a Python with the packages of requirements.txt. CPU is
what the operating system counted for the servers' processes, divided by the requests that were answered. Runs
alternate; the median is printed with the lowest and highest.

"Cached": one token, which Riwaq verified once. "Verified": more tokens than Riwaq is allowed to remember, so that each
request's signature is checked. The peer, as usual, remembers none; its requests carry one token.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import tempfile

from measuring import p99, pss, script, spread, wrk
from servers import Nginx, Peer, Riwaq

COURSES = 20
TOKENS = 2000
UNLIMITED = {"RIWAQ_GATEWAY_RATE_LIMIT": "off"}
FORGETFUL = {**UNLIMITED, "RIWAQ_IDENTITY_CACHED_TOKENS": "64", "RIWAQ_AUTH_LIFETIMES_ACCESS_TOKEN_SECONDS": "3600"}
SIZE_GB = (16 << 20) / 1e9


def starts(program, folder):
    """Time to ready and idle memory: the very first start, and one on what the first left behind."""
    found = []
    for _ in range(2):
        with Riwaq(program, folder) as riwaq:
            found.append((riwaq.ready, pss(riwaq.pid)))
    return found


def figures(names):
    return {name: {"cpu": [], "rate": [], "p99": [], "pss": [], "verified": [], "bytes": []} for name in names}


def cached(servers, results, riwaq, arguments):
    for repeat in range(arguments.repeats):
        for server in alternating(servers, repeat):
            found, headers = results[server.name], riwaq.headers()
            used, rate, memory = wrk(server.pid, server.courses(), headers, arguments.seconds, 16)
            found["cpu"].append(used), found["rate"].append(rate), found["pss"].append(memory)
            found["p99"].append(p99(server.courses(), headers, arguments.rate, arguments.seconds))


def verified(servers, results, riwaq, arguments):
    tokens = script(riwaq.tokens(TOKENS))
    for repeat in range(arguments.repeats):
        for server in alternating(servers, repeat):
            used, _, _ = wrk(server.pid, server.courses(), {}, arguments.seconds, 16, lua=tokens)
            results[server.name]["verified"].append(used)
    os.unlink(tokens)


def downloads(servers, results, arguments):
    for repeat in range(arguments.repeats):
        for server in alternating(servers, repeat):
            used, _, _ = wrk(server.pid, server.download(), {}, arguments.seconds, 4)
            results[server.name]["bytes"].append(SIZE_GB / used)


def alternating(servers, repeat):
    return servers if repeat % 2 == 0 else list(reversed(servers))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rate", type=int, default=300)
    arguments = parser.parse_args()
    results = figures(["Riwaq", "FastAPI", "nginx"])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        big = folder / "big.bin"
        big.write_bytes(os.urandom(16 << 20))
        first, warm = starts(arguments.riwaq, folder / "data")
        with Riwaq(arguments.riwaq, folder / "data", **UNLIMITED) as riwaq:
            riwaq.prepare(big, COURSES)
            with Peer(riwaq, folder, big) as peer:
                cached([riwaq, peer], results, riwaq, arguments)
                if shutil.which("nginx"):
                    with Nginx(folder, big) as nginx:
                        downloads([riwaq, peer, nginx], results, arguments)
                else:
                    downloads([riwaq, peer], results, arguments)
        with Riwaq(arguments.riwaq, folder / "data", **FORGETFUL) as riwaq:
            shutil.rmtree(folder / "peer", ignore_errors=True)
            (folder / "peer").mkdir()
            with Peer(riwaq, folder / "peer", big) as peer:
                verified([riwaq, peer], results, riwaq, arguments)
    report(results, arguments, first, warm)


ROWS = [
    ("CPU a request, `GET /api/courses`, token cached", "cpu", 1e6, "µs"),
    ("the same, every token verified", "verified", 1e6, "µs"),
    ("requests a second, 16 connections, token cached", "rate", 1, "/s"),
    ("p99 at {rate} requests/s", "p99", 1e3, "ms"),
    ("memory under load (PSS)", "pss", 1, "MiB"),
    ("download of 16 MiB, a CPU-second", "bytes", 1, "GB"),
]


def report(results, arguments, first, warm):
    print(f"| {arguments.repeats} repeats of {arguments.seconds} s | Riwaq | FastAPI | nginx | Riwaq / FastAPI |\n|---|---|---|---|---|")
    for label, key, scale, unit in ROWS:
        cells = [spread(results[name][key], scale, unit) if results[name][key] else "–" for name in results]
        ratio = statistics.median(results["Riwaq"][key]) / statistics.median(results["FastAPI"][key])
        print(f"| {label.format(rate=arguments.rate)} | {' | '.join(cells)} | {ratio:.3f} |")
    print(f"\nFirst start ready in {first[0] * 1e3:.0f} ms, idle {first[1]:.0f} MiB PSS; warm start ready in "
          f"{warm[0] * 1e3:.0f} ms, idle {warm[1]:.0f} MiB PSS. Program: {os.path.getsize(arguments.riwaq) / 1e6:.1f} MB.")


main()
