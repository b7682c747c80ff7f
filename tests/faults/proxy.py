"""A proxy in front of Postgres that counts a step's messages and strikes at the n-th one.

So a kill or a cut hits between two statements, inside a COPY, or while the answer to COMMIT is on
its way, whatever the driver: psycopg, psycopg2, SQLAlchemy.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

CHUNK_BYTES = 1 << 16


class Proxy:
    """Forwards its own port to Postgres."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.messages = 0
        self._target_port = target_port
        self._strike_at, self._strike, self._is_sent_first = 0, lambda: None, False
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        is_up = threading.Event()
        threading.Thread(target=self._serve, args=(is_up,), daemon=True).start()
        assert is_up.wait(10)

    def expect(
        self, at: int = 0, strike: Callable[[], None] = lambda: None, *, is_sent_first: bool = False
    ) -> None:
        """Restart the count, and call `strike` at message number `at`.

        Args:
            at: Number of the message; 1 is the first, 0 means never.
            strike: Called in the proxy's thread.
            is_sent_first: Send the message to Postgres first, so that it is working on it.
        """
        self.messages = 0
        self._strike_at, self._strike, self._is_sent_first = at, strike, is_sent_first

    def cut(self) -> None:
        """Close every connection, both ends."""
        for pair in list(self._pairs):
            for writer in pair:
                self._loop.call_soon_threadsafe(writer.transport.abort)

    def close(self) -> None:
        """Stop listening and close every connection."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _serve(self, is_up: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        is_up.set()
        self._loop.run_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, sends = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # Postgres is down: the client is refused, as without a proxy
            writer.close()
            return
        pair = (writer, sends)
        self._pairs.add(pair)
        await asyncio.gather(self._requests(reader, sends), self._answers(answers, writer))
        self._pairs.discard(pair)

    async def _requests(self, reader: asyncio.StreamReader, sends: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                self.messages += 1
                is_it = self.messages == self._strike_at
                if is_it and not self._is_sent_first:
                    self._strike()
                sends.write(data)
                await sends.drain()
                if is_it and self._is_sent_first:
                    self._strike()
        sends.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()
        writer.close()
