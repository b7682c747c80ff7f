"""Survival: curves and Cox's model against closed forms, lifelines and plain loops."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from ml_tasks.churn import run as churn_run
from ml_tasks.customers import buying_clock
from ml_tasks.customers.shop_days import ShopDays, fit_shop_days
from ml_tasks.engine.contract_check import checked
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.figures import rows as rows_of
from ml_tasks.survival import (
    accuracy,
    anchored,
    effects,
    evaluate,
    hazards,
    model,
    observations,
    of_the_shop,
    run,
)
from ml_tasks.survival.curves import (
    CURVE_COLUMNS,
    curves_by_group,
    extended,
    kaplan_meier,
    spend_tier,
    support_days,
)
from ml_tasks.survival.effects import fit_effects
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial import contracts
from tests.unit.planted_shop import plant, shop_days, snapshot, with_outcome

CONTRACT = contracts.load("survival")
DAY = pd.Timestamp("2021-01-01")
KNOWN = DAY + pd.Timedelta(days=400)
EVEN = ShopDays(str(DAY.date()), [1.0])  # a shop without seasons


def snapshots(count: int, seed: int) -> pd.DataFrame:
    """Customers with independent features."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:06d}" for i in range(count)],
            "days_since_first_order": rng.integers(1, 700, count),
            "days_since_last_order": rng.integers(1, 400, count),
            "count_orders": rng.integers(1, 20, count),
            "count_order_days": np.arange(count) % 3 + 1,
            "count_orders_30d": rng.integers(0, 3, count),
            "count_orders_90d": rng.integers(0, 6, count),
            "count_orders_180d": rng.integers(0, 9, count),
            "count_orders_365d": rng.integers(0, 15, count),
            "net_spend_amount_90d": rng.gamma(2, 50, count),
            "net_spend_amount_365d": rng.gamma(2, 200, count),
            "avg_days_between_orders": np.where(
                rng.random(count) < 0.3, np.nan, rng.gamma(3, 20, count)
            ),
            "country": "Land",
        }
    )


def observed(frame: pd.DataFrame, hazard: np.ndarray, watched_days: int, seed: int):
    """Days to the next order, at each customer's constant daily hazard."""
    wait = np.random.default_rng(seed).exponential(1 / hazard)
    return frame.assign(
        snapshot_date=DAY,
        days=np.minimum(np.ceil(wait), watched_days).astype(int),
        is_ordered=wait <= watched_days,
    )


def test_curve_of_a_constant_hazard_is_its_closed_form():
    frame = observed(snapshots(20_000, 1), np.full(20_000, 0.01), watched_days=300, seed=2)
    curve = kaplan_meier(frame["days"].to_numpy(), frame["is_ordered"].to_numpy())
    truth = np.exp(-0.01 * curve["day"])
    assert np.abs(curve["survival_probability"] - truth).max() < 0.012
    inside = curve["survival_lower"].le(truth) & curve["survival_upper"].ge(truth)
    assert inside[1:].mean() > 0.8
    assert curve["count_at_risk"].iloc[[0, -1]].tolist() == [
        20_000,
        (frame["days"] >= 300).sum(),
    ]


def test_curve_agrees_with_a_calculation_by_hand():
    # 5 patterns, 10 times each: deaths at 1, 2, 5; censored at 2, 3
    days = np.repeat([1, 2, 2, 3, 5], 10)
    is_ordered = np.repeat([True, True, False, False, True], 10)
    curve = kaplan_meier(days, is_ordered)
    assert curve["survival_probability"].tolist() == pytest.approx([1, 0.8, 0.6, 0.6, 0.6, 0])
    assert curve["count_at_risk"].tolist() == [50, 50, 40, 20, 10, 10]
    # log-log interval at day 1: exp(-exp(log(-log .8) ± 1.96 se)), se² = 10/(50·40)/log(.8)²
    half = 1.959964 * np.sqrt(10 / (50 * 40)) / abs(np.log(0.8))
    bounds = np.exp(np.log(0.8) * np.exp([half, -half]))
    assert curve.loc[1, ["survival_lower", "survival_upper"]].tolist() == pytest.approx(bounds)
    assert curve.loc[[0, 5], "survival_lower"].isna().all()


