"""Riwaq on real backends, beside its peers, in one run: courses from Cassandra, files from MinIO.

usage: backends.py --riwaq target/release/riwaq --cassandra HOST:PORT --s3 http://ACCESS:SECRET@HOST:PORT --minio-pid PID
                   [--repeats 5] [--seconds 6] [--rate 300]

`cargo xtask backends up` starts them and `status` says where. CPU is what the operating system counted for the server's own
processes: Riwaq's (all roles in one), the peer's, MinIO's. Rows `through Riwaq` need MinIO's CPU as well; it is printed beside.
"""

import argparse
import http.client
import pathlib
import statistics
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import requests

from beneath import Minio, settings
from measuring import cpu, p99, pss, spread, wrk
from servers import Peer, Riwaq

COURSES = 20
SIZES = {"1 KiB": 1 << 10, "1 MiB": 1 << 20, "64 MiB": 64 << 20}
UPLOADS = {"1 KiB": 200, "1 MiB": 60, "64 MiB": 4}
AT_ONCE = 4


def put_direct(minio, body):
    answer = requests.put(minio.link("put_object", str(uuid.uuid4())), data=body, timeout=120)
    answer.raise_for_status()


def put_through(riwaq, course, headers, body):
    """One multipart form, as a browser sends it, without the cost of a form library."""
    edge = uuid.uuid4().hex
    head = (f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{edge}.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode()
    connection = http.client.HTTPConnection("127.0.0.1", riwaq.port, timeout=120)
    connection.request("POST", f"/api/courses/{course}/files", b"".join([head, body, f"\r\n--{edge}--\r\n".encode()]),
                       {**headers, "Content-Type": f"multipart/form-data; boundary={edge}"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 201:
        raise SystemExit(f"upload: {answer.status} {text[:300]}")
    return text


def measured(pids, count, work):
    before = [cpu(pid) for pid in pids]
    begin = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: work(), range(count)))
    took = time.monotonic() - begin
    return [(cpu(pid) - was) / count for pid, was in zip(pids, before)], took / count


def courses(riwaq, peer, arguments):
    found = {server.name: {"cpu": [], "rate": [], "p99": []} for server in (riwaq, peer)}
    for repeat in range(arguments.repeats):
        for server in (riwaq, peer) if repeat % 2 == 0 else (peer, riwaq):
            used, rate, _ = wrk(server.pid, server.courses(), riwaq.headers(), arguments.seconds, 16)
            figures = found[server.name]
            figures["cpu"].append(used), figures["rate"].append(rate)
            figures["p99"].append(p99(server.courses(), riwaq.headers(), arguments.rate, arguments.seconds))
    print("| `GET /api/courses`, courses in Cassandra | Riwaq | FastAPI with cassandra-driver | ratio |\n|---|---|---|---|")
    for label, key, scale, unit in (("CPU a request", "cpu", 1e6, "µs"), ("requests a second", "rate", 1, "/s"),
                                    (f"p99 at {arguments.rate}/s", "p99", 1e3, "ms")):
        ours, theirs = found[riwaq.name][key], found[peer.name][key]
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"| {label} | {spread(ours, scale, unit)} | {spread(theirs, scale, unit)} | {ratio:.3f} |")


def files(riwaq, minio, arguments):
    headers = riwaq.headers()
    course = requests.get(riwaq.courses(), headers=headers, timeout=10).json()["items"][0]["id"]
    print("\n| | through Riwaq: its CPU | MinIO's CPU then | MinIO direct: its CPU | time each, through | time each, direct |\n|---|---|---|---|---|---|")
    for label, size in SIZES.items():
        body = bytes(size)
        through, each = measured([riwaq.pid, minio.pid], UPLOADS[label], lambda: put_through(riwaq, course, headers, body))
        direct, each_direct = measured([minio.pid], UPLOADS[label], lambda: put_direct(minio, body))
        row(f"upload of {label}", through, direct, each, each_direct)
        file = requests.post(f"{riwaq.base}/api/courses/{course}/files", headers=headers, timeout=60,
                             files={"file": ("bench.bin", body, "application/octet-stream")}).json()["id"]
        link = requests.get(f"{riwaq.base}/api/files/{file}/link", headers=headers, timeout=10).json()["url"]
        minio.put("bench.bin", body)
        before = cpu(minio.pid)
        used, rate, _ = wrk(riwaq.pid, link, {}, arguments.seconds, AT_ONCE)
        stores = (cpu(minio.pid) - before) / max(1, rate * arguments.seconds)
        used_direct, rate_direct, _ = wrk(minio.pid, minio.link("get_object", "bench.bin"), {}, arguments.seconds, AT_ONCE)
        row(f"download of {label}", [used, stores], [used_direct], 1 / rate, 1 / rate_direct)
    print(f"\nRiwaq afterwards: {pss(riwaq.pid):.0f} MiB PSS.")


def row(label, through, direct, each, each_direct):
    cells = [f"{seconds * 1e3:.2f} ms" for seconds in (*through, *direct, each, each_direct)]
    print(f"| {label} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--cassandra", required=True)
    parser.add_argument("--s3", required=True)
    parser.add_argument("--minio-pid", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rate", type=int, default=300)
    arguments = parser.parse_args()
    run = uuid.uuid4().hex[:8]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        big = folder / "big.bin"
        big.write_bytes(bytes(1 << 20))
        with Riwaq(arguments.riwaq, folder / "data", **settings(arguments, run)) as riwaq:
            riwaq.prepare(big, COURSES)
            with Peer(riwaq, folder, big, cassandra=f"{arguments.cassandra}/peer_{run}") as peer:
                courses(riwaq, peer, arguments)
            files(riwaq, Minio(arguments, run), arguments)


main()
