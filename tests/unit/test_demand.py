"""Demand: forecasters against planted truth, statsmodels and plain loops."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.sarimax import SARIMAX

from ml_tasks.demand import (
    accuracy,
    arima,
    backtest,
    blend,
    boosted,
    closures,
    evaluate,
    intermittent,
    level,
    lstm,
    model,
    own_season,
    prices,
    reconcile,
    run,
    score,
    smoothing,
)
from ml_tasks.demand import season as season_module
from ml_tasks.demand.launches import Launches, launches_of, rates
from ml_tasks.demand.model import CANDIDATES
from ml_tasks.demand.panel import (
    STEPS,
    Panel,
    first_forecast_week,
    pack_of,
    panel_of,
    weeks_stepped_over,
)
from ml_tasks.demand.season import season_of, without_outliers
from ml_tasks.engine.contract_check import checked
from ml_tasks.evaluation import bias, trust
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.evaluation.contest import LOWER
from ml_tasks.evaluation.figures import rows as rows_of
from ml_tasks.features.shards import WHOLE
from ml_tasks.trained_model import TrainedModel, canonical_json
from perennial import contracts
from perennial.contracts import ContractError

MONDAY = date(2020, 1, 6)
TABLE = contracts.load("demand").table("demand")


def panel(units: np.ndarray, families: list[str] | None = None) -> Panel:
    names = np.array([f"p{number:04d}" for number in range(len(units))])
    groups = np.array(families or [""] * len(units))
    return Panel(names, MONDAY, units.astype(float), np.nan_to_num(units) * 2.0, groups)


def no_season(units: np.ndarray) -> np.ndarray:
    return np.zeros(units.shape[1] + STEPS)


def smoothed(known: Panel, season: np.ndarray) -> np.ndarray:
    return smoothing.forecast(known, season, smoothing.usual_of(known, season))


def forecasts(fitted: model.Fitted, known: Panel) -> model.Forecasts:
    return model.forecast(fitted, known, model.shop_of(known, launches_of(known.units)))


def simple(units: np.ndarray) -> model.Forecasts:
    return model.simple(units, launches_of(units))


class Store:
    """Sales of the weeks from MONDAY on, shape (n_products, n_weeks)."""

    shard = WHOLE

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
    """Barely trained models, for tests that do not measure accuracy."""
    monkeypatch.setattr(lstm, "TRAINING_STEPS", 4)
    monkeypatch.setattr(boosted, "ROUNDS", 4)


def shop_day(n_weeks: int) -> date:
    """The Monday after `n_weeks` weeks."""
    return MONDAY + timedelta(days=7 * n_weeks)


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


def test_family_is_read_where_there_is_one():
    frame = pd.DataFrame(
        {
            "product_id": ["b", "a", "a"],
            "week_start_date": pd.to_datetime(["2020-01-06", "2020-01-06", "2020-01-13"]),
            "sold_units": [5, 3, 4],
            "sold_amount": [10.0, 6.0, 8.0],
        }
    )
    named = frame.assign(product_family=[None, "mugs", "mugs"])
    assert panel_of(named, date(2020, 1, 20)).families.tolist() == ["mugs", ""]
    assert panel_of(frame, date(2020, 1, 20)).families.tolist() == ["", ""]


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


# the season


def test_planted_season_is_found():
    rng = np.random.default_rng(11)
    week = np.arange(110 + STEPS)
    planted = 0.5 * np.sin(2 * np.pi * week / 52.18)
    units = rng.poisson(40 * np.exp(planted[:110]), (200, 110))
    found = season_of(panel(units))
    # the share that products follow by default, of what a year and a half can show
    assert np.corrcoef(found[110:], planted[110:])[0, 1] > 0.95
    assert 0.5 < np.polyfit(planted, found, 1)[0] < 0.9


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_how_far_products_follow_is_measured(strength):
    rng = np.random.default_rng(31)
    season = 0.3 * np.sin(2 * np.pi * np.arange(100) / 10)
    units = np.exp(4 + strength * season + rng.normal(0, 0.2, (40, 100)))
    units *= np.exp(np.linspace(0, 2, 100))  # a product's own trend has no influence
    expected = min(strength, season_module.MAX_FOLLOWED)
    assert season_module.followed(units, season) == pytest.approx(expected, rel=0.05)


def test_weeks_closed_last_year_are_expected_closed_again():
    rng = np.random.default_rng(12)
    units = rng.poisson(30, (100, 100)).astype(float)
    units[:, [51, 52]] = 0  # the weeks of 28 December and 4 January
    known = panel(units)
    factor = np.exp(season_of(known))
    assert factor[[51, 52]].max() < 0.25
    assert known.week(103).isocalendar().week == known.week(51).isocalendar().week - 1
    assert factor[103:105].max() < 0.25
    assert factor[[100, 101, 106]].min() > 0.7
    forecast = np.expm1(smoothed(known, np.log(factor))[..., 1])
    assert forecast[:, 3:5].max() < 8 < 20 < forecast[:, :2].min()


def test_young_shop_has_no_season():
    assert not season_of(panel(np.random.default_rng(13).poisson(5, (9, 40)))).any()


def test_one_large_order_makes_no_season():
    units = np.random.default_rng(14).poisson(5, (100, 90)).astype(float)
    calm = season_of(panel(units))
    units[3, 45] = 50_000
    np.testing.assert_allclose(season_of(panel(units)), calm, atol=0.02)


# smoothing and products that sell now and then


def test_smoothing_is_the_weighted_mean_of_roots():
    units = np.array([[1.0, 4.0, 9.0, 16.0] * 10])
    forecast = np.expm1(smoothed(panel(units), no_season(units))[0, :, 1])
    cut = np.minimum(units[0], 16.0)
    top = bottom = 0.0
    for age, value in enumerate(reversed(cut)):
        top, bottom = top + 0.75**age * value**0.5, bottom + 0.75**age
    np.testing.assert_allclose(forecast, (top / bottom) ** 2, rtol=1e-4)


def test_cut_takes_the_largest_weeks_and_no_other():
    units = np.array([[np.nan, 0, 0, 2, 4, 6, 8, 100], [np.nan] * 6 + [0, 0]])
    cut = without_outliers(units, 0.75)
    np.testing.assert_array_equal(cut[0], [np.nan, 0, 0, 2, 4, 6, 8, 8])
    np.testing.assert_array_equal(cut[1], units[1])


def test_one_large_order_does_not_carry_the_forecast_away():
    units = np.random.default_rng(15).poisson(10, (1, 60)).astype(float)
    calm = np.expm1(smoothed(panel(units), no_season(units))[0, 0, 1])
    units[0, -2] = 2_000
    assert np.expm1(smoothed(panel(units), no_season(units))[0, 0, 1]) < 1.5 * calm


def test_new_product_starts_from_its_family():
    rng = np.random.default_rng(16)
    units = np.full((40, 60), np.nan)
    for row in range(40):
        start = 58 if row in (0, 20) else 5 + row
        units[row, start:] = rng.poisson(40 if row < 20 else 4, 60 - start)
    units[[0, 20], 58:] = 10.0  # two weeks of the same sales, in families of 40 and of 4
    families = ["large"] * 20 + ["small"] * 20
    forecast = np.expm1(smoothed(panel(units, families), no_season(units))[:, 0, 1])
    assert 4 < forecast[20] < 10 < forecast[0] < 40
    alike = np.expm1(smoothed(panel(units), no_season(units))[:, 0, 1])
    assert alike[0] == pytest.approx(alike[20])


def test_intermittent_rate_and_size_are_found():
    rng = np.random.default_rng(17)
    sizes = np.exp(rng.normal(2.0, 0.5, (400, 200)))
    units = np.where(rng.random((400, 200)) < 0.3, sizes, 0.0)
    units[np.cumsum(units, axis=1) == 0] = np.nan
    low, median, high = np.expm1(intermittent.forecast(units, no_season(units), 0.5))[:, 0].T
    assert (low == 0).all()
    assert (median == 0).mean() > 0.9  # fewer than half of the weeks have a sale
    # of all weeks one in ten has more than the .667 quantile of the sizes
    assert np.median(high) == pytest.approx(np.exp(2.0 + 0.5 * 0.4307), rel=0.1)


def test_steady_product_is_no_intermittent_one():
    units = np.exp(np.random.default_rng(18).normal(3.0, 0.5, (300, 150)))
    low, median, high = np.log(np.expm1(intermittent.forecast(units, no_season(units), 0.5)))[
        :, 0
    ].T
    assert np.mean(median) == pytest.approx(3.0, abs=0.05)
    assert np.mean(high - median) == pytest.approx(0.5 * 1.2816, abs=0.08)
    assert np.mean(median - low) == pytest.approx(0.5 * 1.2816, abs=0.08)


# young products: known from their first sale, which is no evidence for the following weeks


def rarely_sold(rate: float, n_products: int, n_weeks: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((n_products, n_weeks)) < rate).astype(float)


def from_first_sale(units: np.ndarray) -> np.ndarray:
    return np.where(np.cumsum(units, axis=1) > 0, units, np.nan)


@pytest.mark.parametrize("n_weeks", [12, 26])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_young_products_of_a_shop_of_rarely_sold_ones_sell_at_its_rate(n_weeks, seed):
    units = rarely_sold(0.04, 2_000, n_weeks, seed)
    shop, day = Store(units), MONDAY + timedelta(days=7 * n_weeks)
    frame = run.QUESTION.score(day, run.QUESTION.train(day, shop, seed=7), shop)["demand"]
    checked(frame, TABLE)
    first_week = np.where(units.any(axis=1), units.argmax(axis=1), -1)
    young = np.flatnonzero(first_week >= n_weeks - 8)
    rows = frame[frame["product_id"].isin([f"p{number:04d}" for number in young])]
    assert rows[score.MEAN].sum() / 8 == pytest.approx(0.04 * len(young), rel=0.2)
    assert (rows["demand_units_p90"] == 0).all()


def test_gamma_poisson_shop_has_its_posterior_means():
    rng = np.random.default_rng(33)
    rate = rng.gamma(2.0, 1 / 4.0, 6_000)  # mean .5; after 4 weeks own sales weigh as much
    units = rng.poisson(rate[:, None], (6_000, 9)).astype(float)
    units[:, 0] = 1.0  # the first sale, whatever the rate
    usual = launches_of(units)
    assert usual.prior_weeks == pytest.approx(4.0, rel=0.15)
    sold = np.array([[np.nan, np.nan, 3.0, 0.0, 1.0], [np.nan, np.nan, np.nan, np.nan, 5.0]])
    by_hand = [(1 + 4 * usual.rate) / (2 + 4), usual.rate]
    np.testing.assert_allclose(rates(sold, replace(usual, prior_weeks=4.0)), by_hand)


def test_young_product_of_a_shop_whose_products_sell_alike_each_week_sells_so():
    units = np.full((30, 20), np.nan)
    for row in range(30):
        units[row, row % 20 :] = 10.0
    np.testing.assert_allclose(np.expm1(simple(units)[model.MEAN][..., 1]), 10.0)


@pytest.mark.usefixtures("few_steps")
def test_no_method_takes_the_first_sale_for_the_next_weeks():
    units = from_first_sale(rarely_sold(0.04, 800, 60, seed=4))
    units = units[~np.isnan(units).all(axis=1)]
    units[0] = np.nan
    units[0, -1] = 3.0  # sold once, last week
    by_method = forecasts(model.fit(panel(units), seed=1), panel(units))
    assert {
        name: np.expm1(predicted[0, :, 1]).max() < 0.5 for name, predicted in by_method.items()
    } == dict.fromkeys(by_method, True)


def test_last_year_is_not_repeated_where_the_product_came_then():
    units = np.full((9, 60), 2.0)
    units[:, :8] = np.nan
    units[:, 8] = 50.0  # the first sale, 52 weeks before the first week to come
    median = np.expm1(simple(units)[model.SEASONAL_NAIVE][0, :, 1])
    np.testing.assert_allclose(median, 2.0)


def test_asleep_products_say_what_new_ones_do_next():
    units = np.zeros((40, 60))
    units[:39, 50] = 1.0  # sold once each
    units[39, 10:] = 8.0
    usual = launches_of(from_first_sale(units))
    assert usual == Launches(rate=0.0, prior_weeks=np.inf, chance=0.0)


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        pytest.param(1.0, [0.0, 0.0, 0.7], id="pieces"),
        pytest.param(0.25, [0.0, 0.3, 0.7], id="by weight"),
    ],
)
def test_quantile_of_less_than_is_sold_at_a_time_is_none(least, expected):
    quantiles = np.log1p([[[0.1, 0.3, 0.7]]])
    sold = np.array([[0.0, least, 4.0]])
    found = blend.units_of(quantiles, np.zeros((blend.COUNT_CLASSES, 2)), sold)
    np.testing.assert_allclose(found[0, 0], expected)


def test_upper_quantile_is_not_below_the_mean_unless_there_is_none():
    units = np.array([[[0.0, 0.0, 0.0], [0.0, 1.0, 2.0], [1.0, 2.0, 9.0]]])
    found = reconcile.consistent(units, np.array([[0.04, 3.0, 3.0]]), np.ones(1))
    np.testing.assert_array_equal(found[0, :, 2], [0.0, 3.0, 9.0])
    np.testing.assert_array_equal(found[..., :2], units[..., :2])


@pytest.mark.parametrize(
    ("expected", "least", "quantiles"),
    [
        pytest.param(0.09, 1.0, [0.0, 0.0, 0.0], id="one week in eleven at most"),
        pytest.param(0.11, 1.0, [0.0, 0.0, 2.0], id="maybe one in nine"),
        pytest.param(0.11, 0.1, [0.0, 1.0, 2.0], id="by weight: most weeks"),
        pytest.param(0.6, 1.0, [0.0, 1.0, 2.0], id="maybe one in two"),
    ],
)
def test_quantiles_are_none_where_the_mean_leaves_no_room(expected, least, quantiles):
    units = np.array([[[0.0, 1.0, 2.0]]])
    found = reconcile.consistent(units, np.array([[expected]]), np.array([least]))
    np.testing.assert_array_equal(found[0, 0], quantiles)


@pytest.mark.parametrize(("p90", "is_kept"), [(0.0, True), (0.02, False), (0.04, True)])
def test_contract_refuses_a_mean_above_the_upper_quantile(poisson_shop, trained, p90, is_kept):
    day = MONDAY + timedelta(days=7 * 100)
    frame = run.QUESTION.score(day, trained, poisson_shop[0])["demand"]
    frame.loc[0, [*score.QUANTITIES, score.MEAN]] = [0.0, 0.0, p90, 0.04]
    if is_kept:
        checked(frame, TABLE)
    else:
        with pytest.raises(
            ContractError, match="demand_units_mean: 1 of 480 rows are above demand_units_p90"
        ):
            checked(frame, TABLE)


# closures


def test_closure_is_distinguished_from_chance():
    rng = np.random.default_rng(28)
    units = np.vstack([rng.poisson(30, (1, 100)), rng.poisson(0.4, (200, 100))]).astype(float)
    units[0, 60:75] = 0
    units[1, :20] = np.nan
    found = closures.closed(units)
    assert np.flatnonzero(found[0]).tolist() == list(range(60, 75))
    assert not found[1:].any()


def test_closure_that_runs_is_taken_for_good():
    units = np.full((2, 60), 9.0)
    units[0, 40:50] = 0
    units[1, 50:] = 0
    known = closures.without_past(panel(units)).units
    assert np.flatnonzero(np.isnan(known[0])).tolist() == list(range(40, 50))
    np.testing.assert_array_equal(known[1], units[1])


def test_shop_that_opens_again_sells_as_before():
    units = np.random.default_rng(29).poisson(40, (30, 100)).astype(float)
    units[:10, 70:98] = 0  # two weeks ago they opened again
    known = closures.without_past(panel(units))
    season = no_season(units)
    steady = arima.ArimaParameters(
        np.tile([0.0, -0.75, 0.0], (30, 1)), np.full(30, 0.2), np.full(30, True)
    )
    forecasts = {
        "smoothing": smoothed(known, season),
        "arima": arima.forecast(known.units, season, steady),
        "intermittent": intermittent.forecast(known.units, season, 0.5),
        "last year": simple(known.units)[model.SEASONAL_NAIVE],
    }
    for name, quantiles in forecasts.items():
        low, median, high = np.expm1(quantiles[:10, 0]).T
        assert np.mean(median) == pytest.approx(40, rel=0.1), name
        if name != "last year":
            assert 20 < low.mean() < 38 < 42 < high.mean() < 65, name


def test_bands_and_weights_do_not_answer_for_closures():
    units = np.random.default_rng(30).poisson(40, (20, 80)).astype(float)
    units[:5, 60:] = 0
    tested = backtest.Backtest(panel(units), [56, 64], [{}, {}], [no_season(units)] * 2)
    assert np.isnan(tested.actual(56)[:5, 4:]).all()
    assert np.isnan(tested.actual(64)[:5]).all()
    np.testing.assert_array_equal(tested.actual(64)[5:], np.log1p(units[5:, 64 : 64 + STEPS]))


# offers


@pytest.fixture
def shop_with_offers():
    """Steady products; one week in eight has two thirds of the price and 2.25 times the sales."""
    rng = np.random.default_rng(24)
    rate = rng.uniform(20, 80, (60, 1))
    is_offer = rng.random((60, 80)) < 0.125
    is_offer[:30, -1] = True
    units = rng.poisson(rate * np.where(is_offer, 2.25, 1.0)).astype(float)
    amount = units * 9.0 * np.where(is_offer, 2 / 3, 1.0)
    return replace(panel(units), amount=amount), rate


def test_planted_effect_of_an_offer_is_found(shop_with_offers):
    known, _ = shop_with_offers
    log_ratio = prices.log_price_ratio(known)
    assert set(np.exp(log_ratio).round(3).ravel()) == {0.667, 1.0}
    found = prices.elasticity_of(known, no_season(known.units))
    assert found == pytest.approx(2.0, abs=0.1)  # 1.5 ** 2 = 2.25


def test_forecast_after_an_offer_is_of_the_usual_price(shop_with_offers):
    known, rate = shop_with_offers
    season = no_season(known.units)
    priced = np.expm1(
        smoothed(prices.at_usual_price(known, prices.elasticity_of(known, season)), season)[:, 0, 1]
    )
    plain = np.expm1(smoothed(known, season)[:, 0, 1])
    on_offer = slice(0, 30)
    assert np.mean(plain[on_offer] / rate[on_offer, 0]) > 1.15
    assert np.mean(priced[on_offer] / rate[on_offer, 0]) == pytest.approx(1.0, abs=0.06)


def test_prices_that_never_change_change_nothing():
    known = panel(np.random.default_rng(25).poisson(9, (5, 60)))
    np.testing.assert_array_equal(
        prices.at_usual_price(known, prices.elasticity_of(known, no_season(known.units))).units,
        known.units,
    )


# a product's own season


def own_medians(known: Panel, season: np.ndarray) -> np.ndarray:
    return own_season.forecast(known, season, own_season.learn(known, season))[..., 1]


def test_own_season_is_that_of_its_gaussian_process():
    rng = np.random.default_rng(37)
    known = panel(np.expm1(3 + rng.normal(0, 0.2, (5, 60))))
    season = np.zeros(60 + STEPS)
    shares = np.zeros(len(own_season.SETTINGS))
    shares[0] = 1.0
    found = own_season.forecast(known, season, shares)[..., 1]
    covariance = own_season._covariance(known, season, *own_season.SETTINGS[0])
    logs = np.log1p(known.units)
    for row in range(5):  # kriging by hand: no week is an outlier, so none is pulled in
        about = np.median(logs[row, -8:])
        weights = np.linalg.solve(covariance[:60, :60] + np.eye(60), logs[row] - about)
        np.testing.assert_allclose(found[row], covariance[60:, :60] @ weights + about, rtol=1e-4)


@pytest.mark.parametrize("years", [1, 3, 5, 8])
@pytest.mark.parametrize("month", [1, 4, 9])
def test_what_weeks_of_many_years_have_in_common_is_a_correlation(years, month):
    """No weighted sum of weeks has a negative variance, however many years there are."""
    first = date(2010, month, 4)
    weeks = [first + timedelta(days=7 * week) for week in range(52 * years + STEPS)]
    day = np.array([week.timetuple().tm_yday for week in weeks], dtype=float)
    for correlation in (season_module.week_of_year(day), season_module.curve_of_year(day, 4.5)):
        assert np.linalg.eigvalsh(correlation).min() > -1e-9
        assert (np.diag(correlation) == 1).all()


def test_sales_against_all_seasons_leave_no_sum_of_squares_below_nothing():
    """The pattern with the least variance under "begins within 3.5 days", which was negative."""
    weeks = [MONDAY + timedelta(days=7 * week) for week in range(5 * 52)]
    day = np.array([(week + timedelta(days=3)).timetuple().tm_yday for week in weeks], dtype=float)
    apart = np.abs(day[:, None] - day)
    within = np.minimum(apart, season_module.DAYS_PER_YEAR - apart) < 3.5
    is_peak = (day > 300) & (day < 345)
    least, patterns = np.linalg.eigh((within & np.outer(is_peak, is_peak)).astype(float))
    assert least[0] < -1  # it was no correlation
    pattern = patterns[:, 0] / np.abs(patterns[:, 0]).max()
    season = np.where(np.append(is_peak, np.zeros(STEPS, dtype=bool)), 1.0, 0.0)
    logs = 5 + season[: len(weeks)] + np.outer(np.linspace(0.5, 2, 12), pattern)
    known = panel(np.expm1(logs))
    shares = own_season.learn(known, season)
    assert np.isfinite(shares).all()
    assert shares.sum() == pytest.approx(1)
    assert np.isfinite(own_season.forecast(known, season, shares)).all()


def test_products_with_another_year_than_the_shops_keep_their_own():
    rng = np.random.default_rng(38)
    week, phase = np.arange(130 + STEPS), rng.uniform(0, 52, (60, 1))
    truth = np.exp(4 + 0.6 * np.sin(2 * np.pi * (week + phase) / 52.18))
    known = panel(rng.poisson(truth[:, :130]))
    season = season_of(known)
    coming = np.log(truth[:, 130:])
    miss = np.abs(own_medians(known, season) - coming).mean()
    assert miss < 0.12
    assert miss < 0.5 * np.abs(smoothed(known, season)[..., 1] - coming).mean()


def test_product_of_a_few_weeks_follows_the_shops_season():
    rng = np.random.default_rng(39)
    week = np.arange(110 + STEPS)
    truth = 40 * np.exp(0.5 * np.sin(2 * np.pi * week / 52.18))
    units = rng.poisson(truth[:110], (80, 110)).astype(float)
    units[:20, :95] = np.nan
    season = season_of(panel(units))
    median = own_medians(panel(units), season)
    moves = (median[:, -1] - median[:, 0])[:20]
    assert season[-1] - season[110] > 0.09
    assert moves.mean() == pytest.approx(season[-1] - season[110], abs=0.06)


def test_one_week_far_off_makes_no_own_season():
    units = np.random.default_rng(40).poisson(30, (20, 110)).astype(float)
    calm = own_medians(panel(units), no_season(units))
    units[0, 58 + 4] = 3_000  # in the weeks to come, a year ago
    assert np.abs(own_medians(panel(units), no_season(units)) - calm)[0].max() < 0.1


def test_constant_product_is_forecast_constant_by_its_season():
    units = np.full((3, 70), 7.0)
    np.testing.assert_allclose(
        np.expm1(own_medians(panel(units), no_season(units))), 7.0, rtol=0.01
    )


# ARIMA


def test_arima_finds_the_planted_coefficient():
    rng = np.random.default_rng(1)
    surprises = rng.normal(0, 0.2, (30, 301))
    changes = surprises[:, 1:] - 0.6 * surprises[:, :-1]
    units = np.expm1(6 + np.cumsum(changes, axis=1))
    fitted = arima.fit(units, no_season(units), np.ones(30))
    assert fitted.is_own.all()
    assert np.median(fitted.coefficients[:, 1]) == pytest.approx(-0.6, abs=0.03)
    assert np.median(fitted.coefficients[:, [0, 2]], axis=0) == pytest.approx([0, 0], abs=0.03)
    assert np.median(fitted.sigma) == pytest.approx(0.2, abs=0.01)


def test_order_is_chosen_by_the_criterion():
    rng = np.random.default_rng(19)
    surprise = rng.normal(0, 0.2, 600)
    change = np.zeros(600)
    for week in range(1, 600):
        change[week] = 0.7 * change[week - 1] + surprise[week] - 0.3 * surprise[week - 1]
    phi, theta, _ = arima._fit_one(8 + np.cumsum(change))
    assert (phi, theta) == (pytest.approx(0.7, abs=0.1), pytest.approx(-0.3, abs=0.12))


@pytest.mark.parametrize(
    ("order", "coefficients"),
    [
        pytest.param((0, 1, 1), (0.0, -0.7, 0.0), id="0,1,1"),
        pytest.param((0, 1, 2), (0.0, -0.5, -0.2), id="0,1,2"),
        pytest.param((1, 1, 1), (0.4, -0.8, 0.0), id="1,1,1"),
    ],
)
def test_arima_forecast_is_that_of_statsmodels(order, coefficients):
    units = np.random.default_rng(2).poisson(30, (1, 120))
    sigma = 0.3
    parameters = arima.ArimaParameters(
        np.array([coefficients]), np.array([sigma]), np.array([True])
    )
    ours = arima.forecast(units, no_season(units), parameters)[0]
    p, _, q = order
    values = [*coefficients[:p], *coefficients[1 : 1 + q], sigma**2]
    theirs = SARIMAX(np.log1p(units[0]), order=order).filter(values).get_forecast(STEPS)
    np.testing.assert_allclose(ours[:, 1], theirs.predicted_mean, atol=2e-3)
    np.testing.assert_allclose(ours[:, [0, 2]], theirs.conf_int(alpha=0.2), atol=2e-3)


def test_constant_product_is_forecast_constant():
    units = np.full((3, 60), 7.0)
    forecast = arima.forecast(
        units, no_season(units), arima.fit(units, no_season(units), np.ones(3))
    )
    np.testing.assert_allclose(np.expm1(forecast[..., 1]), 7.0)


def test_diverged_fit_is_replaced_and_counted(monkeypatch):
    surprises = np.random.default_rng(20).normal(0, 0.2, (5, 61))
    units = np.expm1(5 + np.cumsum(surprises[:, 1:] - 0.5 * surprises[:, :-1], axis=1))
    season = no_season(units)
    healthy = arima.fit(units, season, np.arange(5.0))
    real = arima._fit_order
    wild = np.log1p(units[2])
    monkeypatch.setattr(
        arima,
        "_fit_order",
        lambda logs, order: None if np.array_equal(logs, wild) else real(logs, order),
    )
    fitted = arima.fit(units, season, np.arange(5.0))
    assert (healthy.count_diverged, fitted.count_diverged) == (0, 1)
    assert fitted.is_own.tolist() == [True, True, False, True, True]
    own = fitted.coefficients[fitted.is_own]
    np.testing.assert_allclose(fitted.coefficients[2], np.median(own, axis=0), atol=0.1)
    assert np.isfinite(arima.forecast(units, season, fitted)).all()


def test_forecast_is_bounded_where_the_recursion_would_run_away():
    units = np.ones((1, 60))
    units[0, -1] = 3
    wild = arima.ArimaParameters(np.array([[0.0, 4.0, 0.0]]), np.array([9.0]), np.array([True]))
    forecast = arima.forecast(units, no_season(units), wild)
    bounded = blend.units_of(forecast, np.zeros((blend.COUNT_CLASSES, 2)), units)
    assert bounded[..., 1].max() == pytest.approx(2 * (3 + 1) - 1)
    assert bounded.max() == pytest.approx(4 * 3)
    assert bounded.min() >= 0


# the LSTM


def test_lstm_finds_a_planted_season(monkeypatch):
    monkeypatch.setattr(lstm, "TRAINING_STEPS", 200)
    rng = np.random.default_rng(3)
    weeks = np.arange(140)
    season = 1 + 0.8 * np.sin(2 * np.pi * weeks / 52.18)
    truth = rng.uniform(10, 80, (80, 1)) * season
    units = rng.poisson(truth).astype(float)
    known, came = panel(units[:, :130]), truth[:, 130 : 130 + STEPS]
    network = np.expm1(lstm.forecast(known, lstm.fit(known, seed=1), lstm.run_of(known))[..., 1])
    naive = np.expm1(simple(known.units)[model.MEAN][..., 1])
    error = np.abs(network - came).mean()
    assert error < 0.5 * np.abs(naive - came).mean()
    assert error < 0.25 * came.mean()


@pytest.mark.usefixtures("few_steps")
def test_lstm_gives_equal_bytes_for_equal_sales_and_seed_only():
    known = panel(np.random.default_rng(4).poisson(5, (20, 60)))
    weights = lstm.fit(known, seed=1)
    assert lstm.fit(known, seed=1) == weights
    assert lstm.fit(known, seed=2) != weights
    quantiles = lstm.forecast(known, weights, lstm.run_of(known))
    assert (np.diff(quantiles, axis=-1) >= 0).all()


# the boosted trees


def test_trees_find_a_planted_season():
    rng = np.random.default_rng(3)
    weeks = np.arange(140)
    season = 1 + 0.8 * np.sin(2 * np.pi * weeks / 52.18)
    truth = rng.uniform(10, 80, (80, 1)) * season
    known, came = panel(rng.poisson(truth[:, :130]).astype(float)), truth[:, 130 : 130 + STEPS]
    flat = no_season(known.units)
    predicted = boosted.forecast(known, flat, boosted.fit(known, flat, seed=1))
    naive = np.expm1(simple(known.units)[model.MEAN][..., 1])
    error = np.abs(np.expm1(predicted[..., 1]) - came).mean()
    assert error < 0.5 * np.abs(naive - came).mean()
    assert error < 0.25 * came.mean()


def test_trees_see_quantiles_of_what_comes():
    units = np.random.default_rng(8).poisson(20, (300, 100)).astype(float)
    known, came = panel(units[:, :91]), np.log1p(units[:, 91:100])
    flat = no_season(known.units)
    predicted = boosted.forecast(known, flat, boosted.fit(known, flat, seed=1))
    assert (np.diff(predicted, axis=-1) >= 0).all()
    # exact ones of Poisson(20): P(X <= 14) = .105, P(X <= 25) = .888
    assert (came < predicted[..., 0]).mean() == pytest.approx(0.1, abs=0.04)
    assert (came > predicted[..., 2]).mean() == pytest.approx(0.1, abs=0.04)


@pytest.mark.usefixtures("few_steps")
def test_trees_are_equal_for_equal_sales_and_seed_only():
    known = panel(np.random.default_rng(4).poisson(5, (20, 60)))
    flat = no_season(known.units)
    trees = boosted.fit(known, flat, seed=1)
    assert boosted.fit(known.only(np.arange(20)[::-1]), flat, seed=1) == trees
    assert boosted.fit(known, flat, seed=2) != trees
    all_, some = boosted.forecast(known, flat, trees), known.only(np.arange(5))
    np.testing.assert_array_equal(boosted.forecast(some, flat, trees), all_[:5])


def test_nothing_to_learn_from_gives_no_trees():
    young = panel(np.ones((3, boosted.MIN_WEEKS)))
    assert boosted.fit(young, no_season(young.units), seed=1) == b""


@pytest.mark.usefixtures("few_steps")
def test_forecast_of_a_week_reads_nothing_after_it():
    units = np.random.default_rng(5).poisson(5, (20, 80)).astype(float)
    fitted = model.fit(panel(units[:, :60]), seed=1)
    changed = units.copy()
    changed[:, 70:] = 99
    before = forecasts(fitted, panel(units).until(70))
    after = forecasts(fitted, panel(changed).until(70))
    assert set(before) == {*CANDIDATES, *model.SIMPLE}
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])


# the simple methods, the blend, the bands, the sums


def test_seasonal_naive_repeats_last_year_and_else_the_recent_mean():
    units = np.full((2, 60), 4.0)
    units[0, 8:17] = np.arange(9) + 20  # 52 weeks before the nine to come
    units[1, :40] = np.nan  # first sold 20 weeks ago
    units[1, -8:] = 6.0
    forecasts = simple(units)
    median = np.expm1(forecasts[model.SEASONAL_NAIVE][..., 1])
    np.testing.assert_allclose(median, [np.arange(9) + 20, np.full(9, 6.0)])
    np.testing.assert_allclose(np.expm1(forecasts[model.MEAN][..., 1])[1], np.full(9, 6.0))


def losses(**own: list[float]) -> np.ndarray:
    return np.column_stack([own.get(name, [1.0] * 4) for name in CANDIDATES])


def test_weights_follow_the_product_only_as_far_as_it_was_tested():
    # ARIMA is better for the class, but not for product 0
    loss = losses(arima=[1.1, 0.7, 0.7, 0.7], lstm=[0.9, 1.0, 1.0, 1.0])
    size = np.zeros(4, dtype=int)
    place = CANDIDATES.index("arima")
    briefly = blend.weights(loss, np.array([4, 400, 400, 400]), size).of_product
    assert briefly.argmax(axis=1).tolist() == [place] * 4
    long = blend.weights(loss, np.array([40_000, 400, 400, 400]), size).of_product
    assert long[0].argmax() == CANDIDATES.index("lstm")
    np.testing.assert_allclose(long.sum(axis=1), 1.0)
    untested = blend.weights(loss, np.zeros(4), size)
    np.testing.assert_allclose(untested.of_product, 1 / len(CANDIDATES))
    np.testing.assert_allclose(untested.of_class, 1 / len(CANDIDATES))


def test_candidates_that_err_alike_count_as_one_in_the_team(monkeypatch):
    rng = np.random.default_rng(32)
    common = rng.normal(size=4_000)
    errors = np.stack([common + 0.5 * rng.normal(size=4_000) for _ in range(5)])
    errors = np.vstack([errors, rng.normal(size=(1, 4_000))])
    cross = errors @ errors.T
    pulled = blend.team(cross)
    assert pulled.sum() == pytest.approx(1)
    assert 1 / 6 < pulled[5] < 0.5
    monkeypatch.setattr(blend, "RIDGE", 1e-4)
    inverse = np.linalg.inv(cross) @ np.ones(6)  # closed form, all weights above 0
    np.testing.assert_allclose(blend.team(cross), inverse / inverse.sum(), atol=0.01)
    np.testing.assert_allclose(blend.team(np.zeros((6, 6))), 1 / 6)


def test_blend_is_the_weighted_mean():
    rng = np.random.default_rng(21)
    forecasts = {name: rng.normal(size=(3, STEPS, 3)) for name in CANDIDATES}
    share = rng.dirichlet(np.ones(len(CANDIDATES)), 3)
    found = blend.blended(forecasts, share, np.ones(STEPS))
    by_hand = sum(share[1, k] * forecasts[name][1, 2, 0] for k, name in enumerate(CANDIDATES))
    assert found[1, 2, 0] == pytest.approx(by_hand)


def test_before_a_peak_those_decide_that_have_the_products_own_year():
    rng = np.random.default_rng(35)
    season = np.zeros(60 + STEPS)
    season[62] = 0.5  # the third week to come
    fade = blend.fade(season)
    np.testing.assert_allclose(fade, np.where(np.arange(STEPS) == 2, np.exp(-5), 1.0))
    forecasts = {name: rng.normal(size=(1, STEPS, 3)) for name in CANDIDATES}
    share = np.full((1, len(CANDIDATES)), 1 / len(CANDIDATES))
    found = blend.blended(forecasts, share, fade)
    own = (forecasts[model.SEASONAL_NAIVE] + forecasts[model.OWN_SEASON]) / 2
    np.testing.assert_allclose(found[0, 2], own[0, 2], atol=0.05)
    np.testing.assert_allclose(found[0, 3], np.mean([f[0, 3] for f in forecasts.values()], axis=0))
    alone = np.zeros_like(share)
    alone[0, CANDIDATES.index(model.SMOOTHING)] = 1
    found = blend.blended(forecasts, alone, np.zeros(STEPS))
    np.testing.assert_allclose(found, forecasts[model.SMOOTHING])


def test_bands_are_moved_to_what_they_promise():
    rng = np.random.default_rng(6)
    actual = rng.normal(3, 1, (4_000, STEPS))
    too_narrow = np.tile([2.9, 3.0, 3.1], (4_000, STEPS, 1))
    shift = blend.bands(too_narrow, actual)[blend.size_class(np.array(3.0))]
    assert too_narrow[0, 0, [0, 2]] + shift == pytest.approx([3 - 1.2816, 3 + 1.2816], abs=0.03)


def test_expected_units_add_up_to_the_totals():
    rng = np.random.default_rng(22)
    units = rng.poisson(np.repeat([8.0, 2.0], 25)[:, None], (50, 80)).astype(float)
    families = ["a"] * 25 + ["b"] * 22 + ["c"] * 3  # c is too small for a total of its own
    quantiles = np.sort(rng.uniform(0, 9, (50, STEPS, 3)), axis=-1)
    season = rng.normal(0, 0.2, 80 + STEPS)
    known = panel(units, families)
    means = reconcile.means(quantiles, known, season, launches_of(units))
    added = quantiles @ [0.3, 0.4, 0.3]
    for members in (slice(0, 25), slice(25, 47), slice(47, 50)):
        direct = reconcile.total_forecast(units[members].sum(axis=0), season)
        expected = np.sqrt(added[members].sum(axis=0) * direct)
        np.testing.assert_allclose(means[members].sum(axis=0), expected)
    assert (means >= 0).all()


@pytest.mark.parametrize(
    ("misses", "factor"),
    [
        pytest.param([], 1.0, id="nothing was tested"),
        pytest.param([0.05, 0.08], 1.0, id="no more than chance"),
        pytest.param([0.3, -0.4, 0.2], 1.0, id="they disagree"),
        # five windows, every second alike: three horizons; their mean's error is at least .1
        pytest.param([-0.8] * 5, np.exp(-0.8 * (1 - (0.1 / 0.8) ** 2)), id="always too high"),
        pytest.param([0.2, 0.6], np.exp(0.4 * (1 - 0.08 / 1.5 / 0.16)), id="mostly too low"),
        pytest.param([5.0] * 3, level.MAX_FACTOR, id="beyond belief"),
    ],
)
def test_level_is_corrected_by_what_is_beyond_chance(misses, factor):
    assert level.corrected(np.array(misses)) == pytest.approx(factor)


def test_total_is_smoothed_without_its_season():
    season = np.sin(np.arange(60 + STEPS))
    total = 500 * np.exp(season[:60])
    np.testing.assert_allclose(reconcile.total_forecast(total, season), 500 * np.exp(season[60:]))


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
    found = accuracy.accuracy(forecast, actual, history, weight)
    assert found["wrmsse"] == pytest.approx(sum(rmsse * weight[:5]) / sum(weight[:5]))
    assert found["mase"] == pytest.approx(np.mean(mase))
    assert found["bias_rate"] == pytest.approx(forecast[:5].sum() / actual[:5].sum() - 1)


def test_quantile_loss_agrees_with_plain_loops():
    rng = np.random.default_rng(23)
    history, actual = rng.poisson(5, (4, 30)).astype(float), rng.poisson(5, (4, 8))
    units = np.sort(rng.uniform(0, 9, (4, 8, 3)), axis=-1)
    by_product = []
    for row in range(4):
        losses = [
            level * max(y - q, 0) + (1 - level) * max(q - y, 0)
            for y, quantiles in zip(actual[row], units[row], strict=True)
            for level, q in zip((0.1, 0.5, 0.9), quantiles, strict=True)
        ]
        by_product.append(np.mean(losses) / np.mean(np.abs(np.diff(history[row]))))
    assert accuracy.pinball(units, actual, history) == pytest.approx(np.mean(by_product))


@pytest.mark.parametrize(
    ("naive", "mean", "simple"),
    [
        pytest.param([0.9, 0.9], [0.8, 0.8], "mean_8_weeks", id="the mean"),
        pytest.param([0.7, 0.8], [1, 1], "seasonal_naive", id="last year"),
        pytest.param([float("nan")], [0.9], "mean_8_weeks", id="one is unknown"),
    ],
)
def test_simple_method_to_compare_with_is_the_one_that_did_best(naive, mean, simple):
    figures = [
        figure
        for name, values in (("seasonal_naive", naive), ("mean_8_weeks", mean))
        for month, value in enumerate(values, start=1)
        for figure in rows_of(date(2021, month, 4), name, {"wrmsse": value}, 10)
    ]
    assert Evaluation(tuple(figures)).best(model.SIMPLE, "wrmsse", LOWER) == simple


def test_fewer_horizons_pull_weights_closer_to_equal_ones():
    errors = np.random.default_rng(36).normal(size=(4, 500)) * [[1.0], [2.0], [3.0], [4.0]]
    spread = [float(np.std(blend.team(errors @ errors.T, count))) for count in (1, 3, 30)]
    assert 0 < spread[0] < spread[1] < spread[2]


# the whole question


@pytest.fixture(scope="module")
def poisson_shop():
    """Steady products of known rates, and one without a sale for a year."""
    rng = np.random.default_rng(8)
    rates = np.r_[rng.uniform(1, 40, 59), 5.0][:, None]
    units = rng.poisson(rates, (60, 110)).astype(float)
    units[-1, 50:] = 0
    return Store(units), rates[:, 0]


@pytest.fixture(scope="module")
def trained(poisson_shop):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lstm, "TRAINING_STEPS", 60)
        return run.QUESTION.train(MONDAY + timedelta(days=7 * 100), poisson_shop[0], seed=7)


def test_scores_keep_the_contract_and_bands_their_promise(poisson_shop, trained):
    shop, rates = poisson_shop
    tuesday = MONDAY + timedelta(days=7 * 100 + 1)
    frame = run.QUESTION.score(tuesday, trained, shop)["demand"]
    rows = checked(frame, TABLE)
    assert rows.num_rows == 60 * 8
    scored = frame[frame["score_status"] == "scored"]
    assert scored["product_id"].nunique() == 59
    assert scored["week_start_date"].min() == pd.Timestamp(MONDAY + timedelta(days=7 * 101))
    assert (np.diff(scored[list(score.QUANTITIES)], axis=1) >= 0).all()
    came = shop.units[:59, 101:109].ravel()
    inside = (came >= scored["demand_units_p10"]) & (came <= scored["demand_units_p90"])
    assert 0.74 < inside.mean() < 0.93
    median = scored.groupby("product_id")["demand_units_p50"].mean().to_numpy()
    assert np.abs(median / rates[:59] - 1).mean() < 0.25


def test_product_without_a_recent_sale_says_so(poisson_shop, trained):
    frame = run.QUESTION.score(MONDAY + timedelta(days=7 * 100), trained, poisson_shop[0])["demand"]
    asleep = frame[frame["product_id"] == "p0059"]
    assert asleep["horizon_weeks"].tolist() == list(range(1, 9))
    assert set(asleep["score_reason"]) == {score.ASLEEP}
    assert asleep[[*score.QUANTITIES, score.MEAN, "method"]].isna().all(axis=None)


def test_scores_follow_from_parameters_and_files_alone(poisson_shop, trained):
    stored = TrainedModel(
        trained.name,
        trained.training_date,
        json.loads(canonical_json(trained.parameters)),
        {name: bytes(content) for name, content in trained.artefacts.items()},
    )
    day = MONDAY + timedelta(days=7 * 104)
    for name, frame in run.QUESTION.score(day, stored, poisson_shop[0]).items():
        pd.testing.assert_frame_equal(
            frame, run.QUESTION.score(day, trained, poisson_shop[0])[name]
        )


@pytest.mark.usefixtures("few_steps")
def test_equal_sales_give_the_equal_model():
    shop = Store(np.random.default_rng(9).poisson(6, (12, 70)).astype(float))
    day = MONDAY + timedelta(days=7 * 70)
    assert (
        run.QUESTION.train(day, shop, 7).model_version
        == run.QUESTION.train(day, shop, 7).model_version
    )


@pytest.mark.usefixtures("few_steps")
def test_order_of_rows_changes_nothing():
    shop, day = Store(np.random.default_rng(26).poisson(6, (12, 70))), MONDAY + timedelta(490)
    shuffled = Store(shop.units)
    shuffled.product_weeks = lambda day: shop.product_weeks(day).sample(frac=1, random_state=1)
    models = run.QUESTION.train(day, shop, 7), run.QUESTION.train(day, shuffled, 7)
    assert models[0].model_version == models[1].model_version
    frames = [run.QUESTION.score(day, models[0], store)["demand"] for store in (shop, shuffled)]
    pd.testing.assert_frame_equal(*frames)


def _by_name(shop: Store, day: date, names: dict[str, str] | None = None) -> pd.DataFrame:
    """Scores of a shop with renamed products, by their former names."""
    renamed, names = Store(shop.units), names or {}
    frame_of = shop.product_weeks
    renamed.product_weeks = lambda day: frame_of(day).replace({"product_id": names})
    frame = run.QUESTION.score(day, run.QUESTION.train(day, renamed, 7), renamed)["demand"]
    former = {new: old for old, new in names.items()}
    frame = frame.replace({"product_id": former}).set_index(["product_id", "horizon_weeks"])
    return frame.sort_index()[[*score.QUANTITIES, score.MEAN]].astype(float)


@pytest.mark.usefixtures("few_steps")
def test_names_of_products_change_nothing():
    shop = Store(np.random.default_rng(41).poisson(6, (30, 70)))
    names = {f"p{number:04d}": f"q{999 - number:04d}" for number in range(30)}
    found = _by_name(shop, shop_day(70), names)
    np.testing.assert_allclose(found, _by_name(shop, shop_day(70)), rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("few_steps")
def test_shop_that_sells_ten_at_a_time_sells_ten_times_as_much():
    units = np.random.default_rng(42).poisson(3, (30, 70))
    pieces, tens = (_by_name(Store(units * times), shop_day(70)) for times in (1, 10))
    np.testing.assert_allclose(tens, 10 * pieces, rtol=1e-9)


@pytest.mark.parametrize(
    ("units", "pack"),
    [
        pytest.param([[np.nan, 3.0, 0.0, 5.0]], 1, id="pieces"),
        pytest.param([[np.nan, 30.0, 0.0, 50.0]], 10, id="tens"),
        pytest.param([[12.0, 0.0, 30.0, 18.0]], 6, id="sixes"),
        pytest.param([[2.5, 0.0, 10.0, 5.0]], 1, id="by weight"),
        pytest.param([[0.0, 0.0]], 1, id="nothing"),
    ],
)
def test_pack_is_what_all_sales_are_multiples_of(units, pack):
    assert pack_of(panel(np.array(units))) == pack


@pytest.fixture(scope="module")
def peak_shop():
    """Products with a Christmas of their own, of all sizes; the rest of the year is noise."""
    rng = np.random.default_rng(43)
    week = np.arange(104)
    is_peak = (week % 52 >= 46) & (week % 52 < 51)
    lift = np.where(is_peak, rng.uniform(0.0, 1.8, (80, 1)), 0.0)
    level = rng.uniform(2.5, 5, (80, 1)) + np.cumsum(rng.normal(0, 0.03, (80, 104)), axis=1)
    return rng.poisson(np.exp(level + lift + rng.normal(0, 0.2, (80, 104)))).astype(float)


def _wrmsse(units: np.ndarray, n_weeks: int) -> tuple[str, float]:
    """The model's name, and its error of the weeks from 96 to 101."""
    shop, day = Store(units), shop_day(n_weeks)
    trained = run.QUESTION.train(day, shop, seed=7)
    frame = run.QUESTION.score(day, trained, shop)["demand"]
    median = frame["demand_units_p50"].to_numpy(dtype=float).reshape(len(units), 8)
    weeks = slice(96 - n_weeks, 102 - n_weeks)
    actual, history = units[:, 96:102], units[:, :94]
    figures = accuracy.accuracy(median[:, weeks], actual, history, history[:, -13:].sum(axis=1))
    return trained.name, figures["wrmsse"]


