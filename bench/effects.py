"""From a change that is acknowledged to its effect: Riwaq's outbox beside the same by cassandra-driver and aio-pika, in one run.

usage: effects.py --outbox-to-effect target/release/examples/outbox_to_effect --cassandra HOST:PORT
                  --url amqp://USER:PASSWORD@HOST:PORT/%2f [--repeats 5]

One change after the other (how long), then 64 at once (how many). CPU is the process's own: service and worker in one. Runs
alternate; the median is printed with the lowest and highest. Needs a Python with requirements.txt.
"""

import argparse
import pathlib
import re
import subprocess
import sys

from measuring import spread

PEER = pathlib.Path(__file__).parent / "peer" / "outbox_worker.py"
COLUMNS = ["acknowledged p50 (ms)", "p99", "effect after that p50 (ms)", "p99", "changes/s", "CPU a change (µs)"]


def figures(command):
    """Of each line of the table that it prints: what it is of, and its numbers."""
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [line.strip("| \n") for line in said.splitlines() if " at once" in line]
    if len(lines) != 2:
        sys.exit(f"{command[0]} printed no table:\n{said}")
    for line in lines:
        name, rest = line.split("|", 1)
        yield name.strip(), [float(number) for number in re.findall(r"[\d.]+", rest)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--outbox-to-effect", required=True)
    parser.add_argument("--cassandra", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    a = parser.parse_args()
    commands = {
        "Riwaq": [a.outbox_to_effect, a.cassandra, a.url],
        "aio-pika": [sys.executable, str(PEER), a.cassandra, a.url],
    }
    seen = {}
    for repeat in range(a.repeats):
        order = list(commands)[:: 1 if repeat % 2 == 0 else -1]
        for who in order:
            for name, numbers in figures(commands[who]):
                seen.setdefault((name, who), []).append(numbers)
    print(f"| | {' | '.join(COLUMNS)} |")
    print(f"|{'---|' * (len(COLUMNS) + 1)}")
    for (name, who), runs in sorted(seen.items()):
        cells = [spread(column) for column in zip(*runs)]
        print(f"| {who}, {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
