"""Champions and their history: a planted question contends with itself on a real home."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import ClassVar

import pytest

from ml_tasks import question as questions
from ml_tasks.drift import watch
from ml_tasks.evaluation.contest import HIGHER
from ml_tasks.models import champions, mlflow_runs, recipe, registry, serving
from ml_tasks.models.challenge import answered, contend
from ml_tasks.models.champions import ChampionError
from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel
from perennial.contracts import PREDICTS, Contract
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.planted_figures import old_report_by_cut, old_report_by_model, report_of

JUNE, JULY, AUGUST = (date(2011, month, 1) for month in (6, 7, 8))
MONDAY = date(2011, 7, 11)
CUTS = ("2010-12-01", "2011-03-01")
NOISE = (0.00, 0.02)  # added to each cut's figures, whatever the model


class Planted(Question):
    """A question with a recipe of given quality: its AUC above the baseline's, per cut."""

    name = "planted"
    contest: ClassVar[dict[str, str]] = {"auc": HIGHER}
    baselines = ("guess",)

    def __init__(self) -> None:
        self.gains = (0.20, 0.20)
        self.trained: list[date] = []
        self.published_name = "planted"
        self.report = report_of

    @property
    def contract(self) -> Contract:
        """It predicts; it has no yml."""
        return Contract(self.name, PREDICTS, ())

    def train(self, training_date: date, store: object, seed: int) -> TrainedModel:
        self.trained.append(training_date)
        rows = [
            {"cut_date": cut, "model": model, "auc": 0.6 + noise + gain}
            for cut, noise, own in zip(CUTS, NOISE, self.gains, strict=True)
            for model, gain in (("planted", own), ("guess", 0.0))
        ]
        parameters = {"gains": list(self.gains), "known_by": str(training_date)}
        return TrainedModel(
            self.published_name, training_date, parameters, report=self.report(rows)
        )


