"""Churn on a shop with known truth."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.churn import bands as churn_bands
from ml_tasks.churn import run
from ml_tasks.churn.baselines import BASELINES, fit_process
from ml_tasks.churn.evaluate import MODEL
from ml_tasks.customers import chance, clock_trees
from ml_tasks.customers.clock_trees import ClockTrees
from ml_tasks.customers.known import Known
from ml_tasks.engine.contract_check import checked
from ml_tasks.evaluation import metrics
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial import contracts
from tests.unit.planted_shop import plant, with_outcome

TRAINING_DATE = date(2021, 12, 1)
SCORED_DATE = date(2021, 12, 10)
TABLE = contracts.load("churn").table("churn")


@pytest.fixture(scope="module")
def shop():
    return plant(count_customers=900, count_days=830, seed=3, season_strength=0.5)


@pytest.fixture(scope="module")
def labelled(shop):
    return shop.labelled_snapshots(TRAINING_DATE, 90)


@pytest.fixture(scope="module")
def trained(shop):
    return run.QUESTION.train(TRAINING_DATE, shop, seed=1)


@pytest.fixture(scope="module")
def scores(shop, trained):
    return run.QUESTION.score(SCORED_DATE, trained, shop)["churn"]


@pytest.fixture(scope="module")
def happened(shop):
    return with_outcome(shop.orders, shop.snapshot(SCORED_DATE), 90)


class Store:
    """Returns fixed frames."""

    one_in = 1

    def sample_for(self, training_date, horizon_days):
        return self

    def __init__(self, snapshot, labelled, days=None):
        self.frame, self.labelled, self.days = snapshot, labelled, days

    def snapshot(self, as_of_date):
        return self.frame

    def labelled_snapshots(self, known_by, horizon_days):
        return self.labelled

    def shop_days(self, as_of_date):
        return self.days


def test_what_was_planted_is_found(scores, happened, trained):
    assert trained.name == MODEL
    stayed_away = happened["outcome_count_orders"] == 0
    assert metrics.auc(stayed_away, scores["churn_probability_90d"]) > 0.85


def test_probabilities_are_on_the_level_of_the_truth(shop, scores, happened):
    # planted: customers leave by the calendar; the clock's customers leave after an order
    truth = 1 - shop.true_order_probability(happened, 90)
    assert scores["churn_probability_90d"].mean() == pytest.approx(truth.mean(), abs=0.05)
    for group in metrics.equal_count_bins(scores["churn_probability_90d"], 4):
        predicted = scores["churn_probability_90d"].to_numpy()[group].mean()
        assert predicted == pytest.approx(truth[group].mean(), abs=0.1)


def test_scores_meet_the_contract(scores, shop):
    assert checked(scores, TABLE).num_rows == len(shop.snapshot(SCORED_DATE)) > 500
    by_band = scores.groupby("churn_risk_band")["churn_risk_band_rank"]
    assert by_band.unique().map(list).to_dict() == {"high": [1], "medium": [2], "low": [3]}
    shares = scores["churn_relative_band"].value_counts(normalize=True)
    wanted = {"1 highest": 0.1, "2 raised": 0.2, "3 middle": 0.4, "4 lowest": 0.3}
    assert shares.to_dict() == pytest.approx(wanted, abs=0.02)
    least = scores.groupby("churn_relative_band")["churn_probability_90d"].min()
    assert least.sort_index().is_monotonic_decreasing


def test_same_rows_in_any_order_give_the_same_model(shop, labelled):
    frames = (labelled, shop.snapshot(TRAINING_DATE), shop.shop_days(TRAINING_DATE))
    models = []
    for order in (frames, [frame.sample(frac=1, random_state=9) for frame in frames]):
        known = Known.of(*order)
        models.append(chance.fit(known, chance.predict_past(known, seed=1), seed=1)[0])
    assert models[0] == models[1]


def test_a_model_read_back_from_json_and_files_scores_the_same(shop, trained, scores):
    stored = TrainedModel(
        trained.name,
        trained.training_date,
        json.loads(canonical_json(trained.parameters)),
        {name: bytes(content) for name, content in trained.artefacts.items()},
    )
    again = run.QUESTION.score(SCORED_DATE, stored, shop)["churn"]
    pd.testing.assert_frame_equal(again, scores, check_exact=True)
    assert stored.model_version == trained.model_version


def test_report_and_metrics_are_plain_json(trained):
    tested = Evaluation.from_report(trained.report, trained.name)
    assert {row.model for row in tested.figures} == {MODEL, *chance.MEMBERS, *BASELINES}
    assert len(tested.cuts) == len(tested.of(MODEL)) == 3
    assert json.loads(canonical_json(trained.report)) == trained.report
    assert trained.metrics["log_loss"] < trained.metrics["baseline_log_loss"]
    assert all(png.startswith(b"\x89PNG") for png in trained.plots.values())
    assert len(trained.plots) == 2


def test_noise_gives_the_base_rate(shop, labelled):
    rng = np.random.default_rng(0)
    noise = labelled.assign(outcome_count_orders=rng.integers(0, 2, len(labelled)))
    store = Store(shop.snapshot(SCORED_DATE), noise, shop.shop_days(SCORED_DATE))
    model = run.QUESTION.train(TRAINING_DATE, store, seed=1)
    scores = run.QUESTION.score(SCORED_DATE, model, store)["churn"]
    checked(scores, TABLE)
    probability = scores["churn_probability_90d"]
    # the process, which uses no outcome, predicts .2; its past misses correct that
    assert probability.mean() == pytest.approx(0.5, abs=0.05)
    assert probability.std() < 0.03


def test_a_shop_too_young_to_test_a_model_is_scored_and_says_so(shop):
    model = run.QUESTION.train(date(2020, 5, 1), shop, seed=1)
    assert model.name == MODEL
    assert "no past date" in model.report["decision"]
    weights = model.parameters["model"]["weights"]
    assert list(weights.values()) == pytest.approx([1 / 3] * 3, abs=1e-6)
    scores = run.QUESTION.score(date(2020, 5, 10), model, shop)["churn"]
    checked(scores, TABLE)
    happened = with_outcome(shop.orders, shop.snapshot(date(2020, 5, 10)), 90)
    stayed_away = happened["outcome_count_orders"] == 0
    assert metrics.auc(stayed_away, scores["churn_probability_90d"]) > 0.7


def test_a_baseline_that_is_clearly_better_is_published(shop, monkeypatch):
    monkeypatch.setattr(chance, "combined", lambda _, members: np.full(len(members), 0.5))
    model = run.QUESTION.train(TRAINING_DATE, shop, seed=1)
    assert model.name in BASELINES
    assert "gives way to" in model.report["decision"]
    checked(run.QUESTION.score(SCORED_DATE, model, shop)["churn"], TABLE)


def test_a_model_of_before_scores_as_it_did(shop, labelled):
    known = Known.of(labelled, shop.snapshot(TRAINING_DATE), shop.shop_days(TRAINING_DATE))
    trees = clock_trees.fit(known, seed=1)
    parameters = {"model": trees.parameters(), "usual": run.reasons.usual_of(trees, known.snapshot)}
    stored = TrainedModel(
        ClockTrees.name, TRAINING_DATE, parameters, {run.TREES_FILE: trees.trees.trees}
    )
    assert run.QUESTION.reads(stored)
    scores = run.QUESTION.score(SCORED_DATE, stored, shop)["churn"]
    predicted = 1 - trees.predict(shop.snapshot(SCORED_DATE))
    assert scores["churn_probability_90d"].to_numpy() == pytest.approx(predicted)


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(lambda frame: frame.head(0), id="no outcome known yet"),
        pytest.param(lambda frame: frame.assign(outcome_count_orders=0), id="nobody came back"),
        pytest.param(lambda frame: frame.assign(outcome_count_orders=1), id="everybody came back"),
    ],
)
def test_where_nothing_can_be_learnt_every_row_says_why(shop, labelled, outcome):
    store = Store(shop.snapshot(SCORED_DATE), outcome(labelled), shop.shop_days(SCORED_DATE))
    model = run.QUESTION.train(TRAINING_DATE, store, seed=1)
    scores = run.QUESTION.score(SCORED_DATE, model, store)["churn"]
    checked(scores, TABLE)
    assert set(scores["score_status"]) == {"not_scored"}
    assert scores["score_reason"].str.contains("fewer than 30 past outcomes").all()
    why = run.QUESTION.score(SCORED_DATE, model, store)["churn_reasons"]
    checked(why, contracts.load("churn").table("churn_reasons"))
    assert set(why["customer_id"]) == set(scores["customer_id"])
    assert model.report["eligibility"]["is_eligible"] is False


def test_one_customer_alone_is_scored(shop, trained):
    alone = Store(shop.snapshot(SCORED_DATE).head(1), None)
    scores = run.QUESTION.score(SCORED_DATE, trained, alone)["churn"]
    assert checked(scores, TABLE).num_rows == 1
    assert scores["churn_percentile_90d"].tolist() == [100.0]


def test_a_date_with_no_customer_has_no_row(shop, trained):
    nobody = Store(shop.snapshot(SCORED_DATE).head(0), None)
    assert run.QUESTION.score(SCORED_DATE, trained, nobody)["churn"].empty


def test_longer_silence_never_lowers_churn(shop, trained):
    customer = shop.snapshot(SCORED_DATE).query("days_since_first_order > 300").head(1)
    silent = pd.concat([customer.assign(days_since_last_order=days) for days in range(1, 300, 7)])
    # in real rows ratios to recency change, too; here they stay, so that only one value changes
    silent["avg_days_between_orders"] = np.nan
    silent["days_since_first_order"] = 1e9
    probability = 1 - run.restored(trained).predict(silent)
    assert (np.diff(probability) >= 0).all()
    assert probability[-1] > probability[0]


def test_bands_and_percentiles_at_their_borders():
    probability = np.array([0.8, 0.79999, 0.5, 0.49999, 0.8])
    assert list(churn_bands.risk_band(probability)) == ["high", "medium", "medium", "low", "high"]
    ranked = churn_bands.percentile(probability, np.sort(probability))
    assert ranked == pytest.approx([100, 60, 40, 20, 100])
    some = churn_bands.percentile(np.array([0.5, np.nan]), np.append(np.sort(probability), np.nan))
    assert some == pytest.approx([40, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("probability", "bands"),
    [
        # a marketplace: few customers come back, but some are likelier to than others
        pytest.param(0.99 + np.arange(10) / 1e4, "4443333221", id="everybody is at high risk"),
        pytest.param(np.full(4, 0.7), "3333", id="equal customers share a band"),
        pytest.param(np.array([0.2]), "3", id="one customer"),
        pytest.param(np.array([0.1, 0.1, 0.1, 0.9]), "3332", id="the highest of four"),
    ],
)
def test_a_relative_band_distinguishes_customers_of_one_shop(probability, bands):
    found = churn_bands.relative_band(probability, np.append(probability, np.nan))
    assert "".join(name[0] for name in found) == bands
    assert churn_bands.relative_band(np.array([np.nan]), probability).tolist() == [None]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_published_with_reasons(shop, name, monkeypatch):
    monkeypatch.setattr(run, "evaluate", lambda *_: untested(name))
    monkeypatch.setattr(chance, "predict_past", lambda *_: chance.no_predictions())
    model = run.QUESTION.train(TRAINING_DATE, shop, seed=1)
    stored = replace(model, parameters=json.loads(canonical_json(model.parameters)))
    assert (model.name, model.artefacts, run.QUESTION.reads(stored)) == (name, {}, True)
    frames = run.QUESTION.score(SCORED_DATE, stored, shop)
    checked(frames["churn"], TABLE)
    checked(frames["churn_reasons"], contracts.load("churn").table("churn_reasons"))


def test_bg_nbds_chance_is_the_closed_form_of_the_paper(shop):
    snapshot = shop.snapshot(SCORED_DATE)
    model = fit_process("bg_nbd", Known(snapshot, snapshot, snapshot))
    r, alpha = model.process["r"], model.process["alpha"]
    once = snapshot[snapshot["count_order_days"] == 1]
    # nobody leaves before a repeat, so a customer with one order follows a plain NBD
    age = once["days_since_first_order"].to_numpy(dtype=float)
    silent = ((alpha + age) / (alpha + age + 90)) ** r
    assert model.predict(once) == pytest.approx(1 - silent)
