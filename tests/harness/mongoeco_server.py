"""Runs mongoeco, a MongoDB-compatible server, in memory on the loopback address until SIGTERM or SIGINT.

    PYTHONPATH=SITE python3.13 mongoeco_server.py --port 27117

Started by scripts/server. Prints one line once it listens.
"""

import argparse
import asyncio
import signal

from mongoeco.engines.memory import MemoryEngine
from mongoeco.wire.proxy import AsyncMongoEcoProxyServer


async def serve(port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncMongoEcoProxyServer(engine=MemoryEngine(), host="127.0.0.1", port=port) as server:
        print(f"listening at {server.address.uri}")
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
