"""Riwaq beside a FastAPI peer, in one run on one machine; prints a report in Markdown.

usage: compare.py --riwaq target/release/riwaq [--repeats 5] [--seconds 8] [--rate 300]

Needs wrk and hey on the PATH and a Python with fastapi, uvicorn[standard], orjson, python-jose[cryptography] and
requests. CPU is what the operating system counted for the servers' processes (user and system), divided by
the requests that were answered. Runs alternate; the median is printed with the lowest and highest.
"""

import argparse
import hashlib
import hmac
import json
import os
import pathlib
import re
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import requests

HERE = pathlib.Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
PASSWORD = "a-password-for-measuring"
COURSES = 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """The process and everything below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu(pid):
    total = 0
    for one in tree(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss(pid):
    return sum(
        int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])
        for one in tree(pid)
    ) / 1024


def wait(url):
    for _ in range(600):
        try:
            if requests.get(url, timeout=1).status_code < 500:
                return
        except requests.RequestException:
            pass
        time.sleep(0.02)
    sys.exit(f"{url} does not answer")


class Riwaq:
    name = "Riwaq"

    def __init__(self, program, folder):
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        command = [program, "dev", "--port", str(self.port), "--data-dir", str(folder), "--demo-password", PASSWORD]
        started = time.monotonic()
        self.log = open(f"{folder}.log", "w")
        environment = {**os.environ, "RIWAQ_GATEWAY_RATE_LIMIT": "off"}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)
        wait(f"{self.base}/readyz")
        self.ready = time.monotonic() - started

    def token(self):
        answer = requests.post(
            f"{self.base}/api/auth/login", json={"email": "teacher@riwaq.local", "password": PASSWORD}, timeout=10
        )
        answer.raise_for_status()
        return answer.json()["access_token"]

    def prepare(self, big):
        self.headers = {"Authorization": f"Bearer {self.token()}"}
        for n in range(COURSES):
            body = {"title": f"Cours {n}", "description": "Une description de taille ordinaire. " * 4}
            answer = requests.post(f"{self.base}/api/courses", json=body, headers=self.headers, timeout=10)
            answer.raise_for_status()
        with open(big, "rb") as file:
            answer = requests.post(
                f"{self.base}/api/courses/{answer.json()['id']}/files",
                files={"file": ("big.bin", file, "application/octet-stream")}, headers=self.headers, timeout=60,
            )
        answer.raise_for_status()
        self.file = answer.json()["id"]

    def courses(self):
        return f"{self.base}/api/courses?scope=mine", {"Authorization": f"Bearer {self.token()}"}

    def download(self):
        headers = {"Authorization": f"Bearer {self.token()}"}
        return requests.get(f"{self.base}/api/files/{self.file}/link", headers=headers, timeout=10).json()["url"], {}


class Peer:
    name = "FastAPI"

    def __init__(self, riwaq, folder, big):
        self.port, self.riwaq = free_port(), riwaq
        self.base = f"http://127.0.0.1:{self.port}"
        (folder / "jwks.json").write_text(requests.get(self.jwks_uri(), timeout=10).text)
        listed = requests.get(f"{riwaq.base}/api/courses?scope=mine", headers=riwaq.headers, timeout=10).json()["items"]
        database = sqlite3.connect(folder / "peer.db")
        database.execute("CREATE TABLE courses (id TEXT PRIMARY KEY, title, description, status, visibility, "
                         "owner, version, created_at, updated_at)")
        database.execute("CREATE INDEX by_owner ON courses (owner, id)")
        for course in listed:
            database.execute("INSERT INTO courses VALUES (?,?,?,?,?,?,?,?,?)", [course[name] for name in (
                "id", "title", "description", "status", "visibility", "owner", "version", "created_at", "updated_at")])
        database.commit()
        environment = {
            **os.environ, "PEER_DATABASE": str(folder / "peer.db"), "PEER_JWKS": str(folder / "jwks.json"),
            "PEER_ISSUER": riwaq.base, "PEER_FILE": str(big), "PEER_LINK_KEY": "a-key-of-the-peer",
        }
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--workers", "2",
                   "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
        self.log = open(folder / "peer.log", "w")
        self.process = subprocess.Popen(command, cwd=HERE / "peer", env=environment, stdout=self.log, stderr=self.log)
        wait(f"{self.base}/api/courses")

    def jwks_uri(self):
        return requests.get(f"{self.riwaq.base}/.well-known/openid-configuration", timeout=10).json()["jwks_uri"]

    def courses(self):
        return f"{self.base}/api/courses", self.riwaq.courses()[1]

    def download(self):
        expires = int(time.time()) + 300
        signature = hmac.new(b"a-key-of-the-peer", f"big:{expires}".encode(), hashlib.sha256).hexdigest()
        return f"{self.base}/files/big?expires={expires}&signature={signature}", {}


def header_arguments(headers):
    return [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]


def wrk(server, url, headers, seconds, connections):
    before = cpu(server.process.pid)
    said = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *header_arguments(headers), url],
                          capture_output=True, text=True, check=True).stdout
    used = cpu(server.process.pid) - before
    if "Non-2xx" in said:
        sys.exit(f"{server.name}: {said}")
    count = int(re.search(r"(\d+) requests in", said)[1])
    return used / count, count / seconds, pss(server.process.pid)


def p99(server, url, headers, rate, seconds):
    workers = 10
    said = subprocess.run(["hey", "-z", f"{seconds}s", "-c", str(workers), "-q", str(rate / workers),
                           *header_arguments(headers), url], capture_output=True, text=True, check=True).stdout
    if re.search(r"\[[45]\d\d\]", said):
        sys.exit(f"{server.name}: {said}")
    return float(re.search(r"99%+ in ([\d.]+) secs", said)[1])


def spread(values, scale, unit):
    values = sorted(value * scale for value in values)
    return f"{statistics.median(values):.1f} {unit} ({values[0]:.1f} to {values[-1]:.1f})"


def measure(servers, arguments):
    results = {server.name: {"cpu": [], "rate": [], "p99": [], "bytes": [], "pss": []} for server in servers}
    for repeat in range(arguments.repeats):
        for server in servers if repeat % 2 == 0 else reversed(servers):
            found = results[server.name]
            used, rate, memory = wrk(server, *server.courses(), arguments.seconds, 16)
            found["cpu"].append(used), found["rate"].append(rate), found["pss"].append(memory)
            found["p99"].append(p99(server, *server.courses(), arguments.rate, arguments.seconds))
            used, _, _ = wrk(server, *server.download(), arguments.seconds, 4)
            found["bytes"].append(0.016777216 / used)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rate", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        big = folder / "big.bin"
        big.write_bytes(os.urandom(16 << 20))
        riwaq = Riwaq(arguments.riwaq, folder / "data")
        idle = pss(riwaq.process.pid)
        first_start = riwaq.ready
        riwaq.prepare(big)
        peer = Peer(riwaq, folder, big)
        try:
            results = measure([riwaq, peer], arguments)
        finally:
            riwaq.process.terminate(), peer.process.terminate()
            riwaq.process.wait(), peer.process.wait()
        again = Riwaq(arguments.riwaq, folder / "data")
        warm_start, warm_idle = again.ready, pss(again.process.pid)
        again.process.terminate(), again.process.wait()
    report(results, arguments, (first_start, idle, warm_start, warm_idle), os.path.getsize(arguments.riwaq))


def report(results, arguments, starts, size):
    print(f"| {arguments.repeats} repeats of {arguments.seconds} s | Riwaq | FastAPI | ratio of medians |\n|---|---|---|---|")
    rows = [("CPU a request, GET /api/courses", "cpu", 1e6, "µs"), ("requests a second, 16 connections", "rate", 1, "/s"),
            (f"p99 at {arguments.rate} requests/s", "p99", 1e3, "ms"), ("memory under load (PSS)", "pss", 1, "MiB"),
            ("download of 16 MiB, per CPU-second", "bytes", 1, "GB")]
    for label, key, scale, unit in rows:
        mine, other = results["Riwaq"][key], results["FastAPI"][key]
        ratio = statistics.median(mine) / statistics.median(other)
        print(f"| {label} | {spread(mine, scale, unit)} | {spread(other, scale, unit)} | {ratio:.3f} |")
    first_start, idle, warm_start, warm_idle = starts
    print(f"\nFirst start ready in {first_start * 1e3:.0f} ms, idle {idle:.0f} MiB PSS; warm start ready in "
          f"{warm_start * 1e3:.0f} ms, idle {warm_idle:.0f} MiB PSS. Program: {size / 1e6:.1f} MB.")


main()
