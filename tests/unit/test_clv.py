"""CLV on a shop with known truth."""

import json
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.churn import run as churn_run
from ml_tasks.clv import before, columns, eligibility, past_dates, run, spread, tiers, year
from ml_tasks.clv import model as clv
from ml_tasks.clv.amounts import OrderAmounts
from ml_tasks.clv.baselines import BASELINES, PRODUCTS, fit_process
from ml_tasks.clv.evaluate import MODEL, REPORTED, YEAR_BASELINE, decide, year_ahead
from ml_tasks.customers import chance
from ml_tasks.customers.known import Known
from ml_tasks.engine.contract_check import checked
from ml_tasks.evaluation import metrics
from ml_tasks.evaluation.comparison import Evaluation, untested
from ml_tasks.evaluation.figures import rows
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial import contracts
from tests.unit.planted_shop import plant, with_outcome

TRAINING_DATE = date(2021, 12, 1)
SCORED_DATE = date(2021, 12, 10)
TABLE = contracts.load("clv").table("clv")
REPEAT = "repeat_of_last_90_days"


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
    return run.QUESTION.score(SCORED_DATE, trained, shop)["clv"]


@pytest.fixture(scope="module")
def happened(shop):
    return with_outcome(shop.orders, shop.snapshot(SCORED_DATE), 90)


class Store:
    """Returns fixed frames."""

    one_in = 1

    def sample_for(self, training_date, horizon_days):
        return self

    def __init__(self, snapshot, labelled, days=None):
        self.frame, self.days = snapshot, days
        self.by_horizon = {90: labelled, 365: labelled.head(0)}

    def snapshot(self, as_of_date):
        return self.frame

    def labelled_snapshots(self, known_by, horizon_days):
        return self.by_horizon[horizon_days]

    def shop_days(self, as_of_date):
        return self.days


def test_spend_is_sorted_better_than_by_its_repeat(scores, happened, trained):
    assert trained.name == MODEL
    amount = happened["outcome_net_spend_amount"]
    gini = metrics.normalised_gini(amount, scores["predicted_spend_amount_90d"])
    assert gini > metrics.normalised_gini(amount, happened["net_spend_amount_90d"]) + 0.02


def test_the_chance_of_any_spend_is_on_its_level_and_ranks(scores, happened):
    has_spent = (happened["outcome_net_spend_amount"] > 0).to_numpy(dtype=float)
    chance = scores["spend_probability_90d"].to_numpy()
    assert metrics.auc(has_spent, chance) > 0.85
    assert metrics.calibration_error(has_spent, chance) < 0.06


def test_an_interval_of_nothing_says_why(scores):
    upper = scores["predicted_spend_amount_365d_upper"].round(2)
    notes = scores["predicted_spend_note"]
    year, quarter = (columns.MOST_SPEND_NOTHING.format(days=days) for days in (365, 90))
    assert (notes[upper == 0] == year).all()
    is_quarter = (upper > 0) & (scores["predicted_spend_amount_90d_upper"].round(2) == 0)
    assert (notes[is_quarter] == quarter).all()
    assert notes[(upper > 0) & ~is_quarter].isna().all()
    assert (scores.loc[notes.notna(), "spend_probability_90d"] < 0.5).all()
    assert min((upper == 0).sum(), is_quarter.sum()) > 10


def test_total_holds_where_the_season_turns(scores, happened):
    # a quiet autumn before and a busy spring after: repeating the last 90 days falls far short
    amount, orders = happened["outcome_net_spend_amount"], happened["outcome_count_orders"]
    assert abs(metrics.total_error(amount, scores["predicted_spend_amount_90d"])) < 0.20
    assert abs(metrics.total_error(orders, scores["predicted_orders_90d"])) < 0.20
    assert metrics.total_error(amount, happened["net_spend_amount_90d"]) < -0.25


def test_scores_meet_the_contract(scores, shop):
    assert checked(scores, TABLE).num_rows == len(shop.snapshot(SCORED_DATE)) > 500
    assert (scores["predicted_spend_amount_365d"] >= scores["predicted_spend_amount_90d"]).all()
    assert (scores["spend_probability_365d"] >= scores["spend_probability_90d"]).all()
    assert list(scores["historic_spend_amount"]) == list(
        shop.snapshot(SCORED_DATE)["net_spend_amount"]
    )