def test_curve_ends_where_fewer_than_ten_are_watched():
    curve = kaplan_meier(np.r_[np.full(50, 7), np.full(9, 30)], np.ones(59, dtype=bool))
    assert curve["day"].max() == 7


def test_each_customer_counts_once_in_a_curve_and_small_groups_have_none():
    first = observed(snapshots(120, 1), np.full(120, 0.01), 300, 2)
    first["country"] = ["Large"] * 80 + ["Small"] * 40
    second = first.assign(snapshot_date=DAY + pd.Timedelta(days=31))
    curves = curves_by_group(pd.concat([first, second]))
    start = curves[curves["day"] == 0].set_index("group_name")["count_at_risk"]
    assert start["all"] == 120
    assert start["country: Large"] == 80
    assert "country: Small" not in start.index
    cohorts = start[start.index.str.startswith("cohort: ")]
    assert cohorts.index.str.match(r"cohort: \d{4}Q[1-4]$").all()


def test_cox_finds_the_planted_coefficients_and_curves():
    frame = snapshots(8_000, 3)
    planted = {"log_count_orders_90d": 0.8, "log_days_since_last_order": -0.5}
    values = observations.covariates(frame, 1.0)[list(planted)].to_numpy()
    hazard = 0.03 * np.exp(values @ np.array(list(planted.values())))
    cox = model.fit_cox(observed(frame, hazard, watched_days=400, seed=4), KNOWN, EVEN)
    found = dict(zip(cox.features, cox.coefficients, strict=True))
    for name, coefficient in found.items():
        # log_overdue depends on recency and rhythm, so the three share an effect planted in one
        if name not in ("log_days_since_last_order", "log_overdue", "log_days_between_orders"):
            assert coefficient == pytest.approx(planted.get(name, 0.0), abs=0.12), name
    truth = np.exp(-hazard[:, None] * np.arange(366))
    error = np.abs(cox.survival(frame, DAY) - truth)
    assert error.mean() < 0.01
    assert np.quantile(error, 0.99) < 0.06


def test_the_unit_of_money_moves_no_curve():
    frame = snapshots(2_000, 3)
    hazard = 0.02 * np.exp(observations.covariates(frame, 500.0)["log_net_spend_amount_365d"] - 1)
    seen = observed(frame, hazard.to_numpy(), watched_days=400, seed=4)
    cents = {"net_spend_amount_365d": seen["net_spend_amount_365d"] * 100}
    ours, theirs = (
        model.fit_cox(seen, KNOWN, EVEN),
        model.fit_cox(seen.assign(**cents), KNOWN, EVEN),
    )
    in_cents = frame.assign(net_spend_amount_365d=frame["net_spend_amount_365d"] * 100)
    assert np.allclose(ours.survival(frame, DAY), theirs.survival(in_cents, DAY), atol=1e-6)


def test_customers_who_do_not_differ_have_no_cox_model():
    alike = pd.concat([snapshots(1, 3)] * 200, ignore_index=True)
    assert model.fit_cox(observed(alike, np.full(200, 0.02), 200, 4), KNOWN, EVEN) is None


def test_prediction_from_json_is_that_of_lifelines():
    from lifelines import CoxPHFitter

    frame = snapshots(500, 5)
    data = observed(
        frame, 0.02 * np.exp(observations.covariates(frame, 1.0)["log_count_orders"] - 2), 200, 6
    )
    fitted = model.fit_cox(data, KNOWN, EVEN)
    cox = model.from_dict(json.loads(canonical_json(model.to_dict(fitted))))
    values = observations.covariates(data, cox.order_amount)[cox.features]
    scaled = (values / values.std()).assign(
        days=data["days"], is_ordered=data["is_ordered"], stratum=hazards.stratum(data)
    )
    fitter = CoxPHFitter(penalizer=model.PENALTY).fit(
        scaled, "days", "is_ordered", strata=["stratum"]
    )
    survival = cox.survival(frame, DAY)
    for number in (0, 1):
        own = hazards.stratum(data) == number
        # on days without an order lifelines interpolates between steps; we keep the step
        times = np.unique(data.loc[own & data["is_ordered"], "days"])
        times = times[times <= support_days(data.loc[own, "days"].to_numpy())]
        expected = fitter.predict_survival_function(scaled[own], times=times).to_numpy().T
        np.testing.assert_allclose(survival[own][:, times], expected, rtol=1e-6)


