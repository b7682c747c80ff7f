"""One suite for every question that has a contract.

Tested elsewhere: features and scores do not see the future (test_point_in_time), odd shops get
plausible rows (tests/unit/test_odd_shops), contracts are complete (tests/unit/test_contracts).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pandas as pd
import pytest

from expectations.results import GateFailed
from ingest.personal import keyed_hash
from ingest.sample_shop import generate, write
from ml_tasks import question as questions
from ml_tasks.engine.checksum import checksum_in_force
from ml_tasks.engine.contract_check import checked
from ml_tasks.engine.publish import publish
from ml_tasks.engine.scoring import score_question
from ml_tasks.features.shards import Shard
from ml_tasks.features.store import FeatureStore
from ml_tasks.lookback import happened
from ml_tasks.models import registry, serving
from ml_tasks.question import Frames, Question
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial import contracts, offers
from perennial.contracts import ContractError, ScoreTable
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import build, land_files, rows

AS_OF = date(2024, 1, 20)
BEFORE_THE_SHOP = date(2000, 1, 1)
MUCH_LATER = date(2026, 1, 15)
CONTRACTED = pytest.mark.parametrize("name", contracts.questions())


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop with features of one date; each test scores its question."""
    settings = start_home("canonical")
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=3, customers=120, days=330), folder)
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    registry.initialise(settings)
    return settings


@contextmanager
def reading(home: Settings) -> Iterator[FeatureStore]:
    with connect(home, "scorer") as connection:
        yield FeatureStore(connection)


def scored(home: Settings, name: str) -> tuple[Question, TrainedModel, Frames]:
    """The question, its model and its rows; skipped if the shop lacks the tables that it needs."""
    with connect(home, "scorer") as connection:
        if why_not := offers.why_not(connection).get(name):
            pytest.skip(f"not offered: {why_not}")
    score_what_is_read(home, name)
    question, model = questions.load(name), serving.model_of(home, name, AS_OF)
    with reading(home) as store:
        return question, model, question.score(AS_OF, model, store)


def score_what_is_read(home: Settings, name: str) -> None:
    """Publish the scores that a question reads, once each."""
    for read in contracts.load(name).reads:
        if not pointer(home, read):
            score_what_is_read(home, read)
            score_question(home, read, AS_OF, "read")


def pointer(home: Settings, name: str) -> list[tuple]:
    query = "select publication_id, checksum from ops.publications where question = %s"
    with connect(home, "scorer") as connection:
        return connection.execute(query, [name]).fetchall()


@CONTRACTED
def test_its_rows_are_published_and_shown(home: Settings, name: str) -> None:
    _, _, frames = scored(home, name)
    summary = score_question(home, name, AS_OF, "whole")
    for table in contracts.load(name).tables:
        assert summary["row_counts"][table.name] == len(frames[table.name])
        with connect(home, "bi_reader") as connection:
            query = f"select count(*) from reporting.{table.name}"
            ((count,),) = connection.execute(query).fetchall()
        assert count == len(frames[table.name])
        assert count > 0 or table.may_be_empty


@CONTRACTED
def test_its_rows_are_the_same_in_shards(home: Settings, name: str) -> None:
    scored(home, name)
    whole = score_question(home, name, AS_OF, "whole")
    dealt = score_question(home.model_copy(update={"shards": 3}), name, AS_OF, "dealt")
    assert dealt["checksum"] == whole["checksum"]


@CONTRACTED
def test_a_shard_in_which_nobody_is_has_no_rows(home: Settings, name: str) -> None:
    """A shop of a few customers has such shards."""
    question, model, _ = scored(home, name)
    if not question.contract.dealt_by:
        pytest.skip("it is scored in one piece")
    with reading(home) as store:
        nobody = store.of_shard(Shard(0, 100_000))
        for frame in question.score_shard(AS_OF, model, nobody).values():
            assert len(frame) == 0


@CONTRACTED
def test_its_model_is_read_back_as_it_was_stored(home: Settings, name: str) -> None:
    """The version equals the digest of the parameters and files that were read back."""
    _, model, _ = scored(home, name)
    assert canonical_json(model.parameters)
    if not contracts.load(name).is_trained:
        return
    with connect(home, "scorer") as connection:
        ((version,),) = connection.execute(
            "select model_version from ops.champions where question = %s", [name]
        ).fetchall()
    assert model.model_version == version


