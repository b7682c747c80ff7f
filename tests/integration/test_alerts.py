"""Alerts arrive: at a real SMTP server, at a real HTTP server, and in ops.alerts."""

import json
import logging
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller

from dags.shared.alerts import alert
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import free_port

RUN_ID = "manual__2024-03-01T05:00:00+00:00"


class GateFailed(RuntimeError):
    __module__ = "expectations.gate"  # one of our own errors: its words are shown


class Mailbox:
    """Keeps what an SMTP client sends, or answers that the box is full."""

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
    received = SimpleNamespace(posts=[], status=200)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.posts.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *arguments) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    received.url = f"json://127.0.0.1:{server.server_port}/alerts"
    yield received
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(canonical_home, monkeypatch) -> Settings:
    """A running home without an alert in it; the environment points at it, as in a task."""
    monkeypatch.setenv("PERENNIAL_HOME", str(canonical_home.home))
    monkeypatch.setenv("PERENNIAL_SOURCE", canonical_home.source)
    monkeypatch.setenv("PERENNIAL_PG_PORT", str(canonical_home.pg_port))
    monkeypatch.delenv("PERENNIAL_ALERT_URLS", raising=False)
    with connect(canonical_home, "perennial") as connection:
        connection.execute("delete from ops.alerts")
    return canonical_home


def recorded(settings: Settings) -> list[tuple]:
    with connect(settings, "perennial") as connection:
        return connection.execute(
            "select dag_id, task_id, run_id, as_of_date::text, subject, is_delivered"
            " from ops.alerts order by alert_id"
        ).fetchall()


def failed(error: BaseException | None = None) -> dict:
    return {
        "ti": SimpleNamespace(dag_id="score_churn", task_id="publish", run_id=RUN_ID, map_index=-1),
        "task": SimpleNamespace(owner="data-platform"),
        "dag_run": SimpleNamespace(partition_key="2024-03-01"),
        "exception": error or GateFailed("churn_probability_90d: 3 of 100 rows above 1"),
    }


SUBJECT = "Perennial: score_churn.publish failed for 2024-03-01"
ROW = ("score_churn", "publish", f"score_churn/{RUN_ID}", "2024-03-01", SUBJECT)
CAUSE = "Cause: GateFailed: churn_probability_90d: 3 of 100 rows above 1"


def test_one_mail_and_one_post_for_one_failed_task(home, mailbox, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", f"{mailbox.url} {webhook.url}")
    alert(failed())
    [(recipients, subject, mail)] = mailbox.messages
    assert (recipients, subject) == (["ops@example.org"], SUBJECT)
    [(path, post)] = webhook.posts
    assert (path, post["title"], post["type"]) == ("/alerts", SUBJECT, "failure")
    lines = post["message"].splitlines()
    assert lines[:3] == ["DAG: score_churn", "Task: publish", "Date: 2024-03-01"]
    assert CAUSE in lines
    for line in lines:
        assert line in mail.replace("&nbsp;", " ")
    assert recorded(home) == [(*ROW, True)]


def test_nothing_is_sent_while_no_receiver_is_set_up(home, mailbox, webhook):
    alert(failed())
    assert (mailbox.messages, webhook.posts) == ([], [])
    assert recorded(home) == [(*ROW, False)]


def test_no_value_of_a_row_leaves_the_house(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    with pytest.raises(Exception, match="Jane Miller") as caught, connect(home, "perennial") as db:
        db.execute("select 'Jane Miller'::text::integer")
    alert(failed(caught.value))
    assert "Jane" not in json.dumps(webhook.posts) + str(recorded(home))
    assert "Cause: InvalidTextRepresentation" in webhook.posts[0][1]["message"]


def test_receiver_that_refuses_is_logged_and_the_others_are_told(
    home, mailbox, webhook, monkeypatch, caplog
):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", f"{mailbox.url} {webhook.url}")
    mailbox.is_full = True
    with caplog.at_level(logging.ERROR, logger="dags.shared.alerts"):
        alert(failed())
    assert "NOT delivered to all of PERENNIAL_ALERT_URLS: number 1 (mailto) did not" in caplog.text
    assert len(webhook.posts) == 1
    assert recorded(home) == [(*ROW, False)]


def test_webhook_that_answers_an_error_is_logged_without_its_secret(
    home, webhook, monkeypatch, caplog
):
    webhook.status = 503
    secret_url = webhook.url.replace("127.0.0.1", "robot:s3cret@127.0.0.1")
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", secret_url)
    with caplog.at_level(logging.INFO):
        alert(failed())
    assert "number 1 (json) did not take it" in caplog.text
    assert "s3cret" not in caplog.text
    assert recorded(home) == [(*ROW, False)]


def test_url_that_is_none_is_logged(home, monkeypatch, caplog):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", "ops@example.org")
    with caplog.at_level(logging.ERROR, logger="dags.shared.alerts"):
        alert(failed())
    assert "number 1 (no URL) is not understood by Apprise" in caplog.text
    assert recorded(home) == [(*ROW, False)]


def test_alert_is_sent_though_the_warehouse_is_down(home, webhook, monkeypatch, caplog):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    monkeypatch.setenv("PERENNIAL_PG_PORT", str(free_port()))
    with caplog.at_level(logging.ERROR, logger="dags.shared.alerts"):
        alert(failed())
    assert len(webhook.posts) == 1
    assert "is NOT in ops.alerts: OperationalError" in caplog.text
    assert recorded(home) == []
