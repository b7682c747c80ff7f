"""The watchdog on real views: silent on a healthy home; it names each planted fault."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from psycopg import sql

from command.app import main
from local import postgres
from oncall.delivery import check_delivery
from oncall.watchdog.look import look
from perennial import contracts
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from tests.commands import wait_until
from tests.conftest import StartHome
from tests.steps import dbt

DAY, BEFORE = date(2024, 3, 1), date(2024, 2, 1)
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
CUSTOMERS = [f"c{number:03}" for number in range(200)]
VIEWS = [
    *(
        f"reporting.{table.name}"
        for name in contracts.questions()
        if not contracts.load(name).needs  # no file of an optional table is landed here
        for table in contracts.load(name).tables
    ),
    *(f"reporting.{view}" for view in contracts.ONE_ROW_VIEWS),
]
WELL = f"well: {len(VIEWS) + 1} reporting views have what is due of 2024-03-01"  # and model_health
VALUES = {"text": "x", "date": DAY, "integer": 1, "double precision": 0.5}


@pytest.fixture(scope="module")
def scored_home(start_home: StartHome) -> Settings:
    """Two dates landed at five in the morning and scored, with planted rows in all views."""
    settings = start_home("canonical")
    dbt(settings, DAY, "run")
    for number, day in enumerate((BEFORE, DAY), start=1):
        land(settings, day)
        publish(settings, day, number)
    return settings


def land(settings: Settings, day: date, status: str = "accepted") -> None:
    with connect(settings, "perennial") as connection:
        connection.execute(
            "insert into ops.landed_files (batch_id, source, table_name, file_name, content_sha256,"
            " byte_count, record_count, landed_count, rejected_count, first_line, status,"
            " as_of_date, run_id, landed_at)"
            " values (1, 'canonical', 'orders', 'x.csv', 'x', 1, 0, 0, 0, 1, %s, %s, 'x',"
            " %s::date + interval '5 hours')",
            [status, day, day],
        )


def publish(settings: Settings, day: date, publication_id: int) -> None:
    """Insert rows of every score table, features of every customer, and the pointers."""
    with connect(settings, "perennial") as connection:
        connection.execute(
            "insert into features.customer_snapshots (as_of_date, customer_id)"
            " select %s, unnest(%s::text[])",
            [day, CUSTOMERS],
        )
        for question in contracts.published():
            counts = {}
            for table in contracts.load(question).tables:
                counts[table.name] = put(connection, table, day, publication_id)
            connection.execute(
                "insert into ops.publications values (%s, %s, %s, 'x', 'm', 'v', %s, %s, %s, 'x')",
                [question, day, publication_id, day, sum(counts.values()), json.dumps(counts)],
            )


def put(connection, table: contracts.ScoreTable, day: date, publication_id: int) -> int:
    connection.execute("select scores.ensure_month(%s, %s)", [table.name, day])
    row = {
        column.name: column.values[0] if column.values else VALUES.get(column.data_type)
        for column in table.columns
    }
    row |= {"as_of_date": day, "publication_id": publication_id}
    key = table.key[0]
    names = [column.data_type for column in table.columns if column.name == key]
    entities = CUSTOMERS if names == ["text"] else [row[key]]
    entities = CUSTOMERS[:40] if key == "product_id" else entities  # a shop has fewer products
    connection.cursor().executemany(
        sql.SQL("insert into {} ({}) values ({})").format(
            table.relation,
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Placeholder, row)),
        ),
        [row | {key: entity} for entity in entities],
    )
    return len(entities)


@pytest.fixture
def home(scored_home: Settings) -> Iterator[Settings]:
    """The scored home, restored after each test."""
    yield scored_home
    with connect(scored_home, "perennial") as connection:
        connection.execute("truncate ops.incidents cascade")


def environment(settings: Settings, fields: dict[str, str]) -> dict[str, str]:
    given = {"HOME": settings.home, "SOURCE": settings.source, "PG_PORT": settings.pg_port}
    given |= {"AIRFLOW_PORT": settings.airflow_port} | fields
    return {f"PERENNIAL_{name}": str(value) for name, value in given.items()}


def watch(
    settings: Settings, *arguments: str, now: datetime = NOON, **fields: str
) -> tuple[int, list[str]]:
    """Run the watchdog once in this process: exit code and lines."""
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(StringIO()) as printed:
        for name, value in environment(settings, fields).items():
            patched.setenv(name, value)
        code = main(["watch", *arguments, "--now", now.isoformat()])
    return code, printed.getvalue().splitlines()


def command(settings: Settings, *arguments: str, **fields: str) -> tuple[int, list[str]]:
    """Run `perennial watch` as cron does: exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "command", "watch", *arguments],
        cwd=REPOSITORY,
        env=os.environ | environment(settings, fields),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_it_has_nothing_to_say_on_a_healthy_home(home):
    assert watch(home) == (0, [WELL])


