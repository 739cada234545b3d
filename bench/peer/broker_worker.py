"""The peer of broker.py: aio-pika as its documentation uses it, on the same kind of queue.

usage: broker_worker.py URL QUEUE publish|consume EVENTS BYTES
"""

import asyncio
import json
import sys
import time

import aio_pika

AT_ONCE = 512
PREFETCH = 64


async def publish(channel, queue, events, size):
    body = json.dumps({"filler": "x" * size}).encode()
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number):
        async with free:
            headers = {
                "cloudEvents:specversion": "1.0",
                "cloudEvents:id": str(number),
                "cloudEvents:source": "/riwaq/bench",
                "cloudEvents:type": "riwaq.bench.thing.changed",
            }
            message = aio_pika.Message(
                body, headers=headers, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
            )
            await channel.default_exchange.publish(message, queue.name)

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(events)))
    return time.monotonic() - began


async def consume(channel, queue, events):
    await channel.set_qos(prefetch_count=PREFETCH)
    left, first, done = events, None, asyncio.Event()

    async def handle(message):
        nonlocal left, first
        first = first or time.monotonic()
        json.loads(message.body)
        await message.ack()
        left -= 1
        if left == 0:
            done.set()

    await queue.consume(handle)
    await done.wait()
    return time.monotonic() - first


async def main(url, name, what, events, size):
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
    took = await (publish(channel, queue, events, size) if what == "publish" else consume(channel, queue, events))
    print(json.dumps({"events": events, "seconds": took}))
    await connection.close()


if __name__ == "__main__":
    url, name, what, events, size = sys.argv[1:]
    asyncio.run(main(url, name, what, int(events), int(size)))
