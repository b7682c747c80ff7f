"""Levels of dates: projections are arithmetic done by hand."""

import pandas as pd
import pytest

from ml_tasks.survival import seasons


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