def test_same_rows_in_any_order_give_the_same_model(shop, labelled):
    year = shop.labelled_snapshots(TRAINING_DATE, 365)
    frames = (labelled, year, shop.snapshot(TRAINING_DATE), shop.shop_days(TRAINING_DATE))
    models = []
    for order in (frames, [frame.sample(frac=1, random_state=9) for frame in frames]):
        known = Known.of(order[0], *order[2:])
        past = chance.predict_past(known, 1, past_dates.also(1))
        models.append(clv.fit(known, order[1], past, seed=1)[0])
    assert models[0].parameters() == models[1].parameters()
    assert models[0].artefacts() == models[1].artefacts()


def test_the_chance_of_spend_is_that_of_churn_times_what_refunds_leave(shop, scores):
    model = churn_run.QUESTION.train(TRAINING_DATE, shop, seed=1)
    churn = churn_run.QUESTION.score(SCORED_DATE, model, shop)["churn"]
    of_order = 1 - churn["churn_probability_90d"].to_numpy()
    share = scores["spend_probability_90d"].to_numpy() / of_order
    assert share == pytest.approx(np.full(len(share), share[0]), abs=1e-9)
    assert share[0] == pytest.approx(1)  # nothing is refunded in this shop


def test_a_model_read_back_from_json_and_files_scores_the_same(shop, trained, scores):
    stored = TrainedModel(
        trained.name,
        trained.training_date,
        json.loads(canonical_json(trained.parameters)),
        {name: bytes(content) for name, content in trained.artefacts.items()},
    )
    again = run.QUESTION.score(SCORED_DATE, stored, shop)["clv"]
    pd.testing.assert_frame_equal(again, scores, check_exact=True)


def test_report_is_plain_json(trained):
    assert json.loads(canonical_json(trained.report)) == trained.report
    tested = Evaluation.from_report(trained.report, trained.name)
    assert len(tested.of(MODEL, run.QUESTION.contest)) == 3
    assert trained.metrics["gini"] > trained.metrics["baseline_gini"]
    assert trained.metrics["orders_gini"] > trained.metrics["baseline_orders_gini"]
    assert len(trained.plots) == 2


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_probability_model_is_published_where_it_wins(shop, labelled, name, monkeypatch):
    monkeypatch.setattr(run, "evaluate", lambda *_: untested(name))
    monkeypatch.setattr(chance, "predict_past", lambda *_: chance.no_predictions())
    model = run.QUESTION.train(TRAINING_DATE, shop, seed=1)
    stored = replace(model, parameters=json.loads(canonical_json(model.parameters)))
    assert (model.name, model.artefacts, run.QUESTION.reads(stored)) == (name, {}, True)
    scores = run.QUESTION.score(SCORED_DATE, stored, shop)["clv"]
    checked(scores, TABLE)
    assert scores["predicted_spend_amount_365d"].gt(scores["predicted_spend_amount_90d"]).all()
    assert scores["spend_probability_365d"].ge(scores["spend_probability_90d"]).all()
    assert scores["spend_probability_90d"].between(0, 1).all()
    # a model without seasons, 90 days ahead: the planted season shifts the level, not the rank
    happened = with_outcome(shop.orders, shop.snapshot(SCORED_DATE), 90)
    amount = happened["outcome_net_spend_amount"]
    assert metrics.normalised_gini(amount, scores["predicted_spend_amount_90d"]) > 0.75


def test_expected_spend_is_expected_orders_times_what_is_left_of_an_order(shop):
    snapshot = shop.snapshot(SCORED_DATE)
    half = snapshot.assign(net_spend_amount=snapshot["gross_spend_amount"] / 2)
    kept, refunded = (fit_process("bg_nbd", frame).predict(snapshot) for frame in (snapshot, half))
    assert refunded["spend_90"].to_numpy() == pytest.approx(kept["spend_90"].to_numpy() / 2)
    model = fit_process("bg_nbd", snapshot)
    p, q, gamma = (model.amounts[name] for name in ("p", "q", "gamma"))
    x = snapshot["count_order_days"] - 1
    repeats = snapshot["gross_spend_amount"] - snapshot["first_order_amount"]
    amount = p * (gamma + repeats) / (p * x + q - 1)  # the note's formula: x times their mean
    assert (kept["spend_90"] / kept["orders"]).to_numpy() == pytest.approx(amount.to_numpy())