def test_hazard_beyond_the_support_goes_on_at_its_rate():
    hazard = 0.02 * np.arange(366)
    stopped = np.where(np.arange(366) > 120, hazard[120], hazard)
    assert extended(stopped, 120) == pytest.approx(hazard)
    assert extended(np.where(np.arange(366) >= 5, np.inf, 0.1), 5)[-1] == np.inf


def test_constant_hazard_gives_the_closed_form_of_expected_days():
    survival = np.exp(-0.01 * np.arange(366))[None]
    # whole days before the order: the sum of exp(-.01 t) for t = 1..365
    ratio = np.exp(-0.01)
    closed_form = ratio * (1 - ratio**365) / (1 - ratio)
    assert model.restricted_mean_days(survival)[0] == pytest.approx(closed_form)


def test_order_on_the_snapshot_day_comes_within_one_day():
    frame = pd.DataFrame({"duration_days": [0, 0, 30, 30], "is_ordered": [True, False] * 2})
    kept = observations.observations_of(frame)
    assert kept["days"].tolist() == [1, 31, 30]
    assert kept["is_ordered"].tolist() == [True, True, False]


def test_what_was_known_earlier_holds_no_later_order():
    frame = pd.DataFrame(
        {
            "snapshot_date": pd.to_datetime(["2021-01-01", "2021-01-01", "2021-02-01"]),
            "days": [32, 31, 5],
            "is_ordered": [True, True, True],
        }
    )
    past = observations.known_on(frame, pd.Timestamp("2021-02-01"))
    # ordered on 1 February: not known on that day; on 31 January: known
    assert past["days"].tolist() == [31, 31]
    assert past["is_ordered"].tolist() == [False, True]


def test_figures_agree_with_plain_loops():
    rng = np.random.default_rng(8)
    days, rate = rng.integers(1, 60, 80), rng.uniform(0.005, 0.08, 80)
    survival = np.exp(-rate[:, None] * np.arange(41))
    squares = [
        ((days[i] > t) - survival[i, t]) ** 2 for i in range(len(days)) for t in range(1, 41)
    ]
    assert accuracy.integrated_brier(days, survival) == pytest.approx(np.mean(squares))
    expected = survival.sum(axis=1)
    right = pairs = 0.0
    for i in range(len(days)):
        for j in range(len(days)):
            if days[i] <= 40 and days[i] < min(days[j], 41):
                pairs += 1
                right += (expected[i] < expected[j]) + 0.5 * (expected[i] == expected[j])
    assert accuracy.concordance(days, expected, 40) == pytest.approx(right / pairs)


@pytest.mark.parametrize(
    ("cox", "is_better"),
    [
        pytest.param({"concordance": 0.7, "integrated_brier": 0.15}, True, id="better on both"),
        pytest.param({"concordance": 0.7, "integrated_brier": 0.2}, False, id="no sharper"),
        pytest.param({"concordance": 0.6, "integrated_brier": 0.15}, False, id="sorts no better"),
    ],
)
def test_cox_has_to_beat_the_baseline_on_both_figures(cox, is_better):
    baseline = {"concordance": 0.65, "integrated_brier": 0.2}
    first, second = (
        rows_of(date(2021, month, 1), "kaplan_meier_by_recency", baseline, 100) for month in (6, 1)
    )
    both = [*first, *rows_of(date(2021, 6, 1), "cox", cox, 100)]
    assert evaluate.is_better(Evaluation(tuple(both))) is is_better
    assert not evaluate.is_better(Evaluation())
    assert not evaluate.is_better(Evaluation((*both, *second)))  # not fitted on one of the dates