@contextmanager
def planted(settings: Settings, *statements: str) -> Iterator[None]:
    """Plant a fault by SQL; restore the touched tables at the end."""
    with connect(settings, "postgres") as connection:
        for table in KEPT:
            connection.execute(f"create table public.kept_{table[1]} as table {'.'.join(table)}")
        for statement in statements:
            connection.execute(statement)
    yield
    with connect(settings, "postgres") as connection:
        connection.execute("set session_replication_role = replica")
        for table in KEPT:
            connection.execute(f"truncate {'.'.join(table)} cascade")
            values = "overriding system value table" if table[0] == "ops" else "table"
            connection.execute(f"insert into {'.'.join(table)} {values} public.kept_{table[1]}")
            connection.execute(f"drop table public.kept_{table[1]}")


KEPT = [("ops", "publications"), ("ops", "landed_files"), ("scores", "churn")]
NOT_CHURN = "delete from ops.publications where question = 'churn' and as_of_date = '2024-03-01'"
LANDED = (
    "insert into ops.landed_files (batch_id, source, table_name, file_name, content_sha256,"
    " byte_count, record_count, landed_count, rejected_count, first_line, status, as_of_date,"
    " run_id, landed_at) values (2, 'canonical', 'orders', 'y.csv', 'y', 1, 0, 0, 0, 1,"
    " '{status}', '2024-03-02', 'x', '2024-03-02 05:00+00')"
)
HALF = "delete from scores.churn where publication_id = 2 and customer_id < 'c100'"
TOLD_HALF = (
    "update ops.publications set row_counts = jsonb_set(row_counts, '{churn}', '100')"
    " where question = 'churn' and as_of_date = '2024-03-01'"
)


@pytest.mark.parametrize(
    ("fault", "when", "found"),
    [
        pytest.param(
            NOT_CHURN,
            NOON,
            [
                "critical: reporting.churn: newest date 2024-02-01, due 2024-03-01",
                "critical: reporting.churn_reasons: newest date 2024-02-01, due 2024-03-01",
                "critical: reporting.customer_360: newest date 2024-02-01, due 2024-03-01",
            ],
            id="a publication was deleted",
        ),
        pytest.param(
            HALF,
            NOON,
            [
                "critical: reporting.churn: 100 rows of 2024-03-01, 200 were published",
            ],
            id="half of the rows were deleted",
        ),
        pytest.param(
            f"{HALF}; {TOLD_HALF}",
            NOON,
            [
                "critical: reporting.churn: 100 of 200 customers known on 2024-03-01",
            ],
            id="half of the customers were never published",
        ),
        pytest.param(
            LANDED.format(status="accepted"), NOON + timedelta(hours=20), None, id="not due yet"
        ),
        pytest.param(
            "truncate scores.churn",
            NOON,
            [
                "critical: reporting.churn: it has no rows; due 2024-03-01",
            ],
            id="no rows at all",
        ),
    ],
)
def test_a_planted_fault_is_found_and_named(home, fault, when, found):
    with planted(home, fault):
        code, lines = watch(home, now=when)
    if found is None:
        assert (code, len(lines)) == (0, 1)
    else:
        assert (code, lines[:-1]) == (1, found)
        assert (
            lines[-1] == f"likely: Airflow does not answer at http://127.0.0.1:{home.airflow_port}"
        )
    assert watch(home)[0] == 0


def test_a_date_that_was_landed_is_due_some_hours_later(home):
    with planted(home, LANDED.format(status="accepted")):
        code, lines = watch(home, now=NOON + timedelta(days=1))
    assert code == 1
    assert lines[:-1] == [
        *(f"critical: {view}: newest date 2024-03-01, due 2024-03-02" for view in VIEWS),
        "warning: reporting.model_health: newest date 2024-03-01, due 2024-03-02",
    ]


def test_by_the_clock_each_day_is_due_and_a_held_batch_is_named(home):
    noon = NOON + timedelta(days=1)
    assert watch(home, now=noon)[0] == 0
    early = noon.replace(hour=8)
    assert watch(home, now=early, SCHEDULE="on")[0] == 0
    with planted(home, LANDED.format(status="held")):
        code, lines = watch(home, now=noon, SCHEDULE="on")
    assert code == 1
    assert f"critical: {VIEWS[0]}: newest date 2024-03-01, due 2024-03-02" in lines
    assert lines[-1] == "likely: the batch of 2024-03-02 is held: make accept, or make refuse"