@pytest.mark.parametrize(
    ("ginis", "winner"),
    [
        pytest.param((0.73, 0.74, 0.73), "pareto_nbd_x_gamma_gamma", id="better on each cut"),
        pytest.param((0.81, 0.69, 0.72), MODEL, id="better on average, by one cut"),
        pytest.param((0.712, 0.713, 0.714), MODEL, id="better on each cut, by next to nothing"),
    ],
)
def test_a_baseline_wins_only_where_it_is_clearly_better(ginis, winner):
    figures = [
        figure
        for month, gini in enumerate(ginis, start=1)
        for name in (MODEL, *BASELINES)
        for figure in rows(
            date(2021, month, 1),
            name,
            dict.fromkeys(REPORTED, 0.1)
            | {"gini": {MODEL: 0.71, "pareto_nbd_x_gamma_gamma": gini}.get(name, 0.5)},
            n=100,
        )
    ]
    assert decide(Evaluation(tuple(figures))).winner == winner


def test_of_noise_everybody_is_expected_alike(shop, labelled, monkeypatch):
    rng = np.random.default_rng(0)
    count_rows = len(labelled)
    count_orders = rng.poisson(0.7, count_rows)
    noise = labelled.assign(
        outcome_net_spend_amount=rng.gamma(0.5, 100, count_rows) * count_orders,
        outcome_count_orders=count_orders,
    )
    monkeypatch.setattr(run, "evaluate", lambda *_: untested(MODEL))  # any rank wins by chance
    store = Store(shop.snapshot(SCORED_DATE), noise, shop.shop_days(SCORED_DATE))
    model = run.QUESTION.train(TRAINING_DATE, store, seed=1)
    scores = run.QUESTION.score(SCORED_DATE, model, store)["clv"]
    checked(scores, TABLE)
    assert scores["spend_probability_90d"].std() < 0.05


def test_without_outcomes_the_last_90_days_are_repeated(shop, labelled):
    snapshot = shop.snapshot(SCORED_DATE)
    store = Store(snapshot, labelled.head(0), shop.shop_days(SCORED_DATE))
    model = run.QUESTION.train(TRAINING_DATE, store, seed=1)
    scores = run.QUESTION.score(SCORED_DATE, model, store)["clv"]
    checked(scores, TABLE)
    assert model.name == REPEAT
    assert list(scores["predicted_spend_amount_90d"]) == list(snapshot["net_spend_amount_90d"])
    assert list(scores["predicted_spend_amount_365d"]) == list(snapshot["net_spend_amount_365d"])


@pytest.mark.parametrize(
    ("days_watched", "status", "has_year"),
    [
        pytest.param(60, "not_scored", False, id="too young to repeat 90 days"),
        pytest.param(90, "scored", False, id="old enough for 90 days, not for a year"),
        pytest.param(365, "scored", True, id="old enough for a year"),
    ],
)
def test_a_young_shop_says_no_more_than_it_knows(shop, labelled, days_watched, status, has_year):
    snapshot = shop.snapshot(SCORED_DATE)
    young = snapshot.assign(
        days_since_first_order=snapshot["days_since_first_order"].clip(upper=days_watched)
    )
    store = Store(young, labelled.head(0), shop.shop_days(SCORED_DATE))
    model = run.QUESTION.train(TRAINING_DATE, store, seed=1)
    scores = run.QUESTION.score(SCORED_DATE, model, store)["clv"]
    checked(scores, TABLE)
    assert set(scores["score_status"]) == {status}
    assert scores["predicted_spend_amount_365d"].notna().all() == has_year


def test_one_customer_alone_is_scored(shop, trained, labelled):
    alone = Store(shop.snapshot(SCORED_DATE).head(1), labelled)
    scores = run.QUESTION.score(SCORED_DATE, trained, alone)["clv"]
    assert checked(scores, TABLE).num_rows == 1
    assert set(scores["value_tier"]) <= set(tiers.TIERS)


