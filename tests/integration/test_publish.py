"""Publishing: readers see the old scores or the new ones, whatever fails or runs in parallel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg import sql

from expectations.gate import Summary
from expectations.results import GateFailed
from expectations.scores import gate_scores
from ml_tasks.engine import copying
from ml_tasks.engine import publish as publish_module
from ml_tasks.engine.checksum import checksum_in_force
from ml_tasks.engine.cleanup import clean_superseded
from ml_tasks.engine.publish import publish
from ml_tasks.trained_model import TrainedModel
from perennial import contract_yml, contracts, score_tables
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.commands import wait_until

# only the question's first table: one frame is enough to publish
CHURN = replace(contracts.load("churn"), tables=contracts.load("churn").tables[:1])
AS_OF = date(2011, 9, 10)
CUSTOMERS = [f"customer {number}" for number in range(500)]
MODEL = TrainedModel("coin", date(2011, 9, 1), {"seed": 7})


def frame(probability: float = 0.25, seed: int = 1) -> pd.DataFrame:
    """All customers with one probability, in an order that depends on the seed."""
    rows = pd.DataFrame({"customer_id": CUSTOMERS})
    rows["churn_probability_90d"] = probability
    rows["churn_percentile_90d"] = 100.0
    rows["churn_risk_band"], rows["churn_risk_band_rank"] = "low", 3
    rows["churn_relative_band"] = "4 lowest"
    rows[[f"{name}_{rank}" for name in ("reason", "reason_code") for rank in (1, 2, 3)]] = None
    rows["score_status"] = "scored"
    rows["score_reason"] = None
    return rows.sample(frac=1, random_state=seed)


def not_scored(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    rows = rows.reset_index(drop=True)
    rows.loc[: count - 1, ["churn_probability_90d", "churn_percentile_90d"]] = np.nan
    rows.loc[: count - 1, ["churn_risk_band", "churn_relative_band"]] = None
    rows["churn_risk_band_rank"] = rows["churn_risk_band_rank"].astype("Int64")
    rows.loc[: count - 1, "churn_risk_band_rank"] = pd.NA
    rows.loc[: count - 1, "score_status"] = "not_scored"
    rows.loc[: count - 1, "score_reason"] = "no order that counts"
    return rows


def run(
    settings: Settings, rows: pd.DataFrame, as_of_date: date = AS_OF, run_id: str = "a run"
) -> dict:
    return publish(settings, [{"churn": rows}], CHURN, as_of_date, MODEL, run_id)


@pytest.fixture(scope="module")
def home(start_home: Callable[..., Settings]) -> Settings:
    """A separate warehouse with 500 known customers on each scored date."""
    settings = start_home("online_retail")
    with connect(settings, "transformer") as connection:
        connection.execute(
            "create table features.customer_snapshots (as_of_date date, customer_id text)"
        )
        connection.execute(
            "create or replace view reporting.published_churn as"
            " select churn.* from scores.churn join ops.publications"
            " using (as_of_date, publication_id) where publications.question = 'churn'"
        )
    return settings


@pytest.fixture(autouse=True)
def nothing_published(home: Settings) -> Iterator[None]:
    with connect(home, "transformer") as connection:
        connection.execute("truncate features.customer_snapshots")
        connection.cursor().executemany(
            "insert into features.customer_snapshots select %s, unnest(%s::text[])",
            [(AS_OF + timedelta(days=days), CUSTOMERS) for days in (0, 20, 21)],
        )
    yield
    with connect(home, "perennial") as connection:
        connection.execute("truncate scores.churn, ops.publications, ops.gate_results")
        connection.execute("truncate ops.late_dates, ops.landed_files cascade")


def published(settings: Settings, as_of_date: date = AS_OF) -> dict[float, int]:
    """Number of rows by probability, as a reader sees them."""
    with connect(settings, "bi_reader") as connection:
        return dict(
            connection.execute(
                "select coalesce(churn_probability_90d, -1), count(*)"
                " from reporting.published_churn where as_of_date = %s group by 1",
                [as_of_date],
            ).fetchall()
        )


def test_rows_arrive_as_they_were_given(home: Settings) -> None:
    rows = not_scored(frame(), 3)
    rows.loc[10, "churn_probability_90d"] = 0.1 + 0.2  # every bit of it
    summary = run(home, rows)
    assert published(home) == {0.25: 496, -1: 3, 0.30000000000000004: 1}
    assert summary["row_counts"] == {"churn": 500}
    assert summary["not_scored_counts"] == {"churn": 3}
    with connect(home, "scorer") as connection:
        (row,) = connection.execute(
            "select distinct model_name, model_version, run_id, publication_id, score_reason,"
            " scored_at between now() - interval '1 minute' and now()"
            " from scores.churn where score_status = 'not_scored'"
        ).fetchall()
        pointer = connection.execute(
            "select publication_id, training_date, row_count, row_counts, checksum"
            " from ops.publications"
        ).fetchall()
    publication_id, checksum = summary["publication_id"], summary["checksum"]
    assert row == (
        "coin", MODEL.model_version, "a run", publication_id, "no order that counts", True
    )  # fmt: skip
    assert pointer == [(publication_id, date(2011, 9, 1), 500, {"churn": 500}, checksum)]


LISTS = """
sources:
  - name: scores
    config: {meta: {question: lists, kind: rules}}
    tables:
      - name: lists
        description: Lists. One row per product_id.
        config: {meta: {entity: covariate}}
        columns:
          - {name: covariate, data_type: text, description: Key.}
          - {name: product_ids, data_type: "text[]", description: Texts.}
          - {name: shares, data_type: "double precision[]", description: Numbers.}
          - {name: why, data_type: jsonb, description: Anything.}
