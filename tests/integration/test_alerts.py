"""One alert per cause arrives at a real SMTP server, at a real HTTP server, and in ops."""

import asyncio
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from command.app import main
from dags.shared.alerts import alert, alert_warnings, deadline_missed, run_failed, succeeded
from local.home import free_port
from oncall.alerts import routes
from perennial.bootstrap import bootstrap
from perennial.settings import Settings, SettingsError
from perennial.warehouse import connect

RUN_ID = "manual__2024-03-01T05:00:00+00:00"


class GateFailed(RuntimeError):
    __module__ = "expectations.results"  # one of our own errors: its text is shown


@pytest.fixture
def home(canonical_home, monkeypatch) -> Settings:
    """A running home without alerts; the environment points to it, as in a task."""
    monkeypatch.setenv("PERENNIAL_HOME", str(canonical_home.home))
    monkeypatch.setenv("PERENNIAL_SOURCE", canonical_home.source)
    monkeypatch.setenv("PERENNIAL_PG_PORT", str(canonical_home.pg_port))
    monkeypatch.delenv("PERENNIAL_ALERT_URLS", raising=False)
    monkeypatch.delenv("PERENNIAL_ALERT_ROUTES", raising=False)
    with connect(canonical_home, "perennial") as connection:
        connection.execute("delete from ops.alerts")
        connection.execute("delete from ops.incidents")
    return canonical_home


def recorded(settings: Settings) -> list[tuple]:
    with connect(settings, "perennial") as connection:
        return connection.execute(
            "select dag_id, task_id, run_id, as_of_date::text, subject, is_delivered"
            " from ops.alerts order by alert_id"
        ).fetchall()


def incidents(settings: Settings) -> list[tuple]:
    with connect(settings, "perennial") as connection:
        return connection.execute(
            "select title, seen_count, steps, closed_at is null from ops.incidents"
            " order by incident_id"
        ).fetchall()


class Task:
    """The attributes that a callback reads: owner, upstream and downstream tasks."""

    owner = "data-platform"

    def __init__(self, *before: str, after: str = "") -> None:
        self._before = set(before)
        self.downstream_task_ids = {after} - {""}

    def get_flat_relative_ids(self, *, upstream: bool) -> set[str]:
        assert upstream
        return self._before


def seen(
    dag_id: str = "score_churn",
    task_id: str = "publish",
    day: str = "2024-03-01",
    shard: int = -1,
) -> dict:
    return {
        "ti": SimpleNamespace(dag_id=dag_id, task_id=task_id, run_id=RUN_ID, map_index=shard),
        "task": Task("train") if shard >= 0 else Task("train", "score"),
        "dag_run": SimpleNamespace(partition_key=day),
    }


def failed(error: BaseException | None = None, **where: Any) -> dict:
    return seen(**where) | {"exception": error or GateFailed(RULE)}


RULE = "scores.churn.churn_probability_90d: 3 of 100 rows above 1"
SUBJECT = "Perennial critical: score_churn.publish failed for 2024-03-01 (data-platform)"
ROW = ("score_churn", "publish", f"score_churn/{RUN_ID}", "2024-03-01", SUBJECT)
GONE = psycopg.OperationalError("connection failed: Connection refused")


