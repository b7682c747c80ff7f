"""Old months of scores are dropped whole, on a given day; what readers see stays."""

from __future__ import annotations

from datetime import date, timedelta

import psycopg
import pytest
from psycopg import sql
from pydantic import ValidationError

from perennial.contracts import load
from perennial.dbt import dbt
from perennial.retention import expire_old
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome

MONTHS = [date(2022 + month // 12, month % 12 + 1, 1) for month in range(30)]  # to June 2024
KEPT = [day for day in MONTHS if day >= date(2023, 6, 1)]
DAYS = [0, 100, 400]  # ages of the rows in ops


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    settings = start_home("canonical")
    dbt(settings, date(2024, 1, 1), "run", "--select", "churn", "churn_history", "clv_history")
    return settings


@pytest.fixture(autouse=True)
def _published(home: Settings) -> None:
    """Publish a customer's churn on the first of thirty months, and value on one old day."""
    with connect(home, "perennial") as owner:
        owner.execute("truncate scores.churn, scores.clv, ops.publications, ops.gate_results")
        for number, day in enumerate(MONTHS, start=1):
            publish(owner, "churn", day, number)
        publish(owner, "clv", MONTHS[0], 100)
        owner.cursor().executemany(
            "insert into ops.gate_results"
            " (run_id, gate, table_name, expectation, severity, success, checked_at)"
            " values ('a', 'raw', 't', 'e', 'info', true, now() - %s * interval '1 day')",
            [[days] for days in DAYS],
        )


def publish(connection: psycopg.Connection, question: str, day: date, number: int) -> None:
    connection.execute("select scores.ensure_month(%s, %s)", [question, day])
    connection.execute(
        sql.SQL(
            "insert into scores.{} (as_of_date, publication_id, customer_id, score_status,"
            " model_name, model_version, run_id, scored_at)"
            " values (%s, %s, 'c', 'not_scored', 'm', 'v', 'r', now())"
        ).format(sql.Identifier(question)),
        [day, number],
    )
    connection.execute(
        "insert into ops.publications (question, as_of_date, publication_id, run_id, model_name,"
        " model_version, training_date, row_count, row_counts, checksum)"
        " values (%s, %s, %s, 'r', 'm', 'v', %s, 1, '{}', 'x')",
        [question, day, number, day],
    )


def days(settings: Settings, view: str) -> list[date]:
    with connect(settings, "bi_reader") as connection:
        rows = connection.execute(
            sql.SQL("select as_of_date from reporting.{} order by 1").format(sql.Identifier(view))
        ).fetchall()
    return [day for (day,) in rows]


def partitions(settings: Settings, table: str) -> list[str]:
    with connect(settings, "perennial") as connection:
        rows = connection.execute(
            "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass"
            " order by 1",
            [f"scores.{table}"],
        ).fetchall()
    return [name for (name,) in rows]


def keeping(settings: Settings, **fields: int) -> Settings:
    return settings.model_copy(update=fields)


def test_everything_is_kept_by_default(home: Settings) -> None:
    assert expire_old(home) == {"dropped_months": [], "put_off": [], "deleted": {}}
    assert days(home, "churn_history") == MONTHS


def test_months_before_the_newest_thirteen_are_dropped(home: Settings) -> None:
    result = expire_old(keeping(home, keep_scores_months=13))
    assert result["dropped_months"] == [f"churn_{day:%Y_%m}" for day in MONTHS if day not in KEPT]
    assert days(home, "churn_history") == KEPT
    assert days(home, "churn") == [KEPT[-1]]
    assert partitions(home, "churn") == [f"scores.churn_{day:%Y_%m}" for day in KEPT]
    with connect(home, "transformer") as connection:
        pointers = connection.execute(
            "select as_of_date from ops.publications where question = 'churn' order by 1"
        ).fetchall()
    assert [day for (day,) in pointers] == KEPT
    assert expire_old(keeping(home, keep_scores_months=13))["dropped_months"] == []


def test_the_newest_scores_stay_however_old_they_are(home: Settings) -> None:
    expire_old(keeping(home, keep_scores_months=13))
    assert days(home, "clv_history") == [MONTHS[0]]


def test_a_dropped_date_can_be_published_again(home: Settings) -> None:
    expire_old(keeping(home, keep_scores_months=13))
    with connect(home, "perennial") as owner:
        publish(owner, "churn", MONTHS[0], 999)
    assert days(home, "churn_history") == [MONTHS[0], *KEPT]


def test_a_reader_who_stays_puts_it_off_and_loses_nothing(home: Settings) -> None:
    with connect(home, "bi_reader") as reader:
        reader.execute("select count(*) from reporting.churn_history")
        result = expire_old(keeping(home, keep_scores_months=13))
        assert result == {"dropped_months": [], "put_off": ["churn"], "deleted": {}}
        assert days(home, "churn_history") == MONTHS
    assert expire_old(keeping(home, keep_scores_months=13))["put_off"] == []
    assert days(home, "churn_history") == KEPT


def test_rows_in_force_of_another_question_are_not_dropped(home: Settings) -> None:
    with (
        connect(home, "scorer") as connection,
        pytest.raises(psycopg.errors.RaiseException, match="rows in force"),
    ):
        connection.execute("select scores.expire('churn', '{clv}', 13)")
    assert days(home, "clv_history") == [MONTHS[0]]
    assert days(home, "churn_history") == MONTHS


@pytest.mark.parametrize("call", ["scores.expire('churn', '{churn}', 0)", "ops.expire(0)"])
def test_not_even_the_scorer_can_drop_the_newest(home: Settings, call: str) -> None:
    with connect(home, "scorer") as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute(f"select {call}")


def test_what_was_noted_long_ago_is_deleted(home: Settings) -> None:
    result = expire_old(keeping(home, keep_ops_days=90))
    assert result["deleted"] == {"alerts": 0, "gate_results": 2, "drift": 0}
    with connect(home, "transformer") as connection:
        assert connection.execute("select count(*) from ops.gate_results").fetchone() == (1,)


@pytest.mark.parametrize("field", ["keep_scores_months", "keep_ops_days"])
def test_too_short_a_time_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="too short"):
        Settings(**{field: 2})
    assert getattr(Settings(**{field: 0}), field) == 0


def test_of_large_tables_a_week_stays_and_the_first_of_each_month(home: Settings) -> None:
    """Scores of two months and a week, a day missing at the beginning: June 1 is not there."""
    known = [date(2024, 6, 2) + timedelta(days=number) for number in range(69)]
    kept_days = load("recommendations").kept_days
    assert kept_days == 8
    with connect(home, "perennial") as owner:
        owner.execute("truncate scores.recommendations")
        for number, day in enumerate(known, start=1000):
            owner.execute("select scores.ensure_month('recommendations', %s)", [day])
            for kind in ("again", "new"):
                owner.execute(
                    "insert into scores.recommendations (as_of_date, publication_id, customer_id,"
                    " list_kind, score_status, model_name, model_version, run_id, scored_at)"
                    " values (%s, %s, 'c', %s, 'not_scored', 'm', 'v', 'r', now())",
                    [day, number, kind],
                )
            owner.execute(
                "insert into ops.publications (question, as_of_date, publication_id, run_id,"
                " model_name, model_version, training_date, row_count, row_counts, checksum)"
                " values ('recommendations', %s, %s, 'r', 'm', 'v', %s, 1, '{}', 'x')",
                [day, number, day],
            )
    expected = [date(2024, 6, 2), date(2024, 7, 1), *known[-8:]]
    assert date(2024, 8, 1) not in expected[2:]  # it is within the week, or the first of its month
    expected = sorted({*expected, date(2024, 8, 1)})
    deleted = expire_old(home)["deleted"]
    assert deleted == {"recommendations": len(known) - len(expected)}
    with connect(home, "scorer") as connection:
        rows = connection.execute(
            "select as_of_date, count(*) from scores.recommendations group by 1 order by 1"
        ).fetchall()
        pointers = connection.execute(
            "select as_of_date from ops.publications where question = 'recommendations' order by 1"
        ).fetchall()
    assert rows == [(day, 2) for day in expected]
    assert [day for (day,) in pointers] == expected
    assert expire_old(home)["deleted"] == {}
    assert days(home, "churn_history") == MONTHS