"""


def test_arrays_and_json_arrive_as_they_were_given(home: Settings) -> None:
    contract = contract_yml.parse(LISTS, "lists", contract_yml.doc_blocks(contracts.SCORES))
    odd = ["plain", 'with "quotes"', "a, comma", "back\\slash", "{braces}", "", "null"]
    rows = pd.DataFrame(
        {
            "covariate": ["a", "b", "c"],
            "product_ids": [odd, [], None],
            "shares": [[0.1 + 0.2, 1e-300], None, [-0.0]],
            "why": [{"of": ["x"], "n": 1}, [1, 2], None],
            "score_status": "scored",
            "score_reason": None,
        }
    )
    with connect(home, "perennial") as connection:
        connection.execute("set role perennial")
        connection.execute(score_tables.creation(contract.tables[0]))
    summary = publish(home, [{"lists": rows}], contract, AS_OF, MODEL, "lists")
    with connect(home, "scorer") as connection:
        found = connection.execute(
            "select product_ids, shares, why from scores.lists order by covariate"
        ).fetchall()
        assert checksum_in_force(connection, contract, AS_OF) == summary["checksum"]
    assert found == list(rows[["product_ids", "shares", "why"]].itertuples(index=False, name=None))
    with pytest.raises(contracts.ContractError, match="holds 3 null elements"):
        publish(home, [{"lists": rows.assign(product_ids=[["a", None]] * 3)}], contract, AS_OF,
                MODEL, "lists")  # fmt: skip


def test_equal_rows_have_equal_checksums_whatever_the_run_and_the_order(home: Settings) -> None:
    first = run(home, frame(seed=1), run_id="first")
    second = run(home, frame(seed=2), run_id="second")
    other = run(home, frame(probability=np.nextafter(0.25, 1)))
    assert first["checksum"] == second["checksum"] != other["checksum"]
    assert first["publication_id"] < second["publication_id"] < other["publication_id"]
    assert sum(published(home).values()) == 500


def test_readers_see_old_or_new_rows_and_never_an_error(home: Settings) -> None:
    run(home, frame(0.1))
    allowed = [{probability: 500} for probability in (0.1, 0.2, 0.3)]
    seen: list[dict[float, int]] = []
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            seen.append(published(home))
            time.sleep(0.005)

    with ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(poll) for _ in range(2)]
        run(home, frame(0.2))
        run(home, frame(0.3))
        done.set()
        for future in polls:
            future.result()
    assert [state for state in seen if state not in allowed] == []
    assert seen[0] == {0.1: 500}
    assert published(home) == {0.3: 500}
    assert len(seen) > 20


def test_a_new_month_does_not_wait_for_an_idle_reader(home: Settings) -> None:
    run(home, frame(0.1))
    first_of_month = AS_OF + timedelta(days=21)
    with ThreadPoolExecutor(1) as pool, connect(home, "bi_reader") as reader:
        reader.execute("select count(*) from reporting.published_churn").fetchone()
        # the reader stays in its transaction meanwhile
        pool.submit(run, home, frame(0.2), first_of_month).result(timeout=60)
    assert published(home, first_of_month) == {0.2: 500}


def test_two_dates_of_a_new_month_come_at_once(home: Settings) -> None:
    make = "select scores.ensure_month('churn', %s)"
    waiting = (
        "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    with (
        ThreadPoolExecutor(1) as pool,
        connect(home, "scorer") as first,
        connect(home, "scorer", autocommit=True) as second,
        connect(home, "perennial", autocommit=True) as watcher,
    ):
        first.execute(make, [date(2031, 3, 1)])
        later = pool.submit(second.execute, make, [date(2031, 3, 2)])
        wait_until(lambda: watcher.execute(waiting).fetchone() == (1,))
        first.commit()
        later.result(timeout=60)


def test_the_last_day_of_a_month_and_the_first_of_the_next_have_partitions(home: Settings) -> None:
    for days in (20, 21):
        run(home, frame(), AS_OF + timedelta(days=days))
    with connect(home, "scorer") as connection:
        rows = connection.execute(
            "select as_of_date, tableoid::regclass::text, count(*) from scores.churn"
            " group by 1, 2 order by 1"
        ).fetchall()
    assert rows == [
        (date(2011, 9, 30), "scores.churn_2011_09", 500),
        (date(2011, 10, 1), "scores.churn_2011_10", 500),
    ]


@pytest.mark.parametrize("stage", ["ensure_month", "copy", "gate", "csv", "pointer"])
def test_a_failure_at_any_stage_leaves_the_old_rows(
    home: Settings, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    run(home, frame(0.1))
    with connect(home, "transformer") as connection:
        note_late_date(home, connection)
    if stage == "gate":  # one more known customer than scored
        with connect(home, "transformer") as connection:
            connection.execute(
                "insert into features.customer_snapshots values (%s, 'new')", [AS_OF]
            )
    elif stage == "csv":
        monkeypatch.setattr(copying, "csv", fail)
    else:
        break_sql(home, stage)
    try:
        with pytest.raises((psycopg.Error, GateFailed, RuntimeError)):
            run(home, frame(0.2))
    finally:
        repair_sql(home)
    assert published(home) == {0.1: 500}
    with connect(home, "scorer") as connection:
        assert connection.execute("select count(*) from ops.late_dates").fetchone() == (1,)
        # no session holds the lock any more
        assert connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory'"
        ).fetchone() == (0,)


def fail(*_: object) -> str:
    raise RuntimeError("planted")


BREAK = """
create function ops.planted() returns trigger language plpgsql as
    $$ begin raise exception 'planted'; end $$;
