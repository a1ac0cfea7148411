"""Works off a stream that an endpoint forwards to: see ../README.md. Needs nats-py."""

import asyncio
import sys

import nats
from nats.errors import TimeoutError as NothingThere


async def main(server, stream, durable, count):
    client = await nats.connect(server)
    subscription = await client.jetstream().pull_subscribe("", durable=durable, stream=stream)
    # A message may come again: where a crash must not forget what was done, write the id in one
    # transaction with the work.
    done = set()
    while len(done) < count:
        try:
            messages = await subscription.fetch(100, timeout=5)
        except NothingThere:
            continue
        for message in messages:
            id = message.headers["Nats-Msg-Id"]
            if id not in done:
                print(id, message.data.decode(errors="replace"), flush=True)
                done.add(id)
            # Waits until the server has taken the acknowledgement: one that is lost brings the
            # message again.
            await message.ack_sync()
    await client.close()


server, stream, durable, count = sys.argv[1:]
asyncio.run(main(server, stream, durable, int(count)))