class Store:
    """Customers with a fifth, once and three times the daily hazard; none leaves."""

    def __init__(self, count: int, first: str, hazard: float = 0.02) -> None:
        rng = np.random.default_rng(9)
        self.first = pd.Timestamp(first)
        rows = []
        for number, rate in enumerate(hazard * rng.choice([0.2, 1.0, 3.0], count)):
            gaps = np.ceil(rng.exponential(1 / max(rate, 1e-9), 700))
            days = rng.integers(0, 60) + np.r_[0, np.cumsum(gaps)]
            rows += [(f"c{number:04d}", day) for day in days[days < 700]]
        self.orders = pd.DataFrame(rows, columns=["customer_id", "day"]).assign(amount=10.0)
        self.orders["ordered_date"] = self.first + pd.to_timedelta(self.orders.pop("day"), "D")

    one_in = 1

    def sample_for(self, training_date: date, horizon_days: int) -> "Store":
        return self

    def snapshot(self, as_of_date: date) -> pd.DataFrame:
        return snapshot(self.orders, pd.Timestamp(as_of_date))

    def labelled_snapshots(self, known_by: date, horizon_days: int) -> pd.DataFrame:
        newest = pd.Timestamp(known_by) - pd.Timedelta(days=horizon_days)
        grid = pd.date_range(self.first + pd.Timedelta(days=1), newest, freq="MS")
        parts = [with_outcome(self.orders, self.snapshot(day), horizon_days) for day in grid]
        nobody = with_outcome(self.orders, self.snapshot(self.first), horizon_days)
        return pd.concat(parts, ignore_index=True) if parts else nobody

    def shop_days(self, as_of_date: date) -> pd.DataFrame:
        return shop_days(self.orders, pd.Timestamp(as_of_date))

    def next_orders(self, knowledge_date: date, max_customers=None) -> pd.DataFrame:
        orders, end = self.orders, pd.Timestamp(knowledge_date)
        nobody = (
            self.snapshot(end)
            .head(0)
            .drop(columns="as_of_date")
            .assign(snapshot_date=end, is_ordered=True, duration_days=0)
        )
        parts = []
        for day in pd.date_range(self.first + pd.Timedelta(days=1), end, freq="MS"):
            if day == end:
                continue
            frame = self.snapshot(day).rename(columns={"as_of_date": "snapshot_date"})
            later = orders[(orders["ordered_date"] >= day) & (orders["ordered_date"] < end)]
            came = later.groupby("customer_id")["ordered_date"].min().reindex(frame["customer_id"])
            frame["is_ordered"] = came.notna().to_numpy()
            frame["duration_days"] = (came.fillna(end) - day).dt.days.to_numpy()
            parts.append(frame)
        return pd.concat(parts, ignore_index=True) if parts else nobody


@pytest.fixture(scope="module")
def store():
    return Store(400, "2020-01-15")


@pytest.fixture(scope="module")
def trained(store):
    return run.QUESTION.train(date(2021, 6, 1), store, seed=7)


def test_the_combination_is_used_and_says_what_it_is_made_of(trained):
    assert trained.name == "combined"
    metrics = trained.metrics
    assert metrics["concordance"] > metrics["baseline_concordance"]
    assert metrics["integrated_brier"] < metrics["baseline_integrated_brier"]
    tested = Evaluation.from_report(trained.report, trained.name)
    assert len(tested.of("combined")) == len(tested.cuts) == 1
    assert {"combined", "cox", "kaplan_meier_by_recency"} <= {row.model for row in tested.figures}
    assert trained.report["horizon_days"] == 180
    assert json.loads(canonical_json(trained.report)) == trained.report


def test_day_90_is_churns_chance_to_the_last_digit(store, trained):
    churn = churn_run.QUESTION.train(date(2021, 6, 1), store, seed=7)
    day = date(2021, 6, 10)
    stays_away = churn_run.QUESTION.score(day, churn, store)["churn"]["churn_probability_90d"]
    found = run.QUESTION.score(day, trained, store)["survival"]["order_probability_90d"]
    assert found.to_numpy() == pytest.approx(1 - stays_away.to_numpy(), abs=1e-9)


def test_anchoring_keeps_the_shape_and_meets_the_chance():
    # hazards of .01 and .03 a day: their mean at t is (exp(-.01 t) + exp(-.03 t)) / 2
    days = np.arange(181)
    curves = [np.exp(-rate * days)[None, :] for rate in (0.01, 0.03)]
    found = anchored.anchored(curves, np.array([0.5]))[0]
    assert found[90] == pytest.approx(0.5)
    mean = -np.log((np.exp(-0.01 * days) + np.exp(-0.03 * days)) / 2)
    assert -np.log(found) == pytest.approx(mean * np.log(2) / mean[90])