create trigger planted before {event} for each statement execute function ops.planted();
"""


def break_sql(settings: Settings, stage: str) -> None:
    with connect(settings, "perennial") as connection:
        if stage == "ensure_month":
            connection.execute("revoke execute on function scores.ensure_month from scorer")
        else:
            event = {
                "copy": "insert on scores.churn",
                # the last statement of the transaction that switches the pointer
                "pointer": "delete on ops.late_dates",
            }[stage]
            connection.execute(sql.SQL(BREAK).format(event=sql.SQL(event)))


def repair_sql(settings: Settings) -> None:
    with connect(settings, "perennial") as connection:
        connection.execute("grant execute on function scores.ensure_month to scorer")
        connection.execute("drop function if exists ops.planted cascade")


def note_late_date(settings: Settings, connection: psycopg.Connection) -> None:
    with connect(settings, "perennial") as owner:
        ((file_id,),) = owner.execute(
            "insert into ops.landed_files (batch_id, source, table_name, file_name,"
            " content_sha256, byte_count, record_count, landed_count, rejected_count, first_line,"
            " run_id) values (1, 's', 't', 'f', 'x', 1, 1, 1, 0, 1, 'r') returning file_id"
        ).fetchall()
    connection.execute(
        "insert into ops.late_dates values ('churn', %s, %s, '2011-09-01')", [AS_OF, file_id]
    )


def test_publishing_clears_the_late_date(home: Settings) -> None:
    with connect(home, "transformer") as connection:
        note_late_date(home, connection)
    run(home, frame())
    with connect(home, "scorer") as connection:
        assert connection.execute("select count(*) from ops.late_dates").fetchone() == (0,)


def test_a_file_that_came_while_scores_were_made_stays_noted(home: Settings) -> None:
    with connect(home, "transformer") as connection:
        note_late_date(home, connection)
    publish(home, [{"churn": frame()}], CHURN, AS_OF, MODEL, "a run", late_file_ids=[])
    with connect(home, "scorer") as connection:
        assert connection.execute("select count(*) from ops.late_dates").fetchone() == (1,)


def test_the_gate_stops_scores_of_a_customer_nobody_knows(home: Settings) -> None:
    run(home, frame(0.1))
    rows = frame(0.2)
    rows.iloc[0, rows.columns.get_loc("customer_id")] = "stranger"
    with pytest.raises(GateFailed, match=r"scores\.churn.*every customer known.*2 rows"):
        run(home, rows)
    assert published(home) == {0.1: 500}


def test_two_publishes_of_one_date_take_turns(home: Settings) -> None:
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(run, home, frame(value)) for value in (0.1, 0.2, 0.3)]
        summaries = [future.result() for future in futures]
    last = max(summaries, key=lambda summary: summary["publication_id"])
    value = (0.1, 0.2, 0.3)[summaries.index(last)]
    assert published(home) == {value: 500}
    with connect(home, "scorer") as connection:
        switched = connection.execute("select publication_id from ops.publications").fetchall()
    assert switched == [(last["publication_id"],)]


def test_only_rows_without_a_pointer_are_cleaned(home: Settings) -> None:
    run(home, frame(0.1))
    run(home, frame(0.2))
    run(home, frame(0.5), AS_OF + timedelta(days=21))
    assert clean_superseded(home, timedelta(hours=1))["churn"] == 0  # too young to be sure
    assert clean_superseded(home, timedelta(0))["churn"] == 500
    assert clean_superseded(home, timedelta(0))["churn"] == 0
    assert published(home) == {0.2: 500}
    assert published(home, AS_OF + timedelta(days=21)) == {0.5: 500}


def test_rows_that_are_about_to_be_shown_are_not_cleaned(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even after a long time: a machine may sleep between the gate and the switch."""

    def gate_then_clean(*given: Any) -> Summary:
        summary = gate_scores(*given)
        assert clean_superseded(home, timedelta(0))["churn"] == 0
        return summary

    run(home, frame(0.1))
    monkeypatch.setattr(publish_module, "gate_scores", gate_then_clean)
    run(home, frame(0.2))
    assert published(home) == {0.2: 500}
    assert clean_superseded(home, timedelta(0))["churn"] == 500