@pytest.fixture(scope="module")
def one_home(start_home: Callable[..., Settings]) -> Settings:
    settings = start_home("online_retail")
    registry.initialise(settings)
    return settings


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    question = Planted()
    monkeypatch.setattr(questions, "load", lambda _: question)
    monkeypatch.setattr(recipe, "recipe_of", lambda _: f"recipe {question.gains}")
    # the home has no features to store a distribution of
    monkeypatch.setattr(watch, "with_reference", lambda model, *_: model)
    return question


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A question name for this test, so that tests can share a home."""
    return request.node.name[:60].replace("[", "_").replace("]", "")


@pytest.fixture
def home(one_home: Settings) -> Iterator[Settings]:
    yield one_home
    with connect(one_home, "perennial") as connection:
        connection.execute("delete from ops.publications")


def rows(home: Settings, question: str) -> list[tuple]:
    with connect(home, "transformer") as connection:
        return connection.execute(
            "select training_date, decision, decided_by, model_training_date from ops.champions"
            " where question = %s order by champion_id",
            [question],
        ).fetchall()


def alias(home: Settings, question: str, alias: str = "champion") -> str:
    version = mlflow_runs.client_of(home).get_model_version_by_alias(question, alias)
    return version.tags["model_version"]


def test_the_first_is_champion_and_newer_data_refresh_it(home, planted, name):
    first = serving.champion_of(home, name, JUNE)
    outcome = contend(home, name, MONDAY)
    assert outcome["decision"] == "refreshed"
    assert [row[1:3] for row in rows(home, name)] == [
        ("trained", "rule"), ("trained", "rule"), ("refreshed", "rule")
    ]  # fmt: skip
    # each date has the champion of its day, the alias the newest
    assert serving.champion_of(home, name, date(2011, 6, 30)) == first
    assert serving.champion_of(home, name, date(2011, 7, 10)).training_date == JULY
    assert serving.champion_of(home, name, MONDAY).model_version == outcome["challenger"]
    assert alias(home, name) == outcome["challenger"]
    assert planted.trained == [JUNE, JULY, MONDAY]
    assert contend(home, name, MONDAY)["decision"] == "nothing"
    assert planted.trained == [JUNE, JULY, MONDAY]


@pytest.mark.parametrize(
    ("gains", "decision"),
    [
        pytest.param((0.30, 0.31), "promoted", id="better"),
        pytest.param((0.10, 0.11), "kept", id="worse"),
        pytest.param((0.10, 0.31), "waiting", id="close"),
    ],
)
def test_another_recipe_is_compared_on_equal_cuts(home, planted, name, gains, decision):
    champion = serving.champion_of(home, name, JULY)
    planted.gains = gains
    outcome = contend(home, name, MONDAY)
    assert outcome["decision"] == decision
    in_force = serving.champion_of(home, name, MONDAY).model_version
    wins = decision == "promoted"
    assert in_force == (outcome["challenger"] if wins else champion.model_version)
    assert alias(home, name) == in_force
    assert alias(home, name, "challenger") == outcome["challenger"]
    # its version is stored, used or not, and is found by no date alone
    assert registry.find(home, name, MONDAY, outcome["challenger"])
    assert registry.find(home, name, MONDAY) is None
    with connect(home, "transformer") as connection:
        (figures,) = connection.execute(
            "select figures from ops.champions where question = %s and decision = %s",
            [name, decision],
        ).fetchone()
    assert figures[1] == {
        "cut_date": "2011-03-01", "figure": "auc", "champion": pytest.approx(0.82),
        "challenger": pytest.approx(0.62 + gains[1]), "baseline": pytest.approx(0.62),
    }  # fmt: skip
    assert "| auc | 2011-03-01 | 0.8200 |" in outcome["body"]


@pytest.mark.parametrize(
    ("report", "published_name"),
    [(old_report_by_model, "planted"), (old_report_by_cut, "planted_extended")],
    ids=["by_model", "by_cut"],
)
@pytest.mark.parametrize(
    ("gains", "decision"),
    [
        pytest.param((0.30, 0.31), "promoted", id="better"),
        pytest.param((0.10, 0.11), "kept", id="worse"),
    ],
)
def test_a_champion_with_an_old_report_contends(
    home, planted, name, report, published_name, gains, decision
):
    planted.report, planted.published_name = report, published_name
    champion = serving.champion_of(home, name, JULY)
    assert champion.name == published_name
    planted.report, planted.published_name, planted.gains = report_of, "planted", gains
    outcome = contend(home, name, MONDAY)
    assert outcome["decision"] == decision
    assert f"champion ({published_name})" in outcome["body"]
    assert "| auc | 2011-03-01 | 0.8200 |" in outcome["body"]


def test_code_that_changes_no_figure_is_the_same_recipe(home, planted, name, monkeypatch):
    serving.champion_of(home, name, JULY)
    monkeypatch.setattr(recipe, "recipe_of", lambda _: "a comment was added")
    outcome = contend(home, name, MONDAY)
    assert (outcome["decision"], planted.trained) == ("refreshed", [JULY, MONDAY, JULY])


@pytest.mark.parametrize("is_approved", [True, False], ids=["approved", "rejected"])
def test_a_person_decides_a_close_case_once(home, planted, name, is_approved):
    champion = serving.champion_of(home, name, JULY)
    planted.gains = (0.10, 0.31)
    outcome = contend(home, name, MONDAY)
    assert contend(home, name, MONDAY)["decision"] == "waiting"  # cleared: it asks again
    assert [row[1] for row in rows(home, name)] == ["trained", "waiting"]
    assert serving.champion_of(home, name, MONDAY) == champion  # serves meanwhile
    answer = {"is_approved": is_approved, "who": "ada", "why": "spring matters more"}
    record = answered(home, json.loads(json.dumps(outcome)), answer)
    answered(home, outcome, answer)  # a retry
    assert record["decision"] == ("promoted" if is_approved else "kept")
    assert "ada: spring matters more" in record["reason"]
    assert rows(home, name)[2:] == [
        (MONDAY, record["decision"], "ada", MONDAY if is_approved else JULY)
    ]
    assert contend(home, name, MONDAY)["decision"] == "nothing"


def test_no_answer_keeps_the_champion(home, planted, name):
    champion = serving.champion_of(home, name, JULY)
    planted.gains = (0.10, 0.31)
    outcome = contend(home, name, MONDAY)
    record = answered(home, outcome, {"is_approved": False, "who": "", "why": ""})
    assert (record["decision"], rows(home, name)[-1][2]) == ("kept", "rule")
    assert "nobody answered" in record["reason"]
    assert serving.champion_of(home, name, MONDAY) == champion


def test_a_clear_case_needs_nobody(home, planted, name):
    serving.champion_of(home, name, JULY)
    outcome = contend(home, name, MONDAY)
    assert answered(home, outcome, {}) == outcome


def publish(home: Settings, question: str, day: date, model: TrainedModel) -> None:
    with connect(home, "scorer") as connection:
        connection.execute(
            "insert into ops.publications (question, as_of_date, publication_id, run_id,"
            " model_name, model_version, training_date, row_count, row_counts, checksum)"
            " values (%s, %s, 1, 'r', 'm', %s, %s, 0, '{}', '')",
            [question, day, model.model_version, model.training_date],
        )


def test_a_rollback_brings_back_the_version_before_also_for_dates_made_with_it(home, planted, name):
    before = serving.champion_of(home, name, JULY)
    planted.gains = (0.30, 0.31)
    contend(home, name, MONDAY)
    after = serving.champion_of(home, name, MONDAY)
    publish(home, name, date(2011, 7, 5), before)
    publish(home, name, date(2011, 7, 12), after)
    decision = serving.roll_back(home, name, "ranks new customers last")
    assert (decision.model_version, decision.previous_version) == (
        before.model_version, after.model_version
    )  # fmt: skip
    for day in (5, 12, 13):
        assert serving.model_of(home, name, date(2011, 7, day)) == before
    assert alias(home, name) == before.model_version
    # it does not come back by itself
    contend(home, name, MONDAY)
    assert serving.champion_of(home, name, MONDAY) == before
    with connect(home, "transformer") as connection:
        why = connection.execute(
            "select reason from ops.champions where question = %s and decision = 'rolled_back'",
            [name],
        ).fetchall()
    assert why == [("ranks new customers last",)]


def test_a_rollback_needs_a_reason_and_a_version_before(home, planted, name):
    with pytest.raises(ChampionError, match="no champion yet"):
        champions.roll_back(home, name, "why not")
    serving.champion_of(home, name, JULY)
    with pytest.raises(ChampionError, match="no other version"):
        champions.roll_back(home, name, "why not")
    with pytest.raises(ChampionError, match="give a reason"):
        champions.roll_back(home, name, " ")


def test_with_the_schedule_on_a_champion_holds_until_the_next(home, planted, name):
    scheduled = home.model_copy(update={"schedule": "on"})
    july = serving.champion_of(scheduled, name, date(2011, 7, 5))
    assert serving.champion_of(scheduled, name, date(2011, 8, 2)) == july
    assert planted.trained == [JULY]
    # with the schedule off only the calendar decides, whatever exists for other dates
    august = serving.champion_of(home, name, date(2011, 8, 2))
    assert (august.training_date, planted.trained) == (AUGUST, [JULY, AUGUST])
    assert serving.champion_of(home, name, date(2011, 7, 5)) == july


def test_a_model_stored_before_champions_were_recorded_serves_on(home, planted, name):
    stored = registry.add(home, name, planted.train(JULY, None, 7))
    planted.trained.clear()
    assert serving.champion_of(home, name, date(2011, 7, 20)) == stored
    assert planted.trained == []
    assert rows(home, name) == [(JULY, "trained", "rule", JULY)]


def test_a_training_killed_before_the_champion_was_named_is_put_right(
    home, planted, name, monkeypatch
):
    serving.ensure_model(home, name, JUNE)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(serving, "name_champion", killed)
        with pytest.raises(KeyboardInterrupt):
            serving.ensure_model(home, name, JULY)
    again = serving.ensure_model(home, name, JULY)
    assert planted.trained == [JUNE, JULY]
    assert alias(home, name) == again["model_version"]


def test_decisions_are_only_ever_added(home):
    for role in ("scorer", "loader", "transformer"):
        with pytest.raises(Exception, match="permission denied"), connect(home, role) as connection:
            connection.execute("update ops.champions set reason = 'another'")