def test_card_has_the_check_of_proportional_hazards(trained):
    decision = trained.report["decision"]
    assert decision.startswith("Chance of an order within 90 days combined: pareto_nbd")
    rows = [line for line in decision.splitlines() if line.startswith("| log_")]
    assert len(rows) >= 4
    pictures = {"calibration_90d.png", "mean_survival.png", "survival_curves.png"}
    assert pictures <= set(trained.plots)


def test_scores_keep_the_contract_for_every_customer(store, trained):
    frames = run.QUESTION.score(date(2021, 6, 10), trained, store)
    rows = checked(frames["survival"], CONTRACT.table("survival"))
    assert (
        rows["customer_id"].to_pylist() == store.snapshot(date(2021, 6, 10))["customer_id"].tolist()
    )
    chances = frames["survival"][[f"order_probability_{h}d" for h in (30, 60, 90, 180)]]
    assert (np.diff(chances.to_numpy(), axis=1) >= 0).all()
    curves = checked(frames["survival_curves"], CONTRACT.table("survival_curves")).to_pandas()
    rises = curves.groupby("group_name")["survival_probability"].diff() > 0
    assert not rises.any()


def test_frequent_buyers_are_expected_sooner(store, trained):
    # customers' true gaps are 17, 50 or 250 days
    frame = run.QUESTION.score(date(2021, 6, 10), trained, store)["survival"]
    snapshot = store.snapshot(date(2021, 6, 10))
    often = (snapshot["count_orders_90d"] >= 4).to_numpy()
    once = (snapshot["count_orders"] == 1).to_numpy()
    assert frame.loc[often, "expected_days_to_next_order"].mean() == pytest.approx(17, abs=6)
    assert frame.loc[once, "expected_days_to_next_order"].mean() > 120


def test_equal_data_give_equal_bytes_and_scores_follow_from_them(store, trained):
    again = run.QUESTION.train(date(2021, 6, 1), store, seed=7)
    assert again.model_version == trained.model_version
    stored = TrainedModel(
        trained.name,
        trained.training_date,
        json.loads(canonical_json(trained.parameters)),
        {name: bytes(content) for name, content in trained.artefacts.items()},
    )
    for name, frame in run.QUESTION.score(date(2021, 6, 10), stored, store).items():
        pd.testing.assert_frame_equal(
            frame, run.QUESTION.score(date(2021, 6, 10), trained, store)[name]
        )


@pytest.mark.parametrize(
    ("first_day", "hazard", "name"),
    [
        pytest.param("2021-03-15", 0.02, "no_model", id="watched for two months"),
        pytest.param("2021-05-20", 0.02, "no_model", id="no snapshot yet"),
        pytest.param("2020-01-15", 0.0, "no_model", id="nobody came back"),
        pytest.param("2021-01-15", 0.02, "combined_extended", id="half a year"),
        pytest.param("2020-01-15", 0.5, "cox_extended", id="all are soon back"),
    ],
)
def test_shop_that_says_little_gets_no_more_than_that(first_day, hazard, name):
    shop = Store(300, first_day, hazard)
    trained = run.QUESTION.train(date(2021, 6, 1), shop, seed=7)
    assert trained.name == name
    for table, frame in run.QUESTION.score(date(2021, 6, 10), trained, shop).items():
        rows = checked(frame, CONTRACT.table(table))
        assert rows.num_rows > 0
        statuses = set(rows["score_status"].to_pylist())
        if table == "survival_effects" and name != "no_model":
            assert "scored" in statuses  # a covariate that repeats another has a reason instead
        else:
            assert statuses == ({"not_scored"} if name == "no_model" else {"scored"})


def test_breslow_with_late_entries_agrees_with_a_plain_loop():
    rng = np.random.default_rng(10)
    entry = rng.integers(0, 40, 300)
    exit_ = entry + rng.integers(1, 60, 300)
    risk, is_ordered = rng.gamma(2, 1, 300), rng.random(300) < 0.6
    hazard, last_day = hazards.breslow(risk, entry, exit_, is_ordered)
    total, expected = 0.0, [0.0]
    for day in range(1, last_day + 1):
        watched = sum(risk[i] for i in range(300) if entry[i] < day <= exit_[i])
        total += sum(is_ordered[i] and exit_[i] == day for i in range(300)) / watched
        expected.append(total)
    assert last_day > 70
    assert hazard[: last_day + 1] == pytest.approx(expected)