def test_the_year_ahead_is_tested_once_there_are_two_years():
    shop = plant(count_customers=400, count_days=1250, seed=8, season_strength=0.5)
    known_by = date(2023, 3, 1)
    labelled, year = (shop.labelled_snapshots(known_by, days) for days in (90, 365))
    known = Known.of(labelled, shop.snapshot(known_by), shop.shop_days(known_by))
    tested = Evaluation(tuple(year_ahead(known, year, seed=1)))
    assert {row.model for row in tested.figures} == {MODEL, YEAR_BASELINE, *PRODUCTS}
    assert tested.cuts == ["2022-03-01"]
    ours, repeat = (tested.of(name)["2022-03-01"] for name in (MODEL, YEAR_BASELINE))
    assert ours["gini_365d"] > repeat["gini_365d"] + 0.05
    assert abs(ours["total_error_365d"]) < 0.35 < abs(repeat["total_error_365d"])


def test_a_shop_watched_for_less_than_half_a_year_says_nothing_of_a_year(shop, trained):
    scores = run.QUESTION.score(date(2020, 6, 10), trained, shop)["clv"]
    checked(scores, TABLE)
    assert scores["predicted_spend_amount_365d"].isna().all()
    assert scores["value_tier"].notna().all()


def test_a_year_is_predicted_from_the_seasons_seen_and_the_card_says_so(trained):
    # as many customers come in the first days as in 200 later days: the shop is older than its data
    shop = plant(count_customers=2_000, count_days=760, seed=6)
    model = run.QUESTION.train(date(2020, 11, 1), shop, seed=1)
    scores = run.QUESTION.score(date(2020, 11, 10), model, shop)["clv"]
    checked(scores, TABLE)
    happened = with_outcome(shop.orders, shop.snapshot(date(2020, 11, 10)), 365)
    amount, mean, lower, upper = (
        frame.to_numpy(dtype=float)
        for frame in (
            happened["outcome_net_spend_amount"],
            *(scores[f"predicted_spend_amount_365d{which}"] for which in ("", "_lower", "_upper")),
        )
    )
    assert abs(metrics.total_error(amount, mean)) < 0.15
    repeat = happened["net_spend_amount_365d"]
    assert metrics.normalised_gini(amount, mean) > metrics.normalised_gini(amount, repeat)
    assert 0.75 < np.mean((lower <= amount) & (amount <= upper)) < 0.95
    assert eligibility.SEASON_NOT_SEEN in model.report["warnings"]
    assert eligibility.SEASON_NOT_SEEN not in trained.report["warnings"]


def test_quantiles_are_those_of_what_came(scores, happened):
    amount = happened["outcome_net_spend_amount"].to_numpy()
    bounds = {
        names: [scores[f"predicted_spend_{names}_90d_{q}"].to_numpy() for q in ("lower", "upper")]
        for names in ("amount", "if_buying")
    }
    for names, (lower, upper) in bounds.items():
        median = scores[f"predicted_spend_{names}_90d_p50"].to_numpy()
        assert (lower <= median).all()
        assert (median <= upper).all()
    # nine in ten are at most that high, or as many as buy nothing
    chance = scores["spend_probability_90d"].to_numpy()
    is_above = amount > bounds["amount"][1]
    assert is_above.mean() == pytest.approx(np.minimum(chance, 0.1).mean(), abs=0.02)
    lower, upper = (one[amount > 0] for one in bounds["if_buying"])
    spent = amount[amount > 0]
    assert np.mean((lower <= spent) & (spent <= upper)) == pytest.approx(0.8, abs=0.06)
    median = scores["predicted_spend_amount_90d_p50"].to_numpy()
    is_buyer = median > 0
    assert np.mean(amount[is_buyer] > median[is_buyer]) == pytest.approx(0.5, abs=0.12)
    mean = scores["predicted_spend_amount_90d"].to_numpy()
    assert np.abs(amount - median).mean() < np.abs(amount - mean).mean()
    assert np.abs(amount - median).mean() < np.abs(amount).mean()


