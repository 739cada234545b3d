"""What the measurements share: processes and what they cost, load tools, figures as text."""

import http.client
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """The process and everything below it."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:
            continue  # the thread ended meanwhile
        for child in children:
            found += tree(int(child))
    return found


def cpu(pid):
    """CPU seconds of the process and everything below it, user and system, to the nanosecond where the kernel says so."""
    total = 0.0
    for one in tree(pid):
        for task in pathlib.Path(f"/proc/{one}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except FileNotFoundError:
                pass  # the thread ended meanwhile
    return total


def cpu_with_ended_threads(pid):
    """The same in ticks of 10 ms, with threads that have ended: pools end theirs when there is nothing to do."""
    total = 0
    for one in tree(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def pss(pid):
    """Memory in MiB: shared pages are divided among those that share them."""
    return sum(
        int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])
        for one in tree(pid)
    ) / 1024


def wait_ready(port, path="/readyz", seconds=30):
    """Waits for an answer below 400."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            if connection.getresponse().status < 400:
                return
        except OSError:
            pass
        time.sleep(0.001)
    sys.exit(f"port {port} does not answer")


def script(tokens):
    """A script for wrk that goes through `tokens`, one a request."""
    file = tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False)
    with file:
        quoted = ",".join(f'"Bearer {token}"' for token in tokens)
        file.write(f"local tokens = {{{quoted}}}\nlocal at = 0\n"
                   "request = function()\n  at = at % #tokens + 1\n"
                   '  return wrk.format("GET", nil, {["Authorization"] = tokens[at]})\nend\n')
    return file.name


def header_arguments(headers):
    return [argument for name, value in headers.items() for argument in ("-H", f"{name}: {value}")]


def wrk(pid, url, headers, seconds, connections, lua=None):
    """CPU seconds a request, requests a second, memory at the end."""
    extra = ["-s", lua] if lua else []
    before = cpu(pid)
    said = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *extra, *header_arguments(headers), url],
                          capture_output=True, text=True, check=True).stdout
    used = cpu(pid) - before
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(said)
    count = int(re.search(r"(\d+) requests in", said)[1])
    return used / count, count / seconds, pss(pid)


def p99(url, headers, rate, seconds):
    """The 99th percentile in seconds at this rate."""
    workers = 10
    said = subprocess.run(["hey", "-z", f"{seconds}s", "-c", str(workers), "-q", str(rate / workers),
                           *header_arguments(headers), url], capture_output=True, text=True, check=True).stdout
    if re.search(r"\[[45]\d\d\]\s+\d+ responses|Error distribution", said):
        sys.exit(said)
    return float(re.search(r"99%+ in ([\d.]+) secs", said)[1])


def spread(values, scale=1.0, unit="", digits=1):
    values = sorted(value * scale for value in values)
    return f"{statistics.median(values):.{digits}f} {unit} ({values[0]:.{digits}f} to {values[-1]:.{digits}f})"