def test_a_week_or_some_products_more_or_less_change_little(peak_shop, few_steps):
    kept = np.random.default_rng(44).random(80) < 0.95
    found = [
        _wrmsse(peak_shop, 96),
        _wrmsse(peak_shop, 95),
        _wrmsse(peak_shop, 94),
        _wrmsse(peak_shop[kept], 95),
    ]
    assert {name for name, _ in found} == {backtest.BLEND}
    errors = np.array([error for _, error in found])
    assert errors.max() < 1.15 * errors.min()
    # the last eight weeks do not show the peak: a flat mean misses most of it
    flat = peak_shop[:, 86:94].mean(axis=1, keepdims=True)
    weight = peak_shop[:, 81:94].sum(axis=1)
    theirs = accuracy.accuracy(flat, peak_shop[:, 96:102], peak_shop[:, :94], weight)
    assert errors.max() < 0.7 * theirs["wrmsse"]


@pytest.mark.usefixtures("few_steps")
def test_blend_stored_by_an_older_form_still_scores():
    shop = Store(np.random.default_rng(45).poisson(6, (12, 70)).astype(float))
    trained = run.QUESTION.train(shop_day(70), shop, seed=7)
    products = json.loads(trained.artefacts["products.json"])
    added = ("season_shares", "candidates")
    older = {name: value for name, value in products.items() if name not in added}
    for name in ("weights", "weights_of_class"):
        older[name] = np.full((len(products[name]), 6), 1 / 6).tolist()
    artefacts = trained.artefacts | {"products.json": canonical_json(older).encode()}
    stored = replace(trained, artefacts=artefacts)
    assert run.QUESTION.reads(stored)
    frame = run.QUESTION.score(shop_day(70), stored, shop)["demand"]
    assert checked(frame, TABLE).num_rows == 8 * 12
    assert set(frame["method"]) == {model.SMOOTHING}  # the first of equal ones
    unknown = products | {"candidates": ["oracle"]}
    artefacts = trained.artefacts | {"products.json": canonical_json(unknown).encode()}
    assert not run.QUESTION.reads(replace(trained, artefacts=artefacts))


