"""The peer of effects.py: a change with an outbox, by cassandra-driver and aio-pika as their documentation uses them.

usage: outbox_worker.py HOST:PORT-OF-CASSANDRA URL-OF-RABBITMQ

The same steps and the same promises as Riwaq's: a row in the outbox, the version if it is not there yet, the event
published and confirmed, the outbox's row deleted; then the consumer looks into its inbox, makes the effect, notes the event
and acknowledges it. Service and worker are one process. Leaves its keyspace and its queue: for trial servers.
"""

import asyncio
import json
import resource
import sys
import time
import uuid

import aio_pika
from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster

from stores import signed_in

ONE_BY_ONE, MANY, AT_ONCE, PREFETCH = 500, 5_000, 64, 32
DESCRIPTION = "Une description de taille ordinaire. " * 8
TABLES = [
    "versions (id uuid, version int, title text, description text, PRIMARY KEY (id, version))",
    "outbox (bucket int, id uuid, event text, PRIMARY KEY (bucket, id))",
    "inbox (id uuid PRIMARY KEY, at timestamp)",
    "effects (course uuid PRIMARY KEY, event text)",
]
STATEMENTS = {
    "intend": "INSERT INTO outbox (bucket, id, event) VALUES (?, ?, ?)",
    "create": "INSERT INTO versions (id, version, title, description) VALUES (?, 1, ?, ?) IF NOT EXISTS",
    "forget": "DELETE FROM outbox WHERE bucket = ? AND id = ?",
    "noted": "SELECT id FROM inbox WHERE id = ?",
    "note": "INSERT INTO inbox (id, at) VALUES (?, toTimestamp(now()))",
    "effect": "INSERT INTO effects (course, event) VALUES (?, ?)",
}


class Store:
    def __init__(self, address):
        host, port = address.split(":")
        cluster = Cluster([host], port=int(port), protocol_version=5, **signed_in())
        self.session = cluster.connect()
        keyspace = f"peer_{uuid.uuid4().hex[:12]}"
        replication = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        self.session.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {replication}", timeout=60)
        self.session.set_keyspace(keyspace)
        for table in TABLES:
            self.session.execute(f"CREATE TABLE {table}", timeout=60)
        self.session.default_consistency_level = ConsistencyLevel.LOCAL_QUORUM
        self.statements = {name: self.session.prepare(text) for name, text in STATEMENTS.items()}

    async def run(self, statement, *values):
        loop = asyncio.get_running_loop()
        rows = loop.create_future()
        self.session.execute_async(self.statements[statement], values).add_callbacks(
            lambda found: loop.call_soon_threadsafe(rows.set_result, found),
            lambda error: loop.call_soon_threadsafe(rows.set_exception, error),
        )
        return await rows


class Service:
    def __init__(self, store, channel, queue):
        self.store, self.channel, self.queue = store, channel, queue
        self.waiting, self.publishing = {}, set()

    async def change(self):
        """Until the change is acknowledged; its event is published after that."""
        course, bucket = uuid.uuid4(), int(time.time()) // 60
        effect = self.waiting[course] = asyncio.get_running_loop().create_future()
        body = json.dumps({"id": str(course), "title": "Un cours", "description": DESCRIPTION}).encode()
        began = time.monotonic()
        await self.store.run("intend", bucket, course, body.decode())
        await self.store.run("create", course, "Un cours", DESCRIPTION)
        acknowledged = time.monotonic()
        publishing = asyncio.create_task(self.publish(bucket, course, body))
        self.publishing.add(publishing)
        publishing.add_done_callback(self.publishing.discard)
        return acknowledged - began, max(0.0, await effect - acknowledged)

    async def publish(self, bucket, course, body):
        message = aio_pika.Message(
            body,
            headers={"cloudEvents:id": str(course), "cloudEvents:type": "riwaq.bench.course.changed"},
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self.channel.default_exchange.publish(message, self.queue.name)
        await self.store.run("forget", bucket, course)

    async def handle(self, message):
        course = uuid.UUID(json.loads(message.body)["id"])
        if not (await self.store.run("noted", course)):
            await self.store.run("effect", course, str(course))
            await self.store.run("note", course)
        await message.ack()
        self.waiting.pop(course).set_result(time.monotonic())


async def run(service, count, at_once):
    free = asyncio.Semaphore(at_once)

    async def one():
        async with free:
            return await service.change()

    def cpu():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    cpu_before, began = cpu(), time.monotonic()
    times = await asyncio.gather(*(one() for _ in range(count)))
    wall, used = time.monotonic() - began, cpu() - cpu_before
    acknowledged, effect = (sorted(part) for part in zip(*times))

    def ms(times, of_hundred):
        return times[(len(times) - 1) * of_hundred // 100] * 1e3

    print(
        f"| {at_once} at once | {ms(acknowledged, 50):.1f} / {ms(acknowledged, 99):.1f} ms "
        f"| {ms(effect, 50):.1f} / {ms(effect, 99):.1f} ms | {count / wall:.0f} | {used * 1e6 / count:.0f} µs |"
    )


async def main(cassandra, rabbitmq):
    store = Store(cassandra)
    connection = await aio_pika.connect(rabbitmq)
    channel = await connection.channel(publisher_confirms=True)
    await channel.set_qos(prefetch_count=PREFETCH)
    name = f"peer-{uuid.uuid4().hex[:12]}"
    queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    service = Service(store, channel, queue)
    await queue.consume(service.handle)
    # The first are not counted: connections and statements are made.
    await asyncio.gather(*(service.change() for _ in range(100)))
    await run(service, ONE_BY_ONE, 1)
    await run(service, MANY, AT_ONCE)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