def seasonal(levels: dict[int, float], months: int, count: int, seed: int) -> pd.DataFrame:
    """Customers seen on firsts of months; the daily hazard is .01 times exp(level of the month)."""
    rng = np.random.default_rng(seed)
    first = pd.Timestamp("2020-01-01")
    days = pd.date_range(first, periods=31 * (months + 2))
    hazard = 0.01 * np.exp([levels.get(day.month, 0.0) for day in days])
    parts = []
    for start in pd.date_range(first, periods=months, freq="MS"):
        frame = snapshots(count, int(rng.integers(1 << 30)))
        frame["days_since_first_order"] = 200 + (start - first).days
        frame["days_since_last_order"] = rng.integers(1, 90, count)
        passed = np.cumsum(hazard[(start - first).days :])
        wait = 1 + np.searchsorted(passed, rng.exponential(1, count))
        watched = (first + pd.DateOffset(months=months) - start).days
        parts.append(
            frame.assign(
                snapshot_date=start, days=np.minimum(wait, watched), is_ordered=wait <= watched
            )
        )
    return pd.concat(parts, ignore_index=True)


SEASON = {11: 0.5, 12: 0.6, 1: -0.6, 2: -0.5}


def test_season_moves_the_chances_of_those_looked_at_in_it():
    # finding a planted season is tested with the buying clock
    data = seasonal(SEASON, months=14, count=2_000, seed=12)
    days = pd.date_range("2020-01-01", "2022-12-31")
    speeds = [float(np.exp(SEASON.get(day.month, 0.0))) for day in days]
    cox = model.fit_cox(data, pd.Timestamp("2021-03-01"), ShopDays("2020-01-01", speeds))
    frame = snapshots(2_000, 13)
    frame["days_since_first_order"], frame["days_since_last_order"] = 600, 45
    for day, level in (("2021-04-01", 0.0), ("2021-11-01", 0.5), ("2022-02-01", -0.5)):
        back = 1 - cox.survival(frame, pd.Timestamp(day))[:, 28].mean()
        assert back == pytest.approx(1 - np.exp(-0.28 * np.exp(level)), abs=0.04), day


def test_shop_days_add_up_and_the_last_year_comes_again():
    clock = ShopDays("2021-01-01", [1.0] * 31 + [2.0] * 28)
    assert clock.path(pd.Timestamp("2021-01-30"), 4) == pytest.approx([0, 1, 2, 4, 6])
    dates = pd.Series(pd.to_datetime(["2021-01-31", "2020-12-30"]))
    assert clock.between(dates, np.array([2, 3])) == pytest.approx([3, 3])
    # 59 days known: from 1 March on the same 59 again
    assert clock.path(pd.Timestamp("2021-03-01"), 33)[-3:] == pytest.approx([31, 33, 35])


def test_shop_days_are_the_speeds_of_the_buying_clock():
    shop = plant(count_customers=600, count_days=500, seed=21, season_strength=0.5)
    day = pd.Timestamp("2021-03-01")
    found = fit_shop_days(shop.snapshot(day), shop.shop_days(day))
    speeds = buying_clock.fit(shop.snapshot(day), shop.shop_days(day)).speeds
    assert found.path(day, 90)[-1] == pytest.approx(sum(speeds[425:515]), abs=1e-3)


def test_a_model_of_the_former_form_is_retrained(trained):
    stored = json.loads(trained.artefacts[run.MODEL_FILE])
    stored["shop_days"] = {"first_month": "2020-01-01", "levels": [0.0]}
    old = TrainedModel("cox", date(2021, 6, 1), {}, {run.MODEL_FILE: json.dumps(stored).encode()})
    assert (run.QUESTION.reads(trained), run.QUESTION.reads(old)) == (True, False)
    assert run.QUESTION.reads(TrainedModel("no_model", date(2021, 6, 1), {}))