@CONTRACTED
def test_before_the_shop_there_is_nothing_to_say(home: Settings, name: str) -> None:
    question = questions.load(name)
    scored(home, name)  # or it is not offered
    with reading(home) as store:
        model = (
            question.train(BEFORE_THE_SHOP, store, 7)
            if question.contract.is_trained
            else question.ruled(BEFORE_THE_SHOP)
        )
        frames = question.score(BEFORE_THE_SHOP, model, store)
    for table in question.contract.tables:
        rows = checked(frames[table.name], table).to_pandas()
        assert (rows["score_status"] == "not_scored").all()
        assert rows["score_reason"].str.len().gt(0).all()


@CONTRACTED
def test_planted_faults_are_stopped_and_readers_see_none_of_them(home: Settings, name: str) -> None:
    _, model, frames = scored(home, name)
    contract = contracts.load(name)
    score_question(home, name, AS_OF, "before")
    before = pointer(home, name)
    planted = 0
    for table in contract.tables:
        for fault, error in faults(table, frames[table.name]):
            with pytest.raises(error):
                publish(home, [{**frames, table.name: fault}], contract, AS_OF, model, "fault")
            planted += 1
    assert planted >= 3
    assert pointer(home, name) == before


def faults(table: ScoreTable, rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, type[Exception]]]:
    """Rows with one fault each, and the error that must stop them."""
    yield pd.concat([rows, rows[:1]]), ContractError  # a key twice
    yield rows.assign(score_status="lost"), ContractError
    yield rows.drop(columns=table.key[0]), ContractError
    yield rows.assign(unheard_of=1), ContractError
    for column in table.question_columns:
        if column.maximum is not None and rows[column.name].notna().any():
            yield rows.assign(**{column.name: column.maximum + 1}), ContractError
        if column.values and column.name != "score_status" and rows[column.name].notna().any():
            yield rows.assign(**{column.name: "unheard of"}), ContractError
    if table.entity.covered is not None:
        first = rows[table.key[0]] == rows[table.key[0]].iloc[0]
        yield rows[~first], GateFailed  # an entity is missing


@CONTRACTED
def test_it_is_looked_back_on_where_its_contract_says_so(home: Settings, name: str) -> None:
    question, _, _ = scored(home, name)
    score_question(home, name, AS_OF, "before")
    looked_back_on = {name: question} if question.contract.is_looked_back_on else {}
    with connect(home, "scorer") as connection:
        due = happened.due(connection, date(2030, 1, 1), looked_back_on)
        for one in due:
            question.compared(connection, one)  # whatever happened, it can be computed
    horizons = question.contract.horizons_days if looked_back_on else ()
    assert sorted(one.horizon_days for one in due) == sorted(horizons)


@pytest.mark.whole
@CONTRACTED
def test_a_shop_that_sold_nothing_for_two_years_is_scored(home: Settings, name: str) -> None:
    scored(home, name)  # or it is not offered
    if rows(home, "features.customer_snapshots", MUCH_LATER).empty:
        build(home, MUCH_LATER)
    for one in (*contracts.load(name).reads, name):
        summary = score_question(home, one, MUCH_LATER, "much later")
    for table in contracts.load(name).tables:
        assert summary["row_counts"][table.name] > 0 or table.may_be_empty


def test_rows_that_postgres_makes_have_the_published_checksum(home: Settings) -> None:
    first = score_question(home, "profile", AS_OF, "first")
    again = score_question(home, "profile", AS_OF, "again")
    assert first["checksum"] == again["checksum"]
    contract = contracts.load("profile")
    with connect(home, "scorer") as connection:
        assert checksum_in_force(connection, contract, AS_OF) == first["checksum"]
    with connect(home, "perennial") as connection:
        connection.execute("update scores.profile set country = 'Atlantis'")
    with connect(home, "scorer") as connection:
        assert checksum_in_force(connection, contract, AS_OF) != first["checksum"]


def test_who_is_erased_while_the_query_runs_is_left_out(home: Settings) -> None:
    """The query still finds the customer's orders, as in a snapshot from before the erasure.

    The last test of the file: it takes a customer away.
    """
    customer = rows(home, "features.customer_snapshots", AS_OF)["customer_id"].iloc[0]
    with connect(home, "perennial") as connection:
        connection.execute(
            "insert into ops.erasures (keyed_hash, requested_by, reason, counts, models)"
            " values (%s, 'test', 'test', '{}', '{}')",
            [keyed_hash(home.pii_key, customer.encode())],
        )
        connection.execute(
            "delete from features.customer_snapshots where customer_id = %s", [customer]
        )
    summary = score_question(home, "profile", AS_OF, "erased")
    found = rows(home, "reporting.profile", AS_OF)
    assert customer not in set(found["customer_id"])
    assert len(found) == summary["row_counts"]["profile"] > 10
