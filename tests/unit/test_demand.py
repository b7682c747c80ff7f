"""Demand: forecasters against planted truth, statsmodels and plain loops."""

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.sarimax import SARIMAX

from ml_tasks.demand import arima, evaluate, lstm, model, run
from ml_tasks.demand.panel import STEPS, Panel, first_forecast_week, panel_of, weeks_stepped_over
from ml_tasks.shared.check import checked
from ml_tasks.shared.model import TrainedModel, canonical_json
from perennial import contracts

MONDAY = date(2020, 1, 6)
TABLE = contracts.load("demand").table("demand")


def panel(units: np.ndarray) -> Panel:
    names = np.array([f"p{number:04d}" for number in range(len(units))])
    return Panel(names, MONDAY, units.astype(float), np.nan_to_num(units) * 2.0)


class Store:
    """Sales of the weeks from MONDAY on, shape (n_products, n_weeks)."""

    def __init__(self, units: np.ndarray) -> None:
        self.units = units

    def product_weeks(self, as_of_date: date) -> pd.DataFrame:
        product, week = np.nonzero(np.cumsum(self.units, axis=1) > 0)
        frame = pd.DataFrame(
            {
                "product_id": [f"p{number:04d}" for number in product],
                "week_start_date": pd.Timestamp(MONDAY) + pd.to_timedelta(week * 7, "D"),
                "sold_units": self.units[product, week].astype(int),
                "sold_amount": self.units[product, week] * 2.0,
            }
        )
        is_over = frame["week_start_date"] + pd.Timedelta(days=7) <= pd.Timestamp(as_of_date)
        return frame[is_over]


@pytest.fixture
def few_steps(monkeypatch):
    """A network that has hardly learnt, for tests that are not about how well it forecasts."""
    monkeypatch.setattr(lstm, "TRAINING_STEPS", 4)


# the calendar


@pytest.mark.parametrize(
    ("day", "first", "stepped_over"),
    [
        pytest.param(date(2011, 10, 10), date(2011, 10, 10), 0, id="Monday: the week begins"),
        pytest.param(date(2011, 10, 11), date(2011, 10, 17), 1, id="Tuesday: the week runs"),
        pytest.param(date(2011, 10, 16), date(2011, 10, 17), 1, id="Sunday: the week runs"),
    ],
)
def test_first_forecast_week_begins_on_or_after_the_day(day, first, stepped_over):
    assert first_forecast_week(day) == first
    assert weeks_stepped_over(day) == stepped_over


def test_week_without_a_row_is_a_week_without_a_sale():
    frame = pd.DataFrame(
        {
            "product_id": ["b", "a", "a"],
            "week_start_date": pd.to_datetime(["2020-01-13", "2020-01-06", "2020-01-20"]),
            "sold_units": [5, 3, 4],
            "sold_amount": [10.0, 6.0, 8.0],
        }
    )
    weeks = panel_of(frame, date(2020, 2, 5))  # a Wednesday; the last whole week began 27 January
    assert weeks.product_ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(weeks.units, [[3, 0, 4, 0], [np.nan, 5, 0, 0]])
    assert weeks.amount.sum() == 24.0
    assert weeks.week(3) == date(2020, 1, 27)


@pytest.mark.parametrize("day", ["2020-01-07", "2020-01-27"], ids=["a Tuesday", "still running"])
def test_week_that_can_not_be_is_refused(day):
    row = {"product_id": "a", "week_start_date": pd.Timestamp(day), "sold_units": 1}
    with pytest.raises(ValueError, match="week_start_date"):
        panel_of(pd.DataFrame([row | {"sold_amount": 1.0}]), date(2020, 1, 29))


# ARIMA