def test_planted_hazard_ratios_are_inside_their_intervals():
    frame = snapshots(6_000, 15)
    values = observations.covariates(frame, 1.0)
    slopes = {"log_count_orders_90d": 0.6, "has_one_order_day": -0.4}
    hazard = 0.02 * np.exp(sum(values[name] * slope for name, slope in slopes.items()) - 1)
    table, report = fit_effects(
        observed(frame, hazard.to_numpy(), 300, 16), ShopDays(str(DAY.date()), [1.0])
    )
    table = table.set_index("covariate")
    truth = pd.Series(1.0, table.index)
    truth["count_orders_90d"], truth["has_one_order_day"] = 2**0.6, np.exp(-0.4)
    inside = table["hazard_ratio_lower"].le(truth) & table["hazard_ratio_upper"].ge(truth)
    assert inside.sum() >= len(table) - 1  # 95 % intervals, seven of them
    assert report["decision"] == "one baseline hazard"
    assert table.loc["count_orders_90d", "description"] == (
        "Twice the 1 + orders in the last 90 days: an order on any day is "
        f"{table.loc['count_orders_90d', 'hazard_ratio'] - 1:.0%} more likely, all else equal."
    )


def effects_of(frame: pd.DataFrame, hazard: np.ndarray, seed: int) -> pd.DataFrame:
    table, _ = fit_effects(observed(frame, hazard, 300, seed), ShopDays(str(DAY.date()), [1.0]))
    rows = checked(
        of_the_shop.rows_of_effects(table), CONTRACT.table("survival_effects")
    ).to_pandas()
    assert len(rows) == len(effects.COVARIATES)
    ratios = rows[["hazard_ratio", "hazard_ratio_lower", "hazard_ratio_upper"]]
    assert ratios.max(axis=None) <= effects.MAX_RATIO
    return rows.set_index("covariate")


def test_covariate_that_repeats_another_is_named_and_the_other_keeps_its_ratio():
    frame = snapshots(4_000, 19)
    frame["count_orders_365d"] = frame["count_orders_90d"]
    hazard = 0.02 * np.exp(0.5 * np.log1p(frame["count_orders_90d"]) - 1)
    rows = effects_of(frame, hazard.to_numpy(), 20)
    reasons = rows["score_reason"].dropna()
    assert reasons.index.tolist() == ["count_orders_90d"]
    assert reasons.iloc[0] == "it repeats count_orders_365d among these customers"
    kept = rows.loc["count_orders_365d"]
    assert kept["hazard_ratio_lower"] < 2**0.5 < kept["hazard_ratio_upper"]


def test_all_buy_once_so_that_rhythm_is_recency_and_all_are_alike():
    frame = snapshots(2_000, 21)
    frame["days_since_last_order"] = frame["days_since_first_order"]
    frame["avg_days_between_orders"] = np.nan
    rows = effects_of(frame, np.full(2_000, 0.01), 22)
    assert rows.loc["has_one_order_day", "score_reason"] == effects.SAME_FOR_ALL
    for name in ("days_since_first_order", "days_between_orders"):
        assert "repeats days_since_last_order" in rows.loc[name, "score_reason"]
    assert rows.loc["days_since_last_order", "score_status"] == "scored"


def test_separation_has_a_reason_and_no_endless_ratio():
    """No one-time buyer ever comes back: the ratio's likelihood rises for ever."""
    frame = snapshots(2_000, 23)
    hazard = np.where(frame["avg_days_between_orders"].isna(), 1e-12, 0.02)
    rows = effects_of(frame, hazard, 24)
    assert rows.loc["has_one_order_day", "score_reason"] == effects.NO_END
    assert rows["score_status"].eq("scored").sum() == len(rows) - 1


def test_absurd_effects_of_a_model_stored_before_cost_no_scores():
    stored = pd.DataFrame(
        [
            ("a", "A.", effects.TWICE, 6e25, 1e-9, np.inf, 0.5),
            ("b", "B.", effects.TWICE, 1.2, 1.1, 1.3, 0.5),
            ("c", "C.", effects.TWICE, np.nan, np.nan, np.nan, np.nan),
        ],
        columns=list(effects.EFFECT_COLUMNS),
    )
    rows = checked(
        of_the_shop.rows_of_effects(stored), CONTRACT.table("survival_effects")
    ).to_pandas()
    assert rows["score_status"].tolist() == ["not_scored", "scored", "not_scored"]
    assert rows["hazard_ratio"].notna().tolist() == [False, True, False]


