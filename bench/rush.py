"""What both rushes of sign-ins share: people, their arrivals, and what it cost."""

import asyncio
import http.client
import json
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from measuring import cpu_with_ended_threads, pss
from servers import PASSWORD


def ask(port, path, body, headers=None):
    """A connection of its own: every person has another computer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def email(n):
    return f"rush{n}@example.edu"


def make_people(port, headers, count):
    def make(n):
        body = {"email": email(n), "first_name": "Rush", "last_name": f"N{n}", "roles": ["student"], "password": PASSWORD}
        status, text = ask(port, "/api/admin/users", body, headers)
        if status != 201:
            raise SystemExit(f"making a user: {status} {text[:300]}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(count)))


async def arrive(sign_in, people, seconds):
    """An open loop: nobody waits for anybody. `sign_in` of a number says whether it succeeded, or how not."""
    loop, random_times = asyncio.get_running_loop(), random.Random(500)
    pool = ThreadPoolExecutor(people)
    begin = time.monotonic() + 0.2

    async def one(n, at):
        await asyncio.sleep(begin + at - time.monotonic())
        status = await loop.run_in_executor(pool, sign_in, n)
        return status, time.monotonic() - begin - at

    arrivals = sorted(random_times.uniform(0, seconds) for _ in range(people))
    return await asyncio.gather(*(one(n, at) for n, at in enumerate(arrivals)))


def watch_memory(pid, stop, peak):
    while not stop.wait(0.1):
        peak[0] = max(peak[0], pss(pid))


class Rush:
    """Times, refusals, and the CPU and memory of the processes in `pids`."""

    def __init__(self, sign_in, people, seconds, pids):
        stop, self.idle = threading.Event(), {name: pss(pid) for name, pid in pids.items()}
        peaks = {name: [idle] for name, idle in self.idle.items()}
        watchers = [threading.Thread(target=watch_memory, args=(pid, stop, peaks[name]), daemon=True) for name, pid in pids.items()]
        before = {name: cpu_with_ended_threads(pid) for name, pid in pids.items()}
        for watcher in watchers:
            watcher.start()
        answers = asyncio.run(arrive(sign_in, people, seconds))
        self.cpu = {name: (cpu_with_ended_threads(pid) - before[name]) / people for name, pid in pids.items()}
        stop.set()
        for watcher in watchers:
            watcher.join()
        self.peak = {name: peak[0] for name, peak in peaks.items()}
        self.times = sorted(time for _, time in answers)
        self.refused = [status for status, _ in answers if status != 200]

    @property
    def p50(self):
        return statistics.median(self.times)

    @property
    def p99(self):
        return self.times[int(len(self.times) * 0.99) - 1]

    def __str__(self):
        words = f"{len(self.refused)} refused {set(self.refused) or ''}; p50 {self.p50 * 1e3:.0f} ms, "
        words += f"p99 {self.p99 * 1e3:.0f} ms, longest {self.times[-1] * 1e3:.0f} ms"
        for name, used in self.cpu.items():
            words += f"; {name} {used * 1e3:.1f} ms CPU a sign-in, {self.idle[name]:.0f} MiB before, {self.peak[name]:.0f} MiB at most (PSS)"
        return words