def test_arima_finds_the_planted_coefficient():
    rng = np.random.default_rng(1)
    surprises = rng.normal(0, 0.2, (30, 301))
    changes = surprises[:, 1:] - 0.6 * surprises[:, :-1]
    fitted = arima.fit(np.expm1(6 + np.cumsum(changes, axis=1)), np.ones(30))
    assert fitted.is_own.all()
    assert np.median(fitted.theta) == pytest.approx(-0.6, abs=0.03)
    assert np.abs(fitted.theta + 0.6).max() < 0.1  # half way to the median, each of them
    assert np.median(fitted.sigma) == pytest.approx(0.2, abs=0.01)


def test_arima_forecast_is_that_of_statsmodels():
    rng = np.random.default_rng(2)
    units = rng.poisson(30, (1, 120))
    theta, sigma = -0.7, 0.3
    ours = arima.forecast(
        units, arima.ArimaParameters(np.array([theta]), np.array([sigma]), np.array([True]))
    )[0]
    theirs = SARIMAX(np.log1p(units[0]), order=(0, 1, 1)).filter([theta, sigma**2])
    forecast = theirs.get_forecast(STEPS)
    np.testing.assert_allclose(ours[:, 1], forecast.predicted_mean, atol=1e-6)
    np.testing.assert_allclose(ours[:, [0, 2]], forecast.conf_int(alpha=0.2), atol=1e-6)


def test_constant_product_is_forecast_constant():
    units = np.full((3, 60), 7.0)
    forecast = arima.forecast(units, arima.fit(units, np.ones(3)))
    np.testing.assert_allclose(np.expm1(forecast[..., 1]), 7.0)


def test_forecast_is_bounded_where_the_recursion_would_run_away():
    units = np.ones((1, 60))
    units[0, -1] = 3
    wild = arima.ArimaParameters(np.array([4.0]), np.array([9.0]), np.array([True]))
    bounded = model.units_of(arima.forecast(units, wild), np.zeros((6, 2)), units)
    assert bounded[..., 1].max() == pytest.approx(2 * (3 + 1) - 1)
    assert bounded.max() == pytest.approx(4 * (3 + 1) - 1)
    assert bounded.min() >= 0


# the LSTM


def test_lstm_finds_a_planted_season_that_arima_can_not_know(monkeypatch):
    monkeypatch.setattr(lstm, "TRAINING_STEPS", 200)
    rng = np.random.default_rng(3)
    weeks = np.arange(140)
    season = 1 + 0.8 * np.sin(2 * np.pi * weeks / 52.18)
    truth = rng.uniform(10, 80, (80, 1)) * season
    units = rng.poisson(truth).astype(float)
    known, came = panel(units[:, :130]), truth[:, 130 : 130 + STEPS]
    network = np.expm1(lstm.forecast(known, lstm.fit(known, seed=1))[..., 1])
    smoothing = np.expm1(arima.forecast(known.units, arima.fit(known.units, np.ones(80)))[..., 1])
    error = np.abs(network - came).mean()
    assert error < 0.5 * np.abs(smoothing - came).mean()
    assert error < 0.25 * came.mean()


@pytest.mark.usefixtures("few_steps")
def test_lstm_gives_equal_bytes_for_equal_sales_and_seed_only():
    known = panel(np.random.default_rng(4).poisson(5, (20, 60)))
    weights = lstm.fit(known, seed=1)
    assert lstm.fit(known, seed=1) == weights
    assert lstm.fit(known, seed=2) != weights
    quantiles = lstm.forecast(known, weights)
    assert (np.diff(quantiles, axis=-1) >= 0).all()