def test_card_says_what_a_young_shop_lacks(few_steps):
    shop = Store(np.random.default_rng(27).poisson(6, (5, 30)))
    trained = run.QUESTION.train(MONDAY + timedelta(days=7 * 30), shop, seed=7)
    assert trained.name == backtest.BLEND
    assert trained.report["warnings"][:2] == [
        "the shop had sold for 30 whole weeks: ARIMA and the LSTM need 42, so neither is used",
        "the shop had sold for 30 whole weeks: a season needs 44, so none is expected",
    ]
    methods = set(run.QUESTION.score(shop_day(30), trained, shop)["demand"]["method"])
    assert not methods & {model.ARIMA, model.LSTM}


def test_report_has_every_method_at_every_cut_and_pictures(trained):
    expected = {"blend", "blend_mean", *CANDIDATES, *model.SIMPLE}
    tested = Evaluation.from_report(trained.report, trained.name)
    assert len(tested.cuts) == backtest.COUNT_HORIZONS - 1
    for name in expected:
        assert list(tested.of(name, ["wrmsse"])) == tested.cuts, name
    pictures = {f"forecast_{place}.png" for place in (1, 2, 3)} | {"coverage.png", "residuals.png"}
    assert set(trained.plots) == pictures
    assert all(content.startswith(b"\x89PNG") for content in trained.plots.values())


