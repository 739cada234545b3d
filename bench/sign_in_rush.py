"""A class arrives: many people sign in within a minute, all behind one address, with the limits as they are by default.

usage: sign_in_rush.py --riwaq target/release/riwaq [--people 500] [--seconds 60]

The people are made through the administration API first. Arrivals are independent of each other and of the answers
(an open loop); a time counts from the moment at which the person pressed the key, not from when we came to send it.
"""

import argparse
import asyncio
import http.client
import json
import pathlib
import random
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from measuring import cpu, pss
from servers import PASSWORD, Riwaq


def ask(port, path, body, headers=None):
    """A connection of its own: every person has another computer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def make_people(riwaq, count):
    headers = riwaq.headers("admin@riwaq.local")

    def make(n):
        body = {"email": f"rush{n}@example.edu", "first_name": "Rush", "last_name": f"N{n}", "roles": ["student"],
                "password": PASSWORD}
        status, text = ask(riwaq.port, "/api/admin/users", body, headers)
        if status != 201:
            raise SystemExit(f"making a user: {status} {text[:300]}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(count)))


async def rush(port, people, seconds):
    loop, random_times = asyncio.get_running_loop(), random.Random(500)
    pool = ThreadPoolExecutor(people)
    begin = time.monotonic() + 0.2

    async def one(n, at):
        await asyncio.sleep(begin + at - time.monotonic())
        body = {"email": f"rush{n}@example.edu", "password": PASSWORD}
        status, _ = await loop.run_in_executor(pool, ask, port, "/api/auth/login", body)
        return status, time.monotonic() - begin - at

    arrivals = sorted(random_times.uniform(0, seconds) for _ in range(people))
    return await asyncio.gather(*(one(n, at) for n, at in enumerate(arrivals)))


def watch_memory(pid, stop, peak):
    while not stop.wait(0.1):
        peak[0] = max(peak[0], pss(pid))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        with Riwaq(arguments.riwaq, pathlib.Path(name) / "data") as riwaq:
            idle = pss(riwaq.pid)
            make_people(riwaq, arguments.people)
            stop, peak, before = threading.Event(), [idle], cpu(riwaq.pid)
            watcher = threading.Thread(target=watch_memory, args=(riwaq.pid, stop, peak))
            watcher.start()
            answers = asyncio.run(rush(riwaq.port, arguments.people, arguments.seconds))
            used = cpu(riwaq.pid) - before
            stop.set(), watcher.join()
    taken = sorted(time for _, time in answers)
    refused = [status for status, _ in answers if status != 200]
    print(f"{len(answers)} sign-ins in {arguments.seconds:.0f} s from one address: {len(refused)} refused {set(refused) or ''}")
    print(f"p50 {statistics.median(taken) * 1e3:.0f} ms, p99 {taken[int(len(taken) * 0.99) - 1] * 1e3:.0f} ms, "
          f"longest {taken[-1] * 1e3:.0f} ms; {used / len(answers) * 1e3:.1f} ms CPU a sign-in; "
          f"memory {idle:.0f} MiB idle, {peak[0]:.0f} MiB at most (PSS)")


main()
