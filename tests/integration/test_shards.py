"""A date scored in one, two and seven shards: the same rows, whatever breaks."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from psycopg import sql

from ingest.sample_shop import generate, write
from ml_tasks import question as questions
from ml_tasks.demand import lstm
from ml_tasks.engine import chunks, parts
from ml_tasks.engine.cleanup import clean_superseded
from ml_tasks.engine.scoring import score_question, score_shard
from ml_tasks.features.shards import shard_number, shards
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import build, land_files, rows, score

AS_OF = date(2024, 1, 20)
QUESTIONS = contracts.questions()
RELATIONS = [f"scores.{table.name}" for name in QUESTIONS for table in contracts.load(name).tables]
STATE = (
    "select question, checksum, row_counts::text, null, null from ops.publications"
    " union all select question, kind, column_name, value, threshold from ops.drift"
    " order by 1, 2, 3"
)
PARTS = "select count(*) from ops.score_parts"


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small shop, scored in one shard."""
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=3, customers=250, days=420), folder)
    settings = start_home("canonical")
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm, "TRAINING_STEPS", 20)
        score(settings, AS_OF)
    return settings


@pytest.fixture(scope="module")
def in_one_piece(home: Settings) -> tuple[list[tuple], dict[str, pd.DataFrame]]:
    return state(home), {relation: in_force(home, relation) for relation in RELATIONS}


def in_force(settings: Settings, relation: str) -> pd.DataFrame:
    """The rows that readers see."""
    name = relation.removeprefix("scores.")
    return rows(settings, f"reporting.{name}_history", AS_OF)


def state(settings: Settings) -> list[tuple]:
    with connect(settings, "scorer") as connection:
        return connection.execute(STATE).fetchall()


def count_parts(settings: Settings) -> int:
    with connect(settings, "scorer") as connection:
        [(count,)] = connection.execute(PARTS)
    return count


def in_shards(home: Settings, count: int) -> Settings:
    return home.model_copy(update={"shards": count})