@pytest.mark.usefixtures("few_steps")
def test_forecast_of_a_week_reads_nothing_after_it():
    units = np.random.default_rng(5).poisson(5, (20, 80)).astype(float)
    fitted = model.fit(panel(units[:, :60]), seed=1)
    changed = units.copy()
    changed[:, 70:] = 99
    for before, after in zip(
        model.forecast(fitted, panel(units).until(70)).values(),
        model.forecast(fitted, panel(changed).until(70)).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


# the baseline, the choice, the bands


def test_seasonal_naive_repeats_last_year_and_else_the_recent_mean():
    units = np.full((2, 60), 4.0)
    units[0, 8:17] = np.arange(9) + 20  # 52 weeks before the nine to come
    units[1, :40] = np.nan  # first sold 20 weeks ago
    units[1, -8:] = 6.0
    median = np.expm1(model.seasonal_naive(units)[..., 1])
    np.testing.assert_allclose(median, [np.arange(9) + 20, np.full(9, 6.0)])


def test_choice_follows_the_product_only_as_far_as_it_was_tested():
    loss = {
        # the class does better with ARIMA; product 0 would not
        "arima": np.array([1.00, 0.70, 0.70, 0.70]),
        "lstm": np.array([0.95, 1.00, 1.00, 1.00]),
    }
    size = np.zeros(4, dtype=int)
    briefly = model.choose(loss, np.array([4, 40, 40, 40]), size)
    assert briefly.tolist() == ["arima"] * 4
    long = model.choose(loss, np.array([4_000, 40, 40, 40]), size)
    assert long.tolist() == ["lstm", "arima", "arima", "arima"]
    other_size = model.choose(loss, np.array([4, 40, 40, 40]), np.array([1, 0, 0, 0]))
    assert other_size[0] == "lstm"
    assert model.choose(loss, np.zeros(4), size).tolist() == ["arima"] * 4


def test_bands_are_moved_to_what_they_promise():
    rng = np.random.default_rng(6)
    actual = rng.normal(3, 1, (4_000, STEPS))
    too_narrow = np.tile([2.9, 3.0, 3.1], (4_000, STEPS, 1))
    shift = model.bands(too_narrow, actual)[model.size_class(np.array(3.0))]
    assert too_narrow[0, 0, [0, 2]] + shift == pytest.approx([3 - 1.2816, 3 + 1.2816], abs=0.03)


def test_figures_agree_with_plain_loops():
    rng = np.random.default_rng(7)
    history = rng.poisson(5, (6, 40)).astype(float)
    history[2, :15] = np.nan
    history[5] = 3.0  # never changed: left out
    actual, forecast = rng.poisson(5, (6, 8)), rng.uniform(2, 8, (6, 8))
    weight = rng.uniform(1, 9, 6)
    rmsse, mase = [], []
    for row in range(5):
        known = history[row][~np.isnan(history[row])]
        steps = [known[k + 1] - known[k] for k in range(len(known) - 1)]
        error = forecast[row] - actual[row]
        rmsse.append((np.mean(error**2) / np.mean(np.square(steps))) ** 0.5)
        mase.append(np.mean(abs(error)) / np.mean(np.abs(steps)))
    found = evaluate.accuracy(forecast, actual, history, weight)
    assert found["wrmsse"] == pytest.approx(sum(rmsse * weight[:5]) / sum(weight[:5]))
    assert found["mase"] == pytest.approx(np.mean(mase))
    assert found["bias_rate"] == pytest.approx(forecast[:5].sum() / actual[:5].sum() - 1)


def test_model_that_does_not_beat_the_baseline_is_refused():
    methods = {"chosen": {"wrmsse": 0.9}, "seasonal_naive": {"wrmsse": 0.8}}
    assert not evaluate.is_better({"methods": methods})
    assert not evaluate.is_better({})
    assert evaluate.is_better({"methods": methods | {"chosen": {"wrmsse": 0.7}}})


# the whole question


@pytest.fixture(scope="module")
def poisson_shop():
    """Steady products of known rates, and one that fell asleep a year ago."""
    rng = np.random.default_rng(8)
    rates = np.r_[rng.uniform(1, 40, 59), 5.0][:, None]
    units = rng.poisson(rates, (60, 110)).astype(float)
    units[-1, 50:] = 0
    return Store(units), rates[:, 0]


@pytest.fixture(scope="module")
def trained(poisson_shop):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm, "TRAINING_STEPS", 60)
        return run.train(MONDAY + timedelta(days=7 * 100), poisson_shop[0], seed=7)


