"""Memory while many people download, or upload, at once.

usage: streams.py --riwaq target/release/riwaq [--way down|up] [--streams 100] [--megabytes 16] [--seconds 5]
                  [--cassandra HOST:PORT --s3 http://ACCESS:SECRET@HOST:PORT]

Every client is as slow as it takes to need `--seconds`, so that all of them are open at the same time. Memory is the
process's own (PSS); what the kernel keeps for sockets is not in it. With Cassandra and MinIO beneath, every byte passes through the
process; without them the kernel sends it from the disk.
"""

import argparse
import os
import pathlib
import socket
import tempfile
import threading
import time
import uuid
from urllib.parse import urlsplit

from beneath import settings
from measuring import cpu, pss
from servers import Riwaq

PIECE = 64 << 10


def read_slowly(url, size, seconds, opened, results):
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        request = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        opened.wait()
        begin, read = time.monotonic(), 0
        while piece := connection.recv(PIECE):
            read += len(piece)
            time.sleep(max(0, begin + seconds * read / size - time.monotonic()))
        results.append(read > size)


def write_slowly(base, path, headers, size, seconds, opened, results):
    address = urlsplit(base)
    head = ("--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n"
            "Content-Type: application/octet-stream\r\n\r\n").encode()
    tail = b"\r\n--edge--\r\n"
    piece = os.urandom(PIECE)
    with socket.create_connection((address.hostname, address.port)) as connection:
        lines = [f"POST {path} HTTP/1.1", f"Host: {address.netloc}", "Connection: close",
                 "Content-Type: multipart/form-data; boundary=edge", f"Content-Length: {len(head) + size + len(tail)}",
                 *(f"{name}: {value}" for name, value in headers.items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + head)
        opened.wait()
        begin = time.monotonic()
        for written in range(0, size, PIECE):
            connection.sendall(piece)
            time.sleep(max(0, begin + seconds * written / size - time.monotonic()))
        connection.sendall(tail)
        answer = connection.recv(PIECE).split(b" ", 2)
        results.append(answer[1] == b"201")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--riwaq", required=True)
    parser.add_argument("--way", choices=("down", "up"), default="down")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--megabytes", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--cassandra")
    parser.add_argument("--s3")
    arguments = parser.parse_args()
    beneath = settings(arguments, uuid.uuid4().hex[:8]) if arguments.s3 else {"RIWAQ_GATEWAY_RATE_LIMIT": "off"}
    size = arguments.megabytes << 20
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        big = folder / "big.bin"
        big.write_bytes(os.urandom(size))
        with Riwaq(arguments.riwaq, folder / "data", **beneath) as riwaq:
            started = pss(riwaq.pid)
            riwaq.prepare(big, 1)
            if arguments.way == "down":
                work, about = read_slowly, (riwaq.download(),)
            else:
                work, about = write_slowly, (riwaq.base, f"/api/courses/{riwaq.course}/files", riwaq.headers())
            time.sleep(2)
            idle, before = pss(riwaq.pid), cpu(riwaq.pid)
            opened, results = threading.Barrier(arguments.streams), []
            about = (*about, size, arguments.seconds, opened, results)
            clients = [threading.Thread(target=work, args=about) for _ in range(arguments.streams)]
            [client.start() for client in clients]
            peak = idle
            while any(client.is_alive() for client in clients):
                peak = max(peak, pss(riwaq.pid))
                time.sleep(0.05)
            used = cpu(riwaq.pid) - before
    whole = sum(results)
    print(f"{whole} of {arguments.streams} {arguments.way}loads of {arguments.megabytes} MiB at once came whole: memory {started:.0f} MiB after the "
          f"start, {idle:.0f} MiB before, {peak:.0f} MiB at most: {peak - idle:.1f} MiB more; {used:.2f} s CPU")


main()
