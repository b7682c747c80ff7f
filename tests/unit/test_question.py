"""Every question is complete, and the hooks' defaults work."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

import pandas as pd
import pytest

from ml_tasks import question as questions
from ml_tasks.evaluation.contest import HIGHER, LOWER
from ml_tasks.lookback import happened
from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.contracts import PREDICTS, Contract

MODEL = TrainedModel("toy", date(2024, 1, 1), {})


class Toy(Question):
    """A question with only its required hooks, and a lookback."""

    name = "toy"
    contest: ClassVar[dict[str, str]] = {"auc": HIGHER}
    baselines = ("guess",)
    headline = "share"

    @property
    def contract(self) -> Contract:
        """A contract with two horizons and no table."""
        return Contract("toy", PREDICTS, (), horizons_days=(10, 20), is_looked_back_on=True)

    def score_shard(self, as_of_date: date, model: TrainedModel, store: Any) -> dict[str, Any]:
        return {"toy": pd.DataFrame({"customer_id": store})}

    def figures(self, rows: pd.DataFrame, horizon_days: int) -> dict[str, float]:
        return {"share": float((rows["happened_days"] <= horizon_days).mean())}


@pytest.mark.parametrize("name", contracts.questions())
def test_every_question_is_complete(name):
    question = questions.load(name)
    assert question.name == name
    assert set(question.contest.values()) <= {HIGHER, LOWER}
    assert bool(question.contest) == question.contract.is_trained
    if question.contract.kind == PREDICTS:
        assert question.baselines
    if question.contract.is_looked_back_on:
        assert question.tested_days in question.contract.horizons_days
        assert question.headline


def test_rows_of_shards_are_joined_as_they_are_unless_a_question_says_more():
    toy = Toy()
    assert list(toy.score(date(2024, 1, 2), MODEL, ["a", "b"])["toy"]["customer_id"]) == ["a", "b"]
    parts = [toy.score_shard(date(2024, 1, 2), MODEL, part) for part in (["a"], ["b"])]
    joined = list(toy.joined(parts, date(2024, 1, 2), MODEL, None))
    assert [list(part["toy"]["customer_id"]) for part in joined] == [["a"], ["b"]]
    assert toy.reads(MODEL)


def test_a_new_question_is_compared_on_its_own_horizons(monkeypatch):
    """Lookback takes horizons and figures from the question; no other code names it."""
    scored = date(2024, 1, 1)

    class Connection:
        def execute(self, query: str, _: object) -> Connection:
            self.rows = (
                [("toy", scored, 1, "toy", "v", scored)] if "publication_id" in query else []
            )
            if "distinct" in query:
                self.rows = [("toy", scored, 10)]  # compared before
            return self

        def fetchall(self) -> list[tuple[Any, ...]]:
            return self.rows

    connection: Any = Connection()
    assert happened.due(connection, date(2024, 1, 20), {"toy": Toy()}) == []
    (due,) = happened.due(connection, date(2024, 1, 21), {"toy": Toy()})
    assert (due.question, due.horizon_days, due.known_on_date) == ("toy", 20, date(2024, 1, 21))
    rows = pd.DataFrame(
        {
            "customer_id": [f"{n}" for n in range(200)],
            "country": "A",
            "days_since_first_order": 100,
            "count_order_days": 1,
            "happened_days": [5.0] * 50 + [30.0] * 150,
        }
    )
    monkeypatch.setattr(happened, "customers", lambda *_: rows)
    found = {part.name: part.values for part in Toy().compared(connection, due)}
    assert found["all"]["share"] == pytest.approx(0.25)
