"""Date levels and cuts: planted levels are found, projections are arithmetic done by hand."""

import numpy as np
import pandas as pd
import pytest

from ml_tasks.shared import cuts, seasons


def active_customers(levels, count_customers, family, seed=5):
    """Snapshots whose outcome follows recent activity plus a planted level a date."""
    rng = np.random.default_rng(seed)
    parts, outcomes = [], []
    for number, (day, level) in enumerate(levels.items()):
        recency = rng.integers(1, 90, count_customers)
        frequency = rng.poisson(1.5, count_customers) + 1
        parts.append(
            pd.DataFrame(
                {
                    "as_of_date": pd.Timestamp(day),
                    "customer_id": [f"c{i}" for i in range(count_customers)],
                    "days_since_first_order": 400 + 30 * number,
                    "days_since_last_order": recency,
                    "count_orders_30d": (recency <= 30).astype(int),
                    "count_orders_90d": frequency,
                    "net_spend_amount_90d": 20.0 * frequency,
                }
            )
        )
        margin = level + 0.8 * (np.log1p(frequency) - 1.2) - 0.3 * (np.log1p(recency) - 3.5)
        if family == "logistic":
            outcomes.append(rng.random(count_customers) < 1 / (1 + np.exp(-margin)))
        else:
            outcomes.append(rng.poisson(np.exp(margin)) * rng.gamma(2, 10, count_customers))
    return pd.concat(parts, ignore_index=True), np.concatenate(outcomes).astype(float)


@pytest.mark.parametrize(("family", "within"), [("logistic", 0.12), ("log", 0.12)])
def test_planted_levels_are_found(family, within):
    planted = {"2021-01-01": -0.8, "2021-02-01": 0.0, "2021-03-01": 0.2, "2021-04-01": 0.6}
    snapshots, outcome = active_customers(planted, 4_000, family)
    found = seasons.levels(snapshots, outcome, family)
    centred = np.array(list(planted.values())) - np.mean(list(planted.values()))
    assert found.to_numpy() == pytest.approx(centred, abs=within)


def test_levels_without_a_season_are_taken_for_chance():
    flat = {f"2021-{month:02d}-01": 0.0 for month in range(1, 13)}
    snapshots, outcome = active_customers(flat, 150, "logistic")
    raw_scatter = 1 / np.sqrt(150 * 0.24)  # what sampling alone does to a log odds
    assert seasons.levels(snapshots, outcome, "logistic").std() < raw_scatter / 3


def test_a_date_before_the_shop_was_watched_for_90_days_has_no_level():
    snapshots, outcome = active_customers({"2021-01-01": 0, "2021-02-01": 1}, 50, "logistic")
    young = snapshots["as_of_date"] == "2021-01-01"
    snapshots.loc[young, "days_since_first_order"] = 60
    found = seasons.levels(snapshots, outcome, "logistic")
    assert list(found.index) == [pd.Timestamp("2021-02-01")]


def test_outcomes_that_never_vary_have_no_levels():
    snapshots, outcome = active_customers({"2021-01-01": 0}, 50, "logistic")
    assert seasons.levels(snapshots, outcome * 0, "logistic").empty


def series(first, values):
    return pd.Series(values, index=pd.date_range(first, periods=len(values), freq="MS"))


def test_a_new_date_takes_last_years_level_and_a_shrunk_trend():
    # 2020-01 .. 2021-03, each month of 2021 0.4 above its month of 2020 (leap day: 365 days
    # before 2021-03-01 is 2020-03-01, before 2021-01-01 and 02-01 it is the 2nd of the month)
    known = series("2020-01-01", [float(m) for m in range(12)] + [0.4, 1.4, 2.4])
    year_ago = 5.0  # 365 days before 2021-06-01 is 2020-06-01
    trend = (
        (0.4 - (0 + 1 / 31)) + (1.4 - (1 + 1 / 29)) + (2.4 - 2)
    ) / 4  # three dates, shrunk as by a fourth of none
    assert seasons.project(known, pd.Timestamp("2021-06-01")) == pytest.approx(year_ago + trend)


def test_a_date_between_two_known_ones_lies_between_their_levels():
    known = series("2020-01-01", [0.0, 31.0])
    assert seasons.project(known, pd.Timestamp("2020-01-11") + seasons.YEAR) == pytest.approx(10.0)


def test_an_unknown_season_is_projected_as_the_mean_of_what_is_known():
    known = series("2021-01-01", [0.1, 0.2, 0.6])
    assert seasons.project(known, pd.Timestamp("2021-07-01")) == pytest.approx(0.3)


def test_no_level_known_projects_none():
    assert seasons.project(series("2021-01-01", []), pd.Timestamp("2021-07-01")) == 0.0


def labelled(first, last):
    return pd.DataFrame({"as_of_date": pd.date_range(first, last, freq="MS")})


def test_cuts_are_newest_first_and_their_outcomes_do_not_overlap():
    found = cuts.cuts(labelled("2020-01-01", "2021-03-01"), 90)
    assert found == [pd.Timestamp(day) for day in ("2021-03-01", "2020-12-01", "2020-09-01")]


def test_training_at_a_cut_sees_no_outcome_that_was_open_then():
    frame = labelled("2020-01-01", "2021-03-01")
    for cut, train, test in cuts.splits(frame, 90):
        assert (train["as_of_date"] + pd.Timedelta(days=90) <= cut).all()
        assert list(test["as_of_date"]) == [cut]
        assert train["as_of_date"].max() + pd.Timedelta(days=90 + 31) > cut


def test_a_shop_too_young_to_test_on_has_no_cut():
    assert cuts.cuts(labelled("2020-01-01", "2020-03-01"), 90) == []
    assert cuts.cuts(labelled("2020-01-01", "2019-01-01"), 90) == []
