"""The registry and the driver: a date's model is trained once, stored and read back completely."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import ClassVar

import fsspec
import pandas as pd
import pytest
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

from local import mlflow
from ml_tasks import question as questions
from ml_tasks.engine import scoring
from ml_tasks.evaluation.contest import HIGHER
from ml_tasks.models import mlflow_runs, registry, serving
from ml_tasks.models.registry import RegistryError
from ml_tasks.question import Question
from ml_tasks.trained_model import TrainedModel
from perennial.settings import Settings
from perennial.warehouse import connect
from privacy import search
from tests.planted_figures import report_of

SEPTEMBER = TrainedModel(
    name="coin",
    training_date=date(2011, 9, 1),
    parameters={"seed": 7, "bounds": [0.5, 0.1 + 0.2], "nested": {"10": 1, "9": 2}, "text": "ü"},
    artefacts={"trees.ubj": bytes(range(256)), "weights.safetensors": b""},
    metrics={"auc": 0.8125, "undefined": float("nan")},
    report=report_of(
        [
            {"cut_date": "2011-06-01", "model": "coin", "auc": 0.75, "gini": None},
            {"cut_date": "2011-03-01", "model": "coin", "auc": 0.875},
        ],
        p_value=float("nan"),
    ),
    plots={"calibration.png": b"\x89PNG"},
)


@pytest.fixture(scope="module")
def home(start_home: Callable[..., Settings]) -> Settings:
    settings = start_home("online_retail")
    registry.initialise(settings)
    with connect(settings, "transformer") as connection:
        connection.execute(
            "create table features.customer_snapshots as"
            " select day as as_of_date, 'c' || n as customer_id, true as is_in_sample"
            " from generate_series(1, 50) as n,"
            " lateral (values (date '2011-09-10'), (date '2011-09-20'), (date '2011-10-01'),"
            " (date '2011-10-05'))"
            " as days (day)"
        )
    return settings


def stored_files(settings: Settings, question: str) -> list[Path]:
    return [path for path in (settings.home / "mlflow" / question).rglob("*") if path.is_file()]


def test_a_model_comes_back_as_it_was_trained(home):
    returned = registry.add(home, "round_trip", SEPTEMBER)
    found = registry.find(home, "round_trip", SEPTEMBER.training_date)
    assert found == returned
    assert (found.name, found.training_date) == (SEPTEMBER.name, SEPTEMBER.training_date)
    assert found.parameters == SEPTEMBER.parameters
    assert found.artefacts == SEPTEMBER.artefacts
    assert found.metrics == {"auc": 0.8125}
    assert found.model_version == SEPTEMBER.model_version


def test_report_plots_and_card_are_kept_and_nothing_is_a_pickle(home):
    registry.add(home, "kept", SEPTEMBER)
    files = {path.name: path for path in stored_files(home, "kept")}
    assert set(files) == {
        "trained_model.json", "trees.ubj", "weights.safetensors", "report.json", "data.json",
        "calibration.png", "model_card.md",
    }  # fmt: skip
    assert '"p_value": null' in files["report.json"].read_text()
    card = files["model_card.md"].read_text()
    assert SEPTEMBER.model_version in card
    assert "| auc | 0.8125 |" in card
    assert "| 2011-06-01 | coin |  | 0.75 |" in card


def test_figures_of_each_cut_are_metrics_whose_step_is_the_day(home):
    registry.add(home, "steps", SEPTEMBER)
    client = mlflow_runs.client_of(home)
    (version,) = client.search_model_versions("name = 'steps'")
    history = client.get_metric_history(version.run_id, "cut/auc/coin")
    found = {date.fromordinal(metric.step): metric.value for metric in history}
    assert found == {date(2011, 6, 1): 0.75, date(2011, 3, 1): 0.875}
    note = client.get_run(version.run_id).data.tags["mlflow.note.content"]
    assert f"get-artifact?path=plots/calibration.png&run_uuid={version.run_id}" in note


def test_each_training_date_has_its_own_model(home):
    october = replace(SEPTEMBER, training_date=date(2011, 10, 1))
    registry.add(home, "dates", october)
    registry.add(home, "dates", SEPTEMBER)  # a backfill adds an older date later
    assert registry.find(home, "dates", date(2011, 9, 1)).model_version == SEPTEMBER.model_version
    assert registry.find(home, "dates", date(2011, 10, 1)).model_version == october.model_version
    assert registry.find(home, "dates", date(2011, 8, 1)) is None
    assert registry.find(home, "no_such_question", date(2011, 9, 1)) is None
    registry.name(home, "dates", registry.CHAMPION, october.model_version)
    champion = mlflow_runs.client_of(home).get_model_version_by_alias("dates", "champion")
    assert champion.tags["training_date"] == "2011-10-01"


def test_a_challenger_is_not_found_by_date_alone(home):
    tags = {registry.TRAINED_AS: registry.CHALLENGER, registry.RECIPE: "f00"}
    challenger = registry.add(home, "role", SEPTEMBER, tags)
    assert registry.find(home, "role", SEPTEMBER.training_date) is None
    assert registry.find(home, "role", SEPTEMBER.training_date, recipe="f00") == challenger
    assert registry.find(home, "role", SEPTEMBER.training_date, recipe="ba2") is None
    found = registry.find(home, "role", SEPTEMBER.training_date, SEPTEMBER.model_version)
    assert found == challenger
    other = registry.add(home, "role", replace(SEPTEMBER, parameters={"seed": 8}))
    assert registry.find(home, "role", SEPTEMBER.training_date) == other
    report = registry.report_of(home, "role", SEPTEMBER.training_date, SEPTEMBER.model_version)
    assert report["figures"] == SEPTEMBER.report["figures"]
    assert report["p_value"] is None


def test_the_same_model_is_stored_once_and_another_beside_it(home):
    registry.add(home, "again", SEPTEMBER)
    registry.add(home, "again", SEPTEMBER)
    other = registry.add(home, "again", replace(SEPTEMBER, parameters={"seed": 8}))
    versions = mlflow_runs.client_of(home).search_model_versions("name = 'again'")
    assert len(versions) == 2
    assert registry.find(home, "again", date(2011, 9, 1)) == other
    first = registry.find(home, "again", date(2011, 9, 1), SEPTEMBER.model_version)
    assert first.parameters == SEPTEMBER.parameters


def test_first_models_of_a_question_may_be_stored_side_by_side(home):
    registry.add(home, "imported", SEPTEMBER)  # imports MLflow, so that the threads really overlap
    together = [replace(SEPTEMBER, training_date=date(2011, month, 1)) for month in range(1, 7)]
    with ThreadPoolExecutor(len(together)) as threads:
        stored = list(
            threads.map(lambda model: registry.add(home, "side_by_side", model), together)
        )
    assert [model.training_date for model in stored] == [model.training_date for model in together]


def test_a_changed_file_is_refused(home):
    registry.add(home, "changed", SEPTEMBER)
    (trees,) = [path for path in stored_files(home, "changed") if path.name == "trees.ubj"]
    trees.write_bytes(b"something else")
    with pytest.raises(RegistryError, match="were changed"):
        registry.find(home, "changed", SEPTEMBER.training_date)


def test_a_missing_file_is_reported_and_a_forgotten_model_is_gone(home):
    registry.add(home, "gone", SEPTEMBER)
    (trees,) = [path for path in stored_files(home, "gone") if path.name == "trees.ubj"]
    trees.unlink()
    with pytest.raises(RegistryError, match=r"trees\.ubj is gone"):
        registry.find(home, "gone", SEPTEMBER.training_date)
    assert registry.forget(home, "gone", date(2011, 8, 1)) == 0
    assert registry.forget(home, "gone", SEPTEMBER.training_date) == 1
    assert registry.find(home, "gone", SEPTEMBER.training_date) is None
    assert registry.add(home, "gone", SEPTEMBER).artefacts == SEPTEMBER.artefacts


@pytest.fixture
def bucket():
    """An in-memory store for one test: fsspec has one such file system per process."""
    yield "memory://registry_bucket"
    memory = fsspec.filesystem("memory")
    if memory.exists("/registry_bucket"):
        memory.rm("/registry_bucket", recursive=True)


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_files_lie_where_the_settings_say(home, tmp_path, bucket, scheme):
    url = f"file://{tmp_path}/models" if scheme == "file" else f"{bucket}/models"
    elsewhere = home.model_copy(update={"artefacts": url})
    question = f"elsewhere_{scheme}"
    assert registry.add(elsewhere, question, SEPTEMBER).artefacts == SEPTEMBER.artefacts
    assert stored_files(home, question) == []
    filesystem, folder = fsspec.core.url_to_fs(url)
    names = {path.rsplit("/", 1)[1] for path in filesystem.find(folder)}
    assert {"trees.ubj", "model_card.md", "report.json"} <= names
    # another process with the same settings, and one that got them too late
    for settings in (elsewhere, home):
        found = registry.find(settings, question, SEPTEMBER.training_date)
        assert found.artefacts == SEPTEMBER.artefacts


def test_a_shared_folder_may_be_called_like_the_one_in_a_home(home, tmp_path):
    shared = home.model_copy(update={"artefacts": f"file://{tmp_path}/mlflow"})
    registry.add(shared, "shared", SEPTEMBER)
    found = registry.find(shared, "shared", SEPTEMBER.training_date)
    assert found.artefacts == SEPTEMBER.artefacts


def test_a_home_may_be_moved(home, tmp_path):
    registry.add(home, "moved", SEPTEMBER)
    shutil.copytree(home.home / "mlflow", tmp_path / "mlflow")
    shutil.rmtree(home.home / "mlflow" / "moved")
    shutil.copytree(home.secrets_dir, tmp_path / "secrets")
    moved = home.model_copy(update={"home": tmp_path})
    assert registry.find(moved, "moved", SEPTEMBER.training_date).artefacts == SEPTEMBER.artefacts
    october = replace(SEPTEMBER, training_date=date(2011, 10, 1))
    registry.add(moved, "moved", october)
    assert registry.find(moved, "moved", october.training_date).artefacts == october.artefacts
    assert not (home.home / "mlflow" / "moved").exists()


def test_a_home_may_have_a_blank_and_an_umlaut_in_its_path(home, tmp_path):
    shutil.copytree(home.secrets_dir, tmp_path / "a höme" / "secrets")
    settings = home.model_copy(update={"home": tmp_path / "a höme"})
    registry.add(settings, "blank", SEPTEMBER)
    found = registry.find(settings, "blank", SEPTEMBER.training_date)
    assert found.artefacts == SEPTEMBER.artefacts
    stored = {str(path) for path in stored_files(settings, "blank")}
    hits = set(search._files(settings, ["coin"]))  # files that an erasure searches
    assert any(path.endswith("model_card.md") for path in hits & stored)


def test_the_password_file_of_mlflows_admin_holds_though_it_was_lost(home):
    users, given = SqlAlchemyStore(), home.password("mlflow_admin")
    mlflow._set_password(home)  # before the server's first start, which creates its users
    users.init_db(home.dsn("mlflow", "mlflow", "postgresql+psycopg2"))
    assert not users.has_user("admin")
    users.create_user("admin", "the one that was lost", is_admin=True)
    mlflow._set_password(home)
    assert users.authenticate_user("admin", given)
    assert not users.authenticate_user("admin", "the one that was lost")
    assert users.get_user("admin").is_admin


class Coin(Question):
    """A question that gives every customer one probability, and counts its trainings."""

    name = "churn"
    contest: ClassVar[dict[str, str]] = {"auc": HIGHER}
    baselines = ("guess",)

    def __init__(self, chance: float) -> None:
        self.chance = chance
        self.training_dates: list[date] = []

    def train(self, training_date: date, store: object, seed: int) -> TrainedModel:
        self.training_dates.append(training_date)
        return TrainedModel("coin", training_date, {"chance": self.chance, "seed": seed})

    def score_shard(
        self, as_of_date: date, model: TrainedModel, store: object
    ) -> dict[str, pd.DataFrame]:
        frame = pd.DataFrame({"customer_id": [f"c{number}" for number in range(1, 51)]})
        frame["churn_probability_90d"] = model.parameters["chance"]
        frame["churn_percentile_90d"] = 100.0
        frame["churn_risk_band"], frame["churn_risk_band_rank"] = "low", 3
        frame["churn_relative_band"] = "3 middle"
        frame["score_status"] = "scored"
        frame["score_reason"] = None
        frame[[f"{name}_{rank}" for name in ("reason", "reason_code") for rank in (1, 2, 3)]] = None
        why = frame[["customer_id", "score_status", "score_reason"]].assign(
            reason_rank=1,
            feature="chance",
            feature_value=model.parameters["chance"],
            contribution_log_odds=0.0,
            reason="a coin",
            reason_code="as_usual",
            usual_value=None,
        )
        return {"churn": frame, "churn_reasons": why}


@pytest.fixture
def coin(monkeypatch: pytest.MonkeyPatch) -> Coin:
    question = Coin(0.25)
    monkeypatch.setattr(questions, "load", lambda _: question)
    return question


def test_a_month_is_trained_once_whatever_is_scored_in_it_and_in_which_order(home, coin):
    october = scoring.score_question(home, "churn", date(2011, 10, 5), "r1")
    late = scoring.score_question(home, "churn", date(2011, 9, 20), "r2")
    coin.chance = 0.5  # what a training would give now
    early = scoring.score_question(home, "churn", date(2011, 9, 10), "r3")
    assert coin.training_dates == [date(2011, 10, 1), date(2011, 9, 1)]
    assert early["model_version"] == late["model_version"] != october["model_version"]
    again = scoring.score_question(home, "churn", date(2011, 9, 20), "r4")
    assert again["checksum"] == late["checksum"]


def test_a_rerun_uses_the_model_that_the_date_was_published_with(home, coin):
    first = scoring.score_question(home, "churn", date(2011, 9, 10), "r1")
    registry.add(home, "churn", TrainedModel("coin", date(2011, 9, 1), {"chance": 0.75}))
    again = scoring.score_question(home, "churn", date(2011, 9, 10), "r2")
    assert again["model_version"] == first["model_version"]
    assert again["checksum"] == first["checksum"]


def test_two_runs_of_one_month_train_once(home, coin, monkeypatch):
    monkeypatch.setattr(serving, "_published", lambda *_: None)
    with ThreadPoolExecutor(2) as pool:
        dates = [date(2011, 7, 10), date(2011, 7, 20)]
        models = list(pool.map(lambda day: serving.ensure_model(home, "churn", day), dates))
    assert coin.training_dates == [date(2011, 7, 1)]
    assert models[0] == models[1]