def test_spread_of_a_planted_law_is_found():
    rng = np.random.default_rng(4)
    chance = rng.uniform(0.05, 1, 40_000)
    expected = chance * 50.0
    amount = np.where(rng.random(40_000) < chance, rng.exponential(50.0, 40_000), 0.0)
    fitted = spread.fit(chance, expected, amount)
    predicted = fitted.around(np.array([0.4, 0.8, 1.0]), np.array([20.0, 40.0, 50.0]))
    # exponential: the share beyond m is chance * exp(-m / 50)
    assert predicted["median"] == pytest.approx(
        [0, 50 * np.log(1.6), 50 * np.log(2)], rel=0.06, abs=0.1
    )
    assert predicted["upper"] == pytest.approx(50 * np.log([4, 8, 10]), rel=0.08)
    assert predicted["if_buying_lower"] == pytest.approx(np.full(3, 50 * np.log(10 / 9)), rel=0.12)
    assert predicted["if_buying_upper"] == pytest.approx(np.full(3, 50 * np.log(10)), rel=0.08)
    none = fitted.around(np.array([0.05]), np.array([2.5]))
    assert (none["upper"], none["if_buying_median"] > 0) == (0, True)


def test_a_model_of_before_scores_as_it_did(trained, shop, scores):
    now = columns.restored(trained)
    trees = now.chance.clock
    amounts = now.amounts["trees"]
    spreads = {
        days: {**around.parameters(), "coverage": 0.6} for days, around in now.spreads.items()
    }
    parts = {"chance": trees.trees, "amount": amounts.trees, "orders": amounts.trees}
    stored = TrainedModel(
        before.NAME,
        TRAINING_DATE,
        {
            **trained.parameters,
            "model": {
                "clock": trees.clock.parameters(),
                "mean_order_amount": amounts.mean_order_amount,
                "parts": {name: part.parameters() for name, part in parts.items()},
                "year_level": 0.0,
                "year_chance_shift": 0.0,
                "spreads": {str(days): around for days, around in spreads.items()},
            },
        },
        {f"{name}.ubj": part.trees for name, part in parts.items()},
    )
    assert run.QUESTION.reads(stored)
    found = run.QUESTION.score(SCORED_DATE, stored, shop)["clv"]
    checked(found, TABLE)
    predicted = trees.predict(shop.snapshot(SCORED_DATE))
    assert found["spend_probability_90d"].to_numpy() == pytest.approx(predicted)
    assert found["predicted_spend_if_buying_90d_p50"].isna().all()


def tier_of(amount: np.ndarray, bounds: list[float]) -> np.ndarray:
    """Tiers of customers who had none before."""
    return tiers.steady_tier(amount, np.full(len(amount), np.nan), bounds)


def test_tiers_are_shares_of_value_and_nobody_gets_one_for_nothing():
    amount = np.array([50.0, 20.0, 10.0, 8.0, 7.0, 2.0, 2.0, 1.0, 0.0])
    found = tier_of(amount, tiers.bounds(amount, 10.0))
    assert list(found) == ["top", "high", "high", "medium", "medium", "low", "low", "low", "low"]
    assert set(tier_of(np.zeros(3), tiers.bounds(np.zeros(3), 0.0))) == {"low"}


@pytest.mark.parametrize("amount", [1234.5678, 1234.5612, 0.0199, 12.34, 99.999])
def test_whoever_is_on_a_bound_is_in_the_better_tier(amount):
    alone = np.array([amount])
    assert list(tier_of(alone, tiers.bounds(alone, 0.0))) == ["top"]


def test_nobody_is_top_who_is_worth_less_than_an_order():
    # a marketplace: few customers come back, and orders are worth 100
    amount = np.array([140.0, 60.0, 20.0, *np.full(997, 1.0)])
    found = tier_of(amount, tiers.bounds(amount, 100.0))
    assert list(found[:4]) == ["top", "high", "medium", "low"]
    assert set(found[3:]) == {"low"}


def test_a_tier_is_left_only_by_more_than_the_margin():
    least = [100.0, 50.0, 10.0]
    now = np.array([95.0, 89.0, 109.0, 111.0, 95.0, 5.0])
    before = np.array([101.0, 101.0, 99.0, 99.0, np.nan, 101.0])
    assert list(tiers.steady_tier(now, before, least)) == [
        "top", "high", "high", "top", "high", "low"
    ]  # fmt: skip