def test_hazards_that_cross_are_found_and_get_strata():
    frame = snapshots(6_000, 17)
    is_long_away = frame["days_since_last_order"].to_numpy() > hazards.STRATUM_EDGE_DAYS
    rng = np.random.default_rng(18)
    # recent buyers: the hazard falls with time; long absent: it rises
    wait = np.where(is_long_away, 200 * rng.weibull(2.0, 6_000), 200 * rng.weibull(0.5, 6_000))
    data = frame.assign(
        snapshot_date=DAY, days=np.ceil(np.minimum(wait, 300)).clip(1).astype(int),
        is_ordered=wait <= 300,
    )  # fmt: skip
    _, report = fit_effects(data, ShopDays(str(DAY.date()), [1.0]))
    assert report["decision"] == "a baseline hazard per stratum"
    before, after = report["p_values_before"], report["p_values_after"]
    assert before["log_days_since_last_order"] < 1e-6 < after["log_days_since_last_order"]


def test_spend_tiers_are_shares_of_a_date():
    frame = pd.DataFrame({"snapshot_date": [DAY] * 10, "net_spend_amount_365d": range(10)})
    tiers = pd.Series(spend_tier(frame)).value_counts().to_dict()
    assert tiers == {"lower 50 %": 5, "next 30 %": 3, "top 20 %": 2}


def test_sample_is_the_same_whatever_the_order_of_rows():
    data = seasonal({}, months=6, count=200, seed=19)
    kept = observations.one_turn_each(data, 400)
    again = observations.one_turn_each(data.sample(frac=1, random_state=1), 400)
    assert kept.index.tolist() == sorted(again.index)
    assert 300 < len(kept) < 500
    assert kept["snapshot_date"].nunique() == 6


def test_mean_of_customers_is_the_curve_of_the_same_customers(store):
    """Out of sample: trained on 2020-12-01, against Kaplan-Meier of the half year that followed."""
    cut = pd.Timestamp("2020-12-01")
    known = observations.observations_of(store.next_orders(date(2021, 6, 1)))
    shop_days = fit_shop_days(store.snapshot(cut), store.shop_days(cut))
    cox = model.fit_cox(observations.known_on(known, cut), cut, shop_days)
    test = known[known["snapshot_date"] == cut]
    curve = kaplan_meier(test["days"].to_numpy(), test["is_ordered"].to_numpy())
    mean_curve = cox.survival(test, cut).mean(axis=0)
    for day in (30, 60, 90, 180):
        assert mean_curve[day] == pytest.approx(curve.loc[day, "survival_probability"], abs=0.05), (
            day
        )


def test_expected_days_and_chances_are_those_of_the_own_curve(store, trained):
    day = date(2021, 6, 10)
    fitted = anchored.restored(json.loads(trained.artefacts[run.MODEL_FILE]), trained.artefacts)
    curves = fitted.survival(store.snapshot(day), pd.Timestamp(day))
    scores = run.QUESTION.score(day, trained, store)["survival"]
    plain = [sum(curve[t] for t in range(1, 366)) for curve in curves]
    assert scores["expected_days_to_next_order"].tolist() == pytest.approx(plain)
    for within in (30, 60, 90, 180):
        chances = scores[f"order_probability_{within}d"].to_numpy()
        assert chances == pytest.approx(1 - curves[:, within])


def test_model_stored_before_strata_and_shop_days_still_scores(store):
    old = {
        "kind": "cox",
        "features": ["log_count_orders_90d"],
        "center": [1.0],
        "coefficients": [0.5],
        "cumulative_hazard": [0.01 * day for day in range(366)],
        "observed_days": 365,
    }
    curves = pd.DataFrame({name: [0] for name in CURVE_COLUMNS}).assign(group_name="all")
    stored = TrainedModel(
        "cox",
        date(2021, 6, 1),
        {},
        {
            run.MODEL_FILE: canonical_json(old).encode(),
            of_the_shop.CURVES_FILE: curves.to_json(orient="columns").encode(),
        },
    )
    frames = run.QUESTION.score(date(2021, 6, 10), stored, store)
    orders = store.snapshot(date(2021, 6, 10))["count_orders_90d"]
    hazard = 0.3 * np.exp(0.5 * (np.log1p(orders) - 1))
    chances = frames["survival"]["order_probability_30d"].to_numpy()
    assert chances == pytest.approx(1 - np.exp(-hazard.to_numpy()))
    rows = checked(frames["survival_effects"], CONTRACT.table("survival_effects"))
    assert rows["score_status"].to_pylist() == ["not_scored"]
