"""Events through RabbitMQ: Riwaq's adapter beside an aio-pika worker and the broker's own PerfTest, in one run.

usage: broker.py --events-cpu target/release/examples/events_cpu --url amqp://USER:PASSWORD@HOST:PORT/%2f
                 [--repeats 5] [--events 30000] [--bytes 500] [--jars FOLDER]

Each publishes so many persistent messages into a quorum queue of its own, each confirmed and up to 512 unconfirmed at
once, and then handles them, each acknowledged by itself. CPU is what the operating system counted for the client's
process, its start included (PerfTest's is a Java virtual machine's); the rate is taken from the first message to the last.
Runs alternate; the median is printed with the lowest and highest. Needs a Python with requirements.txt; PerfTest comes
from Maven Central, with mvn and java on the PATH, into --jars, and is left out without them.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import uuid

from measuring import spread

PERF_TEST = "2.22.1"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
POM = f"""<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>bench</artifactId><version>1</version>
<dependencies><dependency><groupId>com.rabbitmq</groupId><artifactId>perf-test</artifactId><version>{PERF_TEST}</version></dependency>
</dependencies></project>"""
WINDOW, PREFETCH = 512, 64


def run(command):
    """What it printed, and its CPU seconds."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{text}")
    return text, used.ru_utime + used.ru_stime


class OurOwn:
    name = "Riwaq"

    def __init__(self, program, arguments):
        self.program, self.arguments = program, arguments

    def phase(self, what, unique):
        a = self.arguments
        text, used = run([self.program, a.url, f"bench-{unique}", what, str(a.events), str(a.bytes)])
        return json.loads(text.splitlines()[-1])["seconds"], used


class AioPika(OurOwn):
    name = "aio-pika"

    def phase(self, what, unique):
        a = self.arguments
        worker = pathlib.Path(__file__).parent / "peer" / "broker_worker.py"
        text, used = run([sys.executable, worker, a.url, f"bench-peer-{unique}", what, str(a.events), str(a.bytes)])
        return json.loads(text.splitlines()[-1])["seconds"], used


class PerfTest(OurOwn):
    name = "PerfTest"

    def phase(self, what, unique):
        a = self.arguments
        common = ["java", "-cp", f"{self.program}/*", "com.rabbitmq.perf.PerfTest", "-h", a.url, "-u", f"bench-perf-{unique}"]
        common += ["--quorum-queue", "-s", str(a.bytes)]
        if what == "publish":
            own = ["-x", "1", "-y", "0", "-C", str(a.events), "-c", str(WINDOW), "-f", "persistent"]
        else:
            own = ["-x", "0", "-y", "1", "-D", str(a.events), "-q", str(PREFETCH)]
        text, used = run(common + own)
        direction = "sending" if what == "publish" else "receiving"
        rate = re.search(rf"{direction} rate avg: (\d+)", text)
        return a.events / int(rate[1]), used


def perf_test(folder):
    """The jars, fetched once."""
    folder = pathlib.Path(folder)
    if not any(folder.glob("perf-test-*.jar")):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as project:
            pathlib.Path(project, "pom.xml").write_text(POM)
            copy = ["mvn", "-q", "-f", project, COPY, f"-DoutputDirectory={folder.resolve()}", "-DincludeScope=runtime"]
            subprocess.run(copy, check=True)
    return folder


def forget(url, prefixes):
    """Takes the queues away."""
    import asyncio

    import aio_pika

    async def delete():
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        for unique in prefixes:
            prefix, kind = f"bench-{unique}", "bench.effects:riwaq.bench.thing.changed"
            queues = [f"bench-peer-{unique}", f"bench-perf-{unique}", f"{prefix}:group:{kind}", f"{prefix}:dead:bench.effects"]
            queues += [f"{prefix}:delay:{kind}:{step}s" for step in (1, 5, 30, 120, 600)]
            for queue in queues:
                await channel.queue_delete(queue)
            await channel.exchange_delete(f"{prefix}:events")
        await connection.close()

    asyncio.run(delete())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events-cpu", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--bytes", type=int, default=500)
    parser.add_argument("--jars", default=os.path.join(tempfile.gettempdir(), "perf-test"))
    arguments = parser.parse_args()
    clients = [OurOwn(arguments.events_cpu, arguments), AioPika(None, arguments)]
    if shutil.which("mvn") and shutil.which("java"):
        clients.append(PerfTest(perf_test(arguments.jars), arguments))
    found = {(client.name, what): ([], []) for client in clients for what in ("publish", "consume")}
    used = []
    for repeat in range(arguments.repeats):
        for client in clients if repeat % 2 == 0 else reversed(clients):
            used.append(uuid.uuid4().hex[:8])
            for what in ("publish", "consume"):
                seconds, cpu = client.phase(what, used[-1])
                rates, costs = found[client.name, what]
                rates.append(arguments.events / seconds)
                costs.append(cpu / arguments.events * 1e6)
    forget(arguments.url, used)
    print(f"{arguments.events} events of {arguments.bytes} bytes, {arguments.repeats} repeats\n")
    print("| | events/s | client CPU an event |\n|---|---|---|")
    for (name, what), (rates, costs) in found.items():
        print(f"| {name}, {what} | {spread(rates, digits=0)} | {spread(costs, unit='µs')} |")


if __name__ == "__main__":
    main()
