"""A slow link in front of a server on this machine: a TCP proxy of a rate and a round trip."""

from __future__ import annotations

import asyncio
import contextlib
import threading

CHUNK = 4096  # bytes
FAST = 1e9  # bits a second, of answers, which are small


class Way:
    """One direction of the link, which all connections share."""

    def __init__(self, bits: float, delay: float) -> None:
        self.bits, self.delay = bits, delay  # a second; seconds
        self.free = 0.0  # when all that was given to it has left

    def arrival(self, size: int, now: float) -> float:
        """When so many bytes that are given to it now are at the other end."""
        self.free = max(self.free, now) + 8 * size / self.bits
        return self.free + self.delay


class Link:
    """Within a `with`, `url` leads to the server at `port`: `megabits` a second towards it, and
    half of the `round_trip` (seconds) each way.

    As on a connection that is kept: none has a handshake or a slow start.
    """

    def __init__(self, port: int, megabits: float, round_trip: float) -> None:
        self.port, self.url = port, ""
        self._there, self._back = Way(1e6 * megabits, round_trip / 2), Way(FAST, round_trip / 2)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Link:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._ended.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self.port)
        with contextlib.suppress(asyncio.CancelledError):  # at the end
            await asyncio.gather(
                self._carry(reader, server, self._there), self._carry(answers, writer, self._back)
            )

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                self._loop.call_at(way.arrival(len(chunk), self._loop.time()), writer.write, chunk)
        self._loop.call_at(way.arrival(1, self._loop.time()), writer.close)
