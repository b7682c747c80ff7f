"""Real receivers of alerts: an SMTP server and an HTTP server on loopback, as fixtures."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller

from local.home import free_port


class Mailbox:
    """Stores what an SMTP client sends, or answers that the box is full."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], str, str]] = []
        self.is_full = False

    async def handle_DATA(self, server, session, envelope):
        if self.is_full:
            return "552 mailbox full"
        message = message_from_bytes(envelope.content, policy=policy.default)
        text = message.get_body(("plain", "html")).get_content()
        self.messages.append((envelope.rcpt_tos, message["subject"], text))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    box.url = f"mailto://127.0.0.1:{controller.port}/?from=perennial@example.org&to=ops@example.org"
    yield box
    controller.stop()


@pytest.fixture
def webhook() -> Iterator[SimpleNamespace]:
    """An HTTP server that stores posts."""
    with listening() as received:
        yield received


@contextmanager
def listening() -> Iterator[SimpleNamespace]:
    """Yield an HTTP server on loopback that stores posts."""
    received = SimpleNamespace(posts=[], status=200)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.posts.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *arguments) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    received.url = f"json://127.0.0.1:{server.server_port}/alerts"
    yield received
    server.shutdown()
    server.server_close()