def test_parts_make_one_publication_whatever_their_number(home: Settings) -> None:
    rows = frame()
    halves = [{"churn": rows[:200]}, {"churn": rows[200:]}]
    summary = publish(home, halves, CHURN, AS_OF, MODEL, "in parts")
    assert summary["checksum"] == run(home, rows)["checksum"]
    assert published(home) == {0.25: 500}


def test_a_customer_in_two_parts_is_refused_and_not_named(home: Settings) -> None:
    run(home, frame(0.1))
    rows = frame(0.2)
    overlapping = [{"churn": rows[:300]}, {"churn": rows[299:]}]
    with pytest.raises(contracts.ContractError, match="repeat a key") as refused:
        publish(home, overlapping, CHURN, AS_OF, MODEL, "overlapping")
    assert "customer " not in str(refused.value)
    assert refused.value.__suppress_context__
    assert published(home) == {0.1: 500}


def test_nothing_is_made_any_more_after_a_failure(home: Settings) -> None:
    """A thread computes the next part during a write; the publisher closes its source."""
    rows = frame(0.2)
    made = []

    def parts() -> Iterator[dict[str, pd.DataFrame]]:
        yield {"churn": rows}
        yield {"churn": rows[:1]}  # repeats a key
        time.sleep(0.5)
        made.append("the third")
        yield {"churn": rows[:1]}

    with pytest.raises(contracts.ContractError, match="repeat a key"):
        publish(home, parts(), CHURN, AS_OF, MODEL, "broken off")
    assert made == ["the third"]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "missing: churn"),
        ([{}], "missing: churn"),
        ([{"churn": frame()}, {"curn": frame()}], "has no table curn"),
    ],
)
def test_tables_that_do_not_come_or_are_unknown_are_refused(
    home: Settings, parts: list[dict[str, pd.DataFrame]], says: str
) -> None:
    run(home, frame(0.1))
    with pytest.raises(contracts.ContractError, match=says):
        publish(home, parts, CHURN, AS_OF, MODEL, "incomplete")
    assert published(home) == {0.1: 500}


def test_a_model_of_a_later_date_is_refused(home: Settings) -> None:
    model = replace(MODEL, training_date=AS_OF + timedelta(days=1))
    with pytest.raises(contracts.ContractError, match="knows the future"):
        publish(home, [{"churn": frame()}], CHURN, AS_OF, model, "a run")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into raw.online_retail_invoice_lines default values",
        "insert into features.customer_snapshots values ('2011-09-10', 'x')",
        "update scores.churn set churn_probability_90d = 0",
        "truncate scores.churn",
        "create table scores.mine (a int)",
        "drop table scores.churn",
        "delete from ops.publications",
        "insert into ops.late_dates values ('churn', '2011-09-10', 1, '2011-09-10')",
        "select scores.ensure_month('no_such_table', '2011-09-10')",
        "select * from raw.online_retail_invoice_lines",
        "delete from ops.gate_results",
    ],
)
def test_the_scorer_can_write_nothing_else(home: Settings, statement: str) -> None:
    run(home, frame(0.1))
    with (
        connect(home, "scorer") as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)),
    ):
        connection.execute(statement)
    assert published(home) == {0.1: 500}


@pytest.mark.parametrize("role", ["loader", "transformer", "bi_reader"])
def test_nobody_else_writes_scores(home: Settings, role: str) -> None:
    run(home, frame(0.1))
    with (
        connect(home, role) as connection,
        pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
        ),
    ):
        connection.execute("delete from scores.churn")
    assert published(home) == {0.1: 500}