def test_report_has_the_bias_of_what_is_published_at_every_cut(poisson_shop, trained):
    tested = Evaluation.from_report(trained.report, trained.name)
    found = bias.bias_of(tested, run.QUESTION.bias)
    assert len(found.of_cuts) == backtest.COUNT_HORIZONS - 1
    assert np.abs(found.of_cuts).max() < 0.15  # rates that never change
    assert not found.is_beyond
    models = {row.model for row in tested.figures if row.metric == evaluate.TOTAL_BIAS}
    assert models == {"blend", *model.SIMPLE}


@pytest.mark.usefixtures("few_steps")
def test_a_shrinking_shop_is_warned_of_its_totals_without_other_figures():
    rate = 0.3 * 0.93 ** np.arange(70)
    units = (np.random.default_rng(34).random((1_500, 70)) < rate).astype(float)
    trained = run.QUESTION.train(MONDAY + timedelta(days=7 * 70), Store(units), seed=7)
    tested = Evaluation.from_report(trained.report, trained.name)
    assert tested.of("blend", evaluate.METRICS) == {}  # no product sold in half of the weeks
    assert "No past date could test blend" in trust.in_words(
        trained.report, "blend", run.QUESTION.contest, run.QUESTION.baselines, run.QUESTION.bias
    )
    (warning,) = bias.warnings(trained.report, trained.name, run.QUESTION.bias)
    assert "too high" in warning


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
    trained = run.QUESTION.train(day, shop, seed=7)
    frame = run.QUESTION.score(day, trained, shop)["demand"]
    assert checked(frame, TABLE).num_rows == 8 * len(units)
    assert set(frame["score_status"]) == statuses
    assert frame["demand_units_p90"].max() != np.inf


@pytest.mark.usefixtures("few_steps")
def test_product_new_since_training_is_scored():
    units = np.random.default_rng(10).poisson(6, (8, 90)).astype(float)
    units[-1, :88] = 0
    shop = Store(units)
    trained = run.QUESTION.train(MONDAY + timedelta(days=7 * 86), shop, seed=7)
    frame = run.QUESTION.score(MONDAY + timedelta(days=7 * 90), trained, shop)["demand"]
    assert (frame.loc[frame["product_id"] == "p0007", "demand_units_p50"] > 0).all()