def test_nobody_flips_from_one_day_to_the_next_without_an_order(shop, trained, scores):
    next_day = run.QUESTION.score(date(2021, 12, 11), trained, shop)["clv"].set_index("customer_id")
    both = scores.set_index("customer_id").join(next_day["value_tier"], rsuffix="_next")
    days = shop.snapshot(date(2021, 12, 11)).set_index("customer_id")["days_since_last_order"]
    quiet = both[days.reindex(both.index) > 1]
    assert len(quiet) > 500
    assert (quiet["value_tier"] != quiet["value_tier_next"]).mean() < 0.01


def test_a_tier_does_not_depend_on_who_else_is_scored(shop, trained, scores):
    class Few:
        def snapshot(self, as_of_date):
            frame = shop.snapshot(
                as_of_date
            )  # the oldest customer shows how long the shop was watched
            is_oldest = frame["days_since_first_order"] == frame["days_since_first_order"].max()
            return frame[is_oldest | frame["customer_id"].str.endswith("3")]

    few = run.QUESTION.score(SCORED_DATE, trained, Few())["clv"].set_index("customer_id")
    all_of_them = scores.set_index("customer_id").reindex(few.index)
    assert list(few["value_tier"]) == list(all_of_them["value_tier"])


# An order beyond any doubt, after fivetran/dbt_shopify#166: price times quantity twice.


@pytest.fixture(scope="module")
def spoilt(shop):
    """The shop with an order of 129 million nine months ago, by a customer who is still active."""
    orders = shop.orders.copy()
    is_then = orders["ordered_date"].between("2021-02-20", "2021-03-10")
    place = orders[is_then & orders["customer_id"].isin(shop.snapshot(SCORED_DATE)["customer_id"])]
    orders.loc[place.index[0], "amount"] = 129_248_000.0
    return replace(shop, orders=orders), place["customer_id"].iloc[0]


def test_one_absurd_order_moves_nobody_else(trained, scores, spoilt):
    shop, buyer = spoilt
    model = run.QUESTION.train(TRAINING_DATE, shop, seed=1)
    assert model.name == trained.name
    (warning,) = model.report["warnings"]
    assert warning.startswith("1 of 7")
    assert "beyond doubt" in warning
    found = run.QUESTION.score(SCORED_DATE, model, shop)["clv"].set_index("customer_id")
    checked(found.reset_index(), TABLE)
    before = scores.set_index("customer_id")
    for column in ("predicted_spend_amount_90d", "predicted_spend_amount_365d"):
        others = before.index != buyer
        change = (found[column][others] / before[column][others] - 1).abs()
        # trees with one changed amount: any other usual amount moves them as far
        assert change.median() < 0.03
        assert change.quantile(0.95) < 0.10
        assert found[column].sum() == pytest.approx(before[column].sum(), rel=0.02)
    assert (found["value_tier"] == before["value_tier"]).mean() > 0.95
    assert found.loc[buyer, "predicted_spend_amount_365d"] < 3_000
    # columns of what happened keep the order as it is
    assert found.loc[buyer, "historic_spend_amount"] > 129_000_000


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_too_takes_it_as_usual(shop, spoilt, name, monkeypatch):
    monkeypatch.setattr(run, "evaluate", lambda *_: untested(name))
    monkeypatch.setattr(chance, "predict_past", lambda *_: chance.no_predictions())
    sums = []
    for one in (shop, spoilt[0]):
        model = run.QUESTION.train(TRAINING_DATE, one, seed=1)
        predicted = run.QUESTION.score(SCORED_DATE, model, one)["clv"]
        sums.append(predicted[["predicted_spend_amount_90d", "predicted_spend_amount_365d"]].sum())
    assert sums[1].to_numpy() == pytest.approx(sums[0].to_numpy(), rel=0.02)