def test_one_mail_and_one_post_for_one_failed_task(home, mailbox, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", f"{mailbox.url} {webhook.url}")
    alert(failed())
    [(recipients, subject, mail)] = mailbox.messages
    assert (recipients, subject) == (["ops@example.org"], SUBJECT)
    [(path, post)] = webhook.posts
    assert (path, post["title"], post["type"]) == ("/alerts", SUBJECT, "failure")
    lines = post["message"].splitlines()
    assert lines[0] == f"GateFailed: {RULE}"
    assert {"Table: scores.churn", "Last good: never"} <= set(lines)
    for line in lines:
        assert line in mail.replace("&nbsp;", " ")
    assert recorded(home) == [(*ROW, True)]


def test_many_tasks_that_fail_from_one_cause_give_one_alert(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    for question in ("churn", "clv", "survival", "demand"):
        alert(failed(GONE, dag_id=f"score_{question}"))
    assert [post["title"] for _, post in webhook.posts] == [
        "Perennial critical: The warehouse does not answer (score_churn.publish) for 2024-03-01"
        " (data-platform)"
    ]
    [(_, seen_count, steps, is_open)] = incidents(home)
    assert (seen_count, len(steps), is_open) == (4, 4, True)


def test_two_at_once_give_one_alert(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: alert(failed()), range(16)))
    assert len(webhook.posts) == 1
    assert [row[1] for row in incidents(home)] == [16]


def test_another_cause_is_alerted_beside_the_first(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    alert(failed())
    alert(failed(SettingsError("no such file")))
    assert len(webhook.posts) == 2


def test_a_cause_that_stays_is_alerted_again_after_the_set_time(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    monkeypatch.setenv("PERENNIAL_ALERT_AGAIN_HOURS", "12")
    alert(failed())
    age(home, hours=11)
    alert(failed(day="2024-03-02"))
    assert len(webhook.posts) == 1
    age(home, hours=2)
    alert(failed(day="2024-03-03"))
    assert len(webhook.posts) == 2
    message = webhook.posts[1][1]["message"]
    assert "seen 3 times" in message
    assert "First bad date: 2024-03-01" in message


def age(settings: Settings, hours: int) -> None:
    """Date the incidents and alerts back by `hours`."""
    with connect(settings, "perennial") as connection:
        connection.execute(
            "update ops.incidents set last_told_at = last_told_at - make_interval(hours => %s)",
            [hours],
        )


def test_recovery_is_alerted_once_when_the_step_succeeds_for_the_date(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    alert(failed())
    succeeded(seen(day="2024-02-29"))  # a success of an earlier date closes nothing
    succeeded(seen(dag_id="score_clv"))  # nor does another question
    assert len(webhook.posts) == 1
    succeeded(seen())
    succeeded(seen(day="2024-03-02"))
    assert [(post["title"], post["type"]) for _, post in webhook.posts[1:]] == [
        ("Perennial recovered: score_churn.publish failed (data-platform)", "success")
    ]
    assert [row[3] for row in incidents(home)] == [False]
    alert(failed())  # a return of the cause is alerted again
    assert len(webhook.posts) == 3


def test_a_shared_cause_is_over_when_its_last_step_succeeds(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    alert(failed(GONE))
    alert(failed(GONE, dag_id="score_clv", task_id="train"))
    succeeded(seen())
    assert len(webhook.posts) == 1
    succeeded(seen(dag_id="score_clv"))  # publish runs after train
    assert [post["type"] for _, post in webhook.posts] == ["failure", "success"]


def test_shards_that_fail_are_one_cause_and_end_when_all_are_published(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    for shard in (2, 5):
        alert(failed(ValueError("column x is gone"), task_id="score", shard=shard))
    assert [post["title"] for _, post in webhook.posts] == [
        "Perennial critical: score_churn.score failed for 2024-03-01 (data-platform)"
    ]
    succeeded(seen(task_id="score", shard=3))  # does not close the second and the fifth
    assert len(webhook.posts) == 1
    succeeded(seen())
    assert [post["type"] for _, post in webhook.posts] == ["failure", "success"]


def test_warnings_are_alerted_one_by_one_and_end_with_the_gates_warning(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    few, drift = "raw.orders: 5 of 9 days", "ops.drift.country: 1 of 40 columns"
    alert_warnings({"warnings": [few]}, seen())
    alert_warnings({"warnings": [few]}, seen(day="2024-03-02"))
    alert_warnings({"warnings": [few, drift]}, seen(day="2024-03-03"))
    succeeded(seen(day="2024-03-03"))  # the step succeeded, and warned
    assert [post["type"] for _, post in webhook.posts] == ["warning", "warning"]
    assert drift in webhook.posts[1][1]["message"]
    assert "(1 more, reported before and still open)" in webhook.posts[1][1]["message"]
    alert_warnings({"warnings": []}, seen(day="2024-03-04"))
    assert webhook.posts[2][1]["title"] == (
        "Perennial recovered: score_churn.publish warns and 1 more (data-platform)"
    )


def opened_titles(settings: Settings) -> list[str]:
    return [title for title, _, _, is_open in incidents(settings) if is_open]


def test_a_gate_that_checked_nothing_ends_no_warning(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    gate = {"dag_id": "land", "task_id": "gate_raw"}
    orders = "raw.canonical__orders: 5 of 9 rows"
    alert_warnings({"warnings": [orders], "judged": ["raw.canonical__orders"]}, seen(**gate))
    alert_warnings({"warnings": [], "judged": []}, seen(**gate))  # nothing was landed
    succeeded(seen(**gate))
    alert_warnings({"warnings": [], "judged": ["raw.canonical__customers"]}, seen(**gate))
    assert opened_titles(home) == ["land.gate_raw warns"]
    assert len(webhook.posts) == 1
    alert_warnings({"warnings": [], "judged": ["raw.canonical__orders"]}, seen(**gate))
    assert opened_titles(home) == []
    assert [post["type"] for _, post in webhook.posts] == ["warning", "success"]


@pytest.fixture
def held(home) -> Iterator[psycopg.Connection]:
    """A connection; batch 7 is held, and deleted at the end."""
    with psycopg.connect(home.dsn("loader"), autocommit=True) as connection:
        connection.execute(
            "insert into ops.landed_files (batch_id, source, table_name, file_name, content_sha256,"
            " byte_count, record_count, landed_count, rejected_count, first_line, run_id)"
            " values (7, 'canonical', 'canonical__orders', '/orders.csv', 'x', 0, 0, 0, 0, 1, 'x')"
        )
        yield connection
    with connect(home, "perennial") as owner:
        owner.execute("delete from ops.landed_files where file_name = '/orders.csv'")


@pytest.mark.parametrize(("verb", "word"), [("accept", "accepted"), ("refuse", "refused")])
def test_a_held_batch_is_over_when_a_person_decides_and_not_before(
    home, held, webhook, monkeypatch, verb, word
):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    gate = {"dag_id": "land", "task_id": "gate_raw"}
    alert(failed(GateFailed("batch 7 is held: raw.canonical__orders: 5 of 9 rows"), **gate))
    succeeded(seen(day="2024-03-02", **gate))  # another batch passed
    assert opened_titles(home) == ["land.gate_raw failed"]
    main([verb, "7"])
    assert opened_titles(home) == []
    assert [post["type"] for _, post in webhook.posts] == ["failure", "success"]
    assert webhook.posts[1][1]["title"] == (
        f"Perennial {word}: land.gate_raw failed (data-platform)"
    )
    main([verb, "7"])
    assert len(webhook.posts) == 2


def test_no_connection_left_is_named_with_who_has_them(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    words = 'connection failed: FATAL:  too many connections for role "scorer"'
    with connect(home, "scorer"):
        alert(failed(psycopg.OperationalError(words)))
    [(_, post)] = webhook.posts
    assert "Connections ran out" in post["title"]
    assert 'too many connections for role "scorer"' in post["message"]
    assert "scorer 1 of its" in post["message"]


def test_a_run_reports_what_none_of_its_tasks_could(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    alert(failed())
    run_failed(seen())  # its task has sent the alert
    assert len(webhook.posts) == 1
    run_failed(seen(dag_id="score_clv") | {"reason": "task_failure"})  # the process was killed
    title = "Perennial critical: score_clv.publish failed for 2024-03-01 (data-platform)"
    assert webhook.posts[1][1]["title"] == title
    assert webhook.posts[1][1]["message"].startswith("the process ended without a word")
    run_failed(seen(dag_id="land", task_id="land_files") | {"reason": "timed_out"})
    assert webhook.posts[2][1]["title"] == (
        "Perennial critical: land was given up for 2024-03-01 (data-platform)"
    )


def test_late_runs_are_alerted_once_and_failed_ones_are_not(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)

    def late(dag_id: str, state: str) -> None:
        run = {"dag_id": dag_id, "dag_run_id": RUN_ID, "state": state}
        context = {"dag_run": run | {"partition_key": "2024-03-01"}}
        asyncio.run(deadline_missed(context=context, hours=4.0))

    late("land", "failed")
    assert webhook.posts == []
    for question in ("churn", "clv", "survival"):
        late(f"score_{question}", "running")
    [(_, post)] = webhook.posts
    assert (post["title"], post["type"]) == (
        "Perennial warning: score_churn is late for 2024-03-01 (data-platform)",
        "warning",
    )
    assert "the run is running and was not through 4 h after it was queued" in post["message"]


def test_nothing_is_sent_while_no_receiver_is_set_up(home, mailbox, webhook):
    alert(failed())
    assert (mailbox.messages, webhook.posts) == ([], [])
    assert recorded(home) == [(*ROW, False)]


def test_routes_by_severity_and_owner(home, webhook, monkeypatch, tmp_path):
    def to(folder: str) -> str:
        return webhook.url.replace("alerts", folder)

    entries = [
        {"urls": to("pager"), "severity": "critical", "owner": "data-platform"},
        {"urls": [to("analysts")], "owner": ["analytics"]},
    ]
    file = tmp_path / "routes.json"
    file.write_text(json.dumps(entries))
    monkeypatch.setenv("PERENNIAL_ALERT_ROUTES", str(file))
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", to("everybody"))
    alert(failed())
    alert(failed(GateFailed("reporting.clv has no rows"), dag_id="report"))
    alert_warnings({"warnings": ["raw.orders: 5 of 9 days"]}, seen())
    assert [path for path, _ in webhook.posts] == ["/pager", "/analysts", "/everybody"]
    succeeded(seen(dag_id="report"))
    assert webhook.posts[-1][0] == "/analysts"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSONDecodeError"),
        ('{"urls": "json://x"}', "a list of routes is expected"),
        ('[{"severity": "critical"}]', "route 1: it has urls"),
        ('[{"urls": "json://x", "sevrity": "critical"}]', "route 1: it has urls"),
        ('[{"urls": "json://x"}, {"urls": []}]', "route 2: urls is a text or a list"),
        ('[{"urls": "json://x", "severity": "fatal"}]', "unknown severity fatal; choose of crit"),
        ('[{"urls": "json://x", "owner": "me"}]', "unknown owner me; choose of analytics, data"),
        ('[{"urls": "json://x nonsense://s3cret"}]', r"number 2 \(nonsense\) is not understood"),
    ],
)
def test_wrong_routes_are_an_error_at_start(tmp_path, text, message):
    file = tmp_path / "routes.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        routes.check(Settings(alert_routes=str(file)))
    assert "s3cret" not in str(caught.value)


def test_missing_routes_and_wrong_urls_are_an_error_at_start(tmp_path):
    with pytest.raises(SettingsError, match="FileNotFoundError"):
        routes.check(Settings(alert_routes=str(tmp_path / "none.json")))
    with pytest.raises(SettingsError, match=r"PERENNIAL_ALERT_URLS: number 1 \(no URL\)"):
        routes.check(Settings(alert_urls="ops@example.org"))
    routes.check(Settings(alert_urls="json://127.0.0.1/x"))


def test_no_value_of_a_row_leaves_the_house(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    with pytest.raises(Exception, match="Jane Miller") as caught, connect(home, "perennial") as db:
        db.execute("select 'Jane Miller'::text::integer")
    alert(failed(caught.value))
    with connect(home, "perennial") as connection:
        kept = connection.execute("select incidents::text from ops.incidents").fetchall()
    assert "Jane" not in json.dumps(webhook.posts) + str(recorded(home)) + str(kept)
    assert webhook.posts[0][1]["message"].startswith("InvalidTextRepresentation")


def test_receiver_that_refuses_is_logged_and_the_others_get_the_alert(
    home, mailbox, webhook, monkeypatch, caplog
):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", f"{mailbox.url} {webhook.url}")
    mailbox.is_full = True
    with caplog.at_level(logging.ERROR, logger="oncall.alerts"):
        alert(failed())
    assert "NOT delivered to all: number 1 (mailto) did not" in caplog.text
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
    assert "number 1 (json) did not accept it" in caplog.text
    assert "s3cret" not in caplog.text
    assert recorded(home) == [(*ROW, False)]


def test_url_that_is_none_is_logged(home, monkeypatch, caplog):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", "ops@example.org")
    with caplog.at_level(logging.ERROR, logger="oncall.alerts"):
        alert(failed())
    assert "number 1 (no URL) is not understood by Apprise" in caplog.text
    assert recorded(home) == [(*ROW, False)]


def test_an_undelivered_alert_is_sent_at_the_next_occurrence(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    webhook.status = 503
    alert(failed())
    webhook.status = 200
    alert(failed())
    alert(failed())
    assert len(webhook.posts) == 2


def test_alert_is_sent_once_though_the_warehouse_is_down(home, webhook, monkeypatch, caplog):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR, logger="perennial"):
        patched.setenv("PERENNIAL_PG_PORT", str(free_port()))
        for question in ("churn", "clv"):
            alert(failed(GONE, dag_id=f"score_{question}"))
    assert "incidents are kept in the home: OperationalError" in caplog.text
    [(_, post)] = webhook.posts
    assert "Last good: not known: the warehouse does not answer" in post["message"]
    assert incidents(home) == []
    alert(failed(GONE, dag_id="score_demand"))  # it answers again, and takes over the home's list
    assert len(webhook.posts) == 1
    assert [row[1] for row in incidents(home)] == [3]
    for question in ("churn", "clv", "demand"):
        succeeded(seen(dag_id=f"score_{question}"))
    assert [post["type"] for _, post in webhook.posts] == ["failure", "success"]


def test_every_alert_is_sent_if_neither_warehouse_nor_home_is_writable(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    monkeypatch.setenv("PERENNIAL_HOME", "/proc/none")
    alert(failed())
    alert(failed())
    assert len(webhook.posts) == 2


FORMER = """
drop table ops.alerts, ops.incidents;
create table ops.alerts (
    alert_id bigint generated always as identity primary key, dag_id text not null,
    task_id text not null, run_id text not null, as_of_date date, subject text not null,
    is_delivered boolean not null, alerted_at timestamptz not null default now()
);
grant insert on ops.alerts to loader, transformer, scorer;
insert into ops.alerts (dag_id, task_id, run_id, subject, is_delivered)
values ('land', 'land_files', 'land/x', 'Perennial: land.land_files failed', true);
"""


def test_a_home_of_before_is_brought_to_the_new_form(home, webhook, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ALERT_URLS", webhook.url)
    with connect(home, "perennial") as connection:
        connection.execute(FORMER)
        connection.execute("drop table ops.schema_upgrades")  # there were none then
    bootstrap(home)
    alert(failed())
    assert [row[0] for row in recorded(home)] == ["land", "score_churn"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connect(home, "loader") as loader:
        loader.execute("insert into ops.alerts (subject, is_delivered) values ('x', true)")