def no_score(*_: object) -> None:
    raise AssertionError("a shard that was kept is scored again")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_rows_do_not_depend_on_how_many_shards_there_are(
    home: Settings, in_one_piece: tuple, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = in_shards(home, count)
    for question in QUESTIONS:
        if count > 1 and contracts.load(question).dealt_by:
            for shard in reversed(range(count)):
                result = score_shard(settings, question, AS_OF, f"run {count}", shard)
                assert result["shard"] == f"{shard + 1} of {count}"
            assert count_parts(home) >= count
            monkeypatch.setattr(chunks, "score_part", no_score)
        score_question(settings, question, AS_OF, f"run {count}")
        monkeypatch.undo()
    publications, frames = in_one_piece
    assert state(home) == publications  # checksums depend on the rows only
    for relation, frame in frames.items():
        assert len(frame) > 0, relation
        assert in_force(home, relation).equals(frame), relation
    assert count_parts(home) == 0


def test_postgres_deals_as_python_does(home: Settings) -> None:
    keys = [f"{number}" for number in range(500)] + ["é-客戶", "a b", "", "o'c"]
    with connect(home, "scorer") as connection:
        for shard in shards(7):
            held = connection.execute(
                sql.SQL("select key from unnest(%s::text[]) as key where {}").format(
                    shard.condition(sql.Identifier("key"))
                ),
                [keys],
            )
            own = [key for key in keys if shard_number(key, 7) == shard.number]
            assert sorted(key for (key,) in held) == sorted(own)
            assert own


def test_a_shard_reads_its_own_customers_alone(home: Settings) -> None:
    """Through an index, and from pages with few other customers."""
    pages = (
        "select count(distinct (ctid::text::point)[0]) from features.customer_snapshots"
        " where as_of_date = {} and {}"
    )
    with connect(home, "scorer") as connection:

        def ask(query: str, condition: sql.Composable) -> list[tuple]:
            return connection.execute(sql.SQL(query).format(AS_OF, condition)).fetchall()

        own = [shard.condition(sql.Identifier("customer_id")) for shard in shards(3)]
        connection.execute("set enable_seqscan = off")  # Postgres would scan a small table
        plan = ask(f"explain {pages}", own[1])
        (found_by,) = [line for (line,) in plan if "Index Cond" in line]
        assert found_by.count("md5(customer_id)") == 2
        assert "Filter" not in str(plan)
        [(of_date,)] = ask(pages, sql.SQL("true"))
        of_shards = [ask(pages, condition)[0][0] for condition in own]
    assert of_date >= 4
    assert sum(of_shards) <= of_date + 4  # shards share border pages, and gaps may be filled


def half_a_shard(settings: Settings) -> None:
    """Score a shard; the process is killed when its first rows are sent but not committed."""
    write, written = parts.pq.write_table, []

    def write_once(*arguments: Any, **options: Any) -> None:
        if written:
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(write(*arguments, **options))

    parts.pq.write_table = write_once
    score_shard(settings, "churn", AS_OF, "killed", 1)


def test_a_killed_shard_changes_nothing_for_readers_and_runs_again(
    home: Settings, in_one_piece: tuple
) -> None:
    settings, (publications, frames) = in_shards(home, 2), in_one_piece
    score_shard(settings, "churn", AS_OF, "killed", 0)
    # not forked: training in this process left OpenMP threads that a fork lacks
    victim = multiprocessing.get_context("spawn").Process(target=half_a_shard, args=(settings,))
    victim.start()
    victim.join(120)
    assert victim.exitcode == -signal.SIGKILL
    assert count_parts(home) == 2  # the two tables of the finished shard
    assert state(home) == publications
    assert in_force(home, "scores.churn").equals(frames["scores.churn"])

    with ThreadPoolExecutor() as pool:  # as if a try that counts as dead were still running
        list(pool.map(lambda _: score_shard(settings, "churn", AS_OF, "killed", 1), range(2)))
    assert count_parts(home) == 4
    score_question(settings, "churn", AS_OF, "killed")
    assert state(home) == publications
    assert in_force(home, "scores.churn").equals(frames["scores.churn"])
    assert count_parts(home) == 0


def test_whoever_publishes_makes_what_is_missing_and_uses_no_other_runs_parts(
    home: Settings, in_one_piece: tuple
) -> None:
    settings, (publications, _) = in_shards(home, 2), in_one_piece
    score_shard(settings, "churn", AS_OF, "one", 1)
    score_shard(settings, "churn", AS_OF, "another", 0)
    score_shard(in_shards(home, 7), "churn", AS_OF, "one", 0)  # with a former number of shards
    with connect(home, "scorer") as connection:  # part of a model that was replaced since
        connection.execute(
            "update ops.score_parts set model_version = 'old', content = ''"
            " where run_id = 'another'"
        )
    score_question(settings, "churn", AS_OF, "one")
    assert state(home) == publications
    assert count_parts(home) == 2
    score_question(settings, "churn", AS_OF, "another")
    assert state(home) == publications
    assert count_parts(home) == 0


def test_a_slow_run_puts_no_older_rows_in_force(
    home: Settings, in_one_piece: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    churn = questions.load("churn")
    scored, quick = [], ["quick"]

    def score_and_count(*arguments: Any) -> dict[str, pd.DataFrame]:
        scored.append(arguments)
        return score(*arguments)

    def read_while_another_publishes(*arguments: Any) -> pd.DataFrame:
        while quick:
            score_question(home, "churn", AS_OF, quick.pop())
        return read(*arguments)

    score, read = churn.score_shard, churn.inputs
    monkeypatch.setattr(churn, "score_shard", score_and_count)
    monkeypatch.setattr(churn, "inputs", read_while_another_publishes)
    score_question(home, "churn", AS_OF, "slow")
    with connect(home, "scorer") as connection:
        runs = connection.execute("select run_id from ops.publications where question = 'churn'")
        assert runs.fetchall() == [("slow",)]
    assert len(scored) == 3  # the slow run scores again, because it had read older data
    assert state(home) == in_one_piece[0]


@pytest.mark.parametrize("count", [1, 2])
def test_a_large_shop_is_worked_through_in_slices(
    home: Settings, in_one_piece: tuple, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, (publications, frames) = in_shards(home, count), in_one_piece
    sizes, score = [], chunks.score_part

    def score_and_measure(*arguments: Any) -> parts.Part:
        part = score(*arguments)
        sizes.append(len(part.frames["churn"]))
        return part

    monkeypatch.setattr(chunks, "MAX_ROWS_AT_ONCE", 50)
    monkeypatch.setattr(chunks, "score_part", score_and_measure)
    if count > 1:
        score_shard(settings, "churn", AS_OF, "slices", 1)
        assert len(sizes) > 1  # a shard is scored in chunks as well
    score_question(settings, "churn", AS_OF, "slices")
    assert sum(sizes) == len(frames["scores.churn"])
    assert max(sizes) < 80
    assert state(home) == publications
    for table in ("churn", "churn_reasons"):
        assert in_force(home, f"scores.{table}").equals(frames[f"scores.{table}"])
    assert count_parts(home) == 0


def test_parts_that_an_erasure_takes_away_are_made_again(
    home: Settings, in_one_piece: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, joined, erasures = in_shards(home, 2), chunks.joined, ["one"]

    def join_while_somebody_is_erased(*arguments: Any) -> Any:
        while erasures:
            with connect(home, "eraser") as connection:
                connection.execute(f"delete from ops.score_parts -- {erasures.pop()}")
        return joined(*arguments)

    monkeypatch.setattr(chunks, "joined", join_while_somebody_is_erased)
    score_question(settings, "churn", AS_OF, "erased")
    assert not erasures
    assert state(home) == in_one_piece[0]
    assert count_parts(home) == 0


def test_what_a_run_left_behind_goes(home: Settings) -> None:
    score_shard(in_shards(home, 2), "survival", AS_OF, "broken off", 0)
    assert clean_superseded(home, timedelta(hours=1))["score_parts"] == 0  # may still be in use
    assert clean_superseded(home, timedelta(0))["score_parts"] == 1
    assert count_parts(home) == 0