def test_a_view_that_readers_may_not_read_is_found(home):
    with connect(home, "transformer") as connection:
        connection.execute("revoke select on reporting.demand from bi_reader")
    code, lines = watch(home)
    with connect(home, "transformer") as connection:
        connection.execute("grant select on reporting.demand to bi_reader")
    assert code == 1
    assert lines[0].startswith("critical: reporting.demand: InsufficientPrivilege")


def test_readers_who_have_all_their_connections_are_named_and_nothing_else(home):
    with ExitStack() as held:
        with suppress(psycopg.OperationalError):
            while True:
                held.enter_context(connect(home, "bi_reader", autocommit=True))
        code, lines = watch(home)
        assert check_delivery(home, date(2024, 3, 1))["churn"] > 0
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith("critical: bi_reader: OperationalError: ")
    assert 'too many connections for role "bi_reader"; ' in lines[0]
    assert re.search(r"connections are taken: bi_reader (\d+) of its \1\b", lines[0])


@pytest.mark.whole  # waits until the server has run for a while
def test_a_warden_that_is_gone_is_missed(home):
    postgres.end_reader_limit(home)
    wait_until(lambda: watch(home)[0] == 1, 90)  # right after a start no warden is expected
    code, lines = watch(home)
    postgres.start(home)
    finding = "the process that ends long reads does not work (it is not connected)"
    assert (code, lines) == (1, [f"warning: reader_limit: {finding}"])
    wait_until(lambda: watch(home)[0] == 0, 20)


def test_a_reader_that_changed_its_password_is_reported(home):
    with connect(home, "bi_reader", autocommit=True) as reader:
        reader.execute("set default_transaction_read_only = off")
        reader.execute("alter role bi_reader password 'of its own'")
    wait_until(lambda: any("its password; set back 1 times" in line for line in watch(home)[1]), 20)
    with psycopg.connect(home.dsn("postgres")) as connection:
        connection.execute("delete from warden.mended_roles")
    assert watch(home)[0] == 0


def test_a_finding_is_alerted_once_and_so_is_its_end(home, webhook):
    urls = {"ALERT_URLS": webhook.url}
    with planted(home, NOT_CHURN):
        assert watch(home, "--alert", **urls)[0] == 1
        assert watch(home, "--alert", now=NOON + timedelta(minutes=15), **urls)[0] == 1
        [(_, post)] = webhook.posts
    assert post["title"] == (
        "Perennial critical: A view is stale: reporting.churn for 2024-03-01 and 2 more"
        " (data-platform)"
    )
    lines = post["message"].splitlines()
    assert "reporting.churn: newest date 2024-02-01, due 2024-03-01" in lines
    good = ", ".join(name for name in contracts.published() if name != "churn")
    assert f"Last good: {good} 2024-03-01; churn 2024-02-01" in lines
    assert "What to do: docs/runbook.md#a-view-is-stale" in lines
    assert watch(home, "--alert", **urls)[0] == 0
    assert watch(home, "--alert", **urls)[0] == 0
    assert [post["title"] for _, post in webhook.posts[1:]] == [
        "Perennial recovered: A view is stale: reporting.churn and 2 more (data-platform)"
    ]


def test_the_command_ends_with_what_it_found(home, tmp_path):
    assert command(home) == (0, [WELL])
    with planted(home, NOT_CHURN):
        code, lines = command(home, "--now", NOON.isoformat())
    assert (code, len(lines)) == (1, 4)
    code, lines = command(home, ALERT_ROUTES=str(tmp_path / "none.json"))
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith("error: PERENNIAL_ALERT_ROUTES=")


def test_a_stopped_postgres_is_alerted_once_and_so_is_its_return(home, webhook):
    urls = {"ALERT_URLS": webhook.url}
    postgres.stop(home)
    try:
        code, lines = watch(home, "--alert", **urls)
        assert watch(home, "--alert", **urls)[0] == code == 1
    finally:
        postgres.start(home)
    assert lines[0].startswith(f"critical: warehouse: 127.0.0.1:{home.pg_port}: Operational")
    assert [post["title"] for _, post in webhook.posts] == [
        "Perennial critical: The warehouse does not answer: warehouse (data-platform)"
    ]
    assert watch(home, "--alert", **urls)[0] == 0
    assert [post["type"] for _, post in webhook.posts] == ["failure", "success"]


def test_a_first_run_that_has_published_nothing_yet_is_no_fault(start_home: StartHome) -> None:
    home = start_home("canonical")
    assert look(home, NOON).findings == []  # nothing was ever landed
    land(home, DAY)  # at five; the scores are due at nine
    at_work = look(home, NOON.replace(hour=8, minute=59))
    assert (at_work.findings, at_work.due) == ([], DAY)
    assert at_work.first_until == NOON.replace(hour=9)
    late = look(home, NOON.replace(hour=9))
    assert late.first_until is None
    assert {finding.severity for finding in late.findings} >= {"critical"}
