"""Downloads by signed links with Cassandra and MinIO beneath: one version of Riwaq beside another, and beside MinIO itself.

usage: downloads.py --riwaq OLD/riwaq --riwaq NEW/riwaq --cassandra HOST:PORT --cassandra-pid PID
                    --s3 http://ACCESS:SECRET@HOST:PORT --minio-pid PID [--repeats 5] [--seconds 4] [--at-once 4]

They take turns, so a busy machine is as busy for each of them. CPU is what the operating system counted for the whole processes of
Riwaq, MinIO and Cassandra while the downloads ran; of the latter two that includes what they do anyway. In the end each Riwaq says how
often it asked its backends for one download (`riwaq_backend_calls_total`), one at a time.
"""

import argparse
import pathlib
import re
import statistics
import tempfile
import uuid
from contextlib import ExitStack

import requests

from beneath import Minio, settings
from measuring import cpu_with_ended_threads, spread, wrk
from servers import Riwaq

SIZES = {"1 KiB": 1 << 10, "1 MiB": 1 << 20}
COLUMNS = ("time each", "Riwaq's CPU", "MinIO's CPU", "Cassandra's CPU")


class Measured:
    """What is measured in turn: an address, and the processes that work for it."""

    def __init__(self, name, url, own, arguments):
        self.name, self.url, self.own = name, url, own
        self.beneath = [arguments.minio_pid, arguments.cassandra_pid]
        self.figures = {column: [] for column in COLUMNS}

    def once(self, seconds, at_once):
        before = [cpu_with_ended_threads(pid) for pid in self.beneath]
        used, rate, _ = wrk(self.own or self.beneath[0], self.url, {}, seconds, at_once)
        count = max(1, rate * seconds)
        beneath = [(cpu_with_ended_threads(pid) - was) / count for pid, was in zip(self.beneath, before)]
        for column, value in zip(COLUMNS, (1 / rate, used if self.own else 0.0, *beneath)):
            self.figures[column].append(value)

    def row(self, size):
        cells = [spread(self.figures[column], 1e3, "ms", 2) for column in COLUMNS]
        print(f"| {size} | {self.name} | {' | '.join(cells)} |", flush=True)


def backend_calls(riwaq):
    """Calls of this process to its backends so far, by backend and operation."""
    text = requests.get(f"{riwaq.base}/metrics", timeout=10).text
    found = {}
    for labels, count in re.findall(r"^riwaq_backend_calls_total\{(.*?)\} (\d+)", text, re.M):
        named = dict(re.findall(r'(\w+)="(.*?)"', labels))
        key = f"{named.get('backend')} {named.get('operation')}"
        found[key] = found.get(key, 0) + int(count)
    return found


def uploaded(riwaq, body):
    """A link to a file of these bytes."""
    headers = riwaq.headers()
    made = requests.post(f"{riwaq.base}/api/courses", json={"title": "Downloads"}, headers=headers, timeout=30)
    made.raise_for_status()
    file = requests.post(f"{riwaq.base}/api/courses/{made.json()['id']}/files", headers=headers, timeout=60,
                         files={"file": ("bench.bin", body, "application/octet-stream")})
    file.raise_for_status()
    answer = requests.get(f"{riwaq.base}/api/files/{file.json()['id']}/link", headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()["url"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", action="append", required=True)
    parser.add_argument("--cassandra", required=True)
    parser.add_argument("--cassandra-pid", type=int, required=True)
    parser.add_argument("--s3", required=True)
    parser.add_argument("--minio-pid", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--at-once", type=int, default=4)
    arguments = parser.parse_args()
    run = uuid.uuid4().hex[:8]
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        servers = []
        for number, program in enumerate(arguments.riwaq):
            mine = settings(arguments, f"{run}{number}")
            servers.append(running.enter_context(Riwaq(program, pathlib.Path(name) / f"data{number}", **mine)))
        minio = Minio(arguments, run)
        print(f"| | | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
        for label, size in SIZES.items():
            body = bytes(size)
            minio.put("bench.bin", body)
            measured = [Measured(f"Riwaq {n + 1}", uploaded(riwaq, body), riwaq.pid, arguments)
                        for n, riwaq in enumerate(servers)]
            measured.append(Measured("MinIO direct", minio.link("get_object", "bench.bin"), None, arguments))
            for repeat in range(arguments.repeats):
                for one in measured if repeat % 2 == 0 else reversed(measured):
                    one.once(arguments.seconds, arguments.at_once)
            for one in measured:
                one.row(label)
            for n, one in enumerate(measured[:-1]):
                ratio = statistics.median(one.figures["time each"]) / statistics.median(measured[-1].figures["time each"])
                print(f"Riwaq {n + 1}: {ratio:.1f} times MinIO's own time")
        for n, riwaq in enumerate(servers):
            counted(n, riwaq)


def counted(number, riwaq):
    """What one more download asks of the backends."""
    link, times = uploaded(riwaq, b"counted"), 100
    requests.get(link, timeout=10).raise_for_status()
    before = backend_calls(riwaq)
    for _ in range(times):
        requests.get(link, timeout=10).raise_for_status()
    after = backend_calls(riwaq)
    each = {key: (count - before.get(key, 0)) / times for key, count in after.items()}
    print(f"Riwaq {number + 1} asks for one download: "
          + ", ".join(f"{key} {value:.2f}" for key, value in sorted(each.items()) if value >= 0.5))


main()