def test_amounts_beyond_doubt_are_as_large_as_the_rule_says():
    # deviations of the log are ln 2, ln 2, 0: 8 robust sigmas are 2 ** (8 * 1.4826) = 3,712 times
    frame = pd.DataFrame({"last_order_amount": [5.0, 10.0, 10.0, 20.0, 0.0, 20.0, 5.0]})
    found = OrderAmounts.of(frame)
    assert found.usual == 10.0
    assert found.largest == pytest.approx(10 * 2 ** (8 * 1.4826))
    one_price = OrderAmounts.of(pd.DataFrame({"last_order_amount": [10.0, 10.0]}))
    assert one_price.largest == 10_000.0
    times = OrderAmounts.of(frame * 1_000)
    assert times.largest == pytest.approx(found.largest * 1_000)
    nothing = OrderAmounts.of(frame * 0)
    assert (nothing.usual, nothing.largest) == (0.0, 0.0)


def test_a_frame_of_true_orders_is_left_as_it_is(shop, labelled):
    amounts = OrderAmounts.of(shop.snapshot(SCORED_DATE))
    assert amounts.believable(labelled) is labelled


def test_an_absurd_order_counts_as_the_customers_usual_one(shop, spoilt):
    spoilt_shop, buyer = spoilt
    amounts = OrderAmounts.of(spoilt_shop.snapshot(SCORED_DATE))
    true, tamed = (
        frame.set_index("customer_id").loc[buyer]
        for frame in (
            shop.snapshot(SCORED_DATE), amounts.believable(spoilt_shop.snapshot(SCORED_DATE)),
        )
    )  # fmt: skip
    for column in ("net_spend_amount", "gross_spend_amount", "net_spend_amount_365d"):
        assert tamed[column] == pytest.approx(true[column], rel=0.35)
    assert tamed["max_order_amount"] <= true["max_order_amount"] * 1.01
    assert tamed["last_order_amount"] == true["last_order_amount"]


@dataclass(frozen=True)
class Expecting:
    """A member with given expected orders and log odds by horizon."""

    by_days: dict[int, np.ndarray]

    def orders(self, snapshot, days):
        return self.by_days[days]

    def log_odds(self, snapshot, days):
        return self.by_days[days] - 1.0


def test_a_year_is_the_members_own_where_the_quarter_brings_no_news():
    quarter, whole = np.array([0.5, 2.0]), np.array([2.0, 5.0])
    members = {"a": Expecting({90: quarter, 365: whole})}
    chance = pd.Series(1 / (1 + np.exp(-(quarter - 1.0))))
    news = year.QuarterNews.of(members, None, pd.Series(quarter), chance)
    assert (news.orders, news.log_odds) == pytest.approx((0, 0), abs=1e-6)
    later = news.later_orders(members, None, quarter)
    assert quarter + later == pytest.approx(whole)
    assert news.year_log_odds(members, None, chance.to_numpy()) == pytest.approx(whole - 1.0)


def test_the_level_of_a_quarters_news_holds_all_year_and_of_the_rank_a_part():
    quarter, whole = np.array([1.0, 1.0]), np.array([3.0, 3.0])
    members = {"a": Expecting({90: quarter, 365: whole})}
    combined = np.array([1.0, 3.0])  # twice as many in all
    news = year.QuarterNews.of(members, None, pd.Series(combined), pd.Series([0.5, 0.5]))
    assert news.orders == pytest.approx(np.log(2), abs=1e-6)
    later = news.later_orders(members, None, combined)
    assert later == pytest.approx(2.0 * 2.0 * np.array([0.5, 1.5]) ** year.NEWS_KEPT, rel=1e-6)


def test_a_combination_of_before_goes_on_with_its_ratio(trained, shop):
    old = {**trained.parameters["model"]}
    del old["news"]
    snapshot = shop.snapshot(SCORED_DATE)
    now = columns.restored(trained).predict(snapshot)
    model = replace(trained, parameters={**trained.parameters, "model": old})
    before_ = columns.restored(model).predict(snapshot)
    ratio = year.orders_over_quarter(columns.restored(model).amounts, snapshot)
    level = np.exp(old["year_level"])
    expected = np.maximum(before_["spend_90"] * ratio * level, before_["spend_90"])
    assert before_["spend_365"].to_numpy() == pytest.approx(expected.to_numpy())
    assert before_["spend_90"].equals(now["spend_90"])
    assert not before_["spend_365"].equals(now["spend_365"])