def test_scores_keep_the_contract_and_bands_their_promise(poisson_shop, trained):
    shop, rates = poisson_shop
    tuesday = MONDAY + timedelta(days=7 * 100 + 1)
    frame = run.score(tuesday, trained, shop)["demand"]
    rows = checked(frame, TABLE)
    assert rows.num_rows == 60 * 8
    scored = frame[frame["score_status"] == "scored"]
    assert scored["product_id"].nunique() == 59
    assert scored["week_start_date"].min() == pd.Timestamp(MONDAY + timedelta(days=7 * 101))
    assert (np.diff(scored[list(run.QUANTITIES)], axis=1) >= 0).all()
    came = shop.units[:59, 101:109].ravel()
    inside = (came >= scored["demand_units_p10"]) & (came <= scored["demand_units_p90"])
    assert 0.74 < inside.mean() < 0.93
    median = scored.groupby("product_id")["demand_units_p50"].mean().to_numpy()
    assert np.abs(median / rates[:59] - 1).mean() < 0.25


def test_product_without_a_recent_sale_says_so(poisson_shop, trained):
    frame = run.score(MONDAY + timedelta(days=7 * 100), trained, poisson_shop[0])["demand"]
    asleep = frame[frame["product_id"] == "p0059"]
    assert asleep["horizon_weeks"].tolist() == list(range(1, 9))
    assert set(asleep["score_reason"]) == {run.ASLEEP}
    assert asleep[[*run.QUANTITIES, "method"]].isna().all(axis=None)


def test_scores_follow_from_parameters_and_files_alone(poisson_shop, trained):
    stored = TrainedModel(
        trained.name,
        trained.training_date,
        json.loads(canonical_json(trained.parameters)),
        {name: bytes(content) for name, content in trained.artefacts.items()},
    )
    day = MONDAY + timedelta(days=7 * 104)
    for name, frame in run.score(day, stored, poisson_shop[0]).items():
        pd.testing.assert_frame_equal(frame, run.score(day, trained, poisson_shop[0])[name])


@pytest.mark.usefixtures("few_steps")
def test_equal_sales_give_the_equal_model():
    shop = Store(np.random.default_rng(9).poisson(6, (12, 70)).astype(float))
    day = MONDAY + timedelta(days=7 * 70)
    assert run.train(day, shop, 7).model_version == run.train(day, shop, 7).model_version


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(
    ("units", "statuses"),
    [
        pytest.param(np.full((3, 6), 4.0), {"not_scored"}, id="six weeks"),
        pytest.param(np.full((3, 1), 4.0), {"not_scored"}, id="one week"),
        pytest.param(np.full((3, 20), 4.0), {"scored"}, id="too young for the candidates"),
        pytest.param(np.full((1, 80), 4.0), {"scored"}, id="one constant product"),
        pytest.param(np.eye(1, 80), {"not_scored"}, id="one sale ever"),
        pytest.param(np.eye(30, 80, 50), {"scored", "not_scored"}, id="each sold once"),
    ],
)
def test_shop_that_says_little_is_scored_without_invention(units, statuses):
    shop, day = Store(units), MONDAY + timedelta(days=7 * units.shape[1])
    trained = run.train(day, shop, seed=7)
    frame = run.score(day, trained, shop)["demand"]
    assert checked(frame, TABLE).num_rows == 8 * len(units)
    assert set(frame["score_status"]) == statuses
    assert frame["demand_units_p90"].max() != np.inf


@pytest.mark.usefixtures("few_steps")
def test_product_new_since_training_is_scored():
    units = np.random.default_rng(10).poisson(6, (8, 90)).astype(float)
    units[-1, :88] = 0
    shop = Store(units)
    trained = run.train(MONDAY + timedelta(days=7 * 86), shop, seed=7)
    frame = run.score(MONDAY + timedelta(days=7 * 90), trained, shop)["demand"]
    assert (frame.loc[frame["product_id"] == "p0007", "demand_units_p50"] > 0).all()
