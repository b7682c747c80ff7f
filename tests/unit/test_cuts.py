"""Cuts are the dates at which a model could have been trained and can now be checked."""

import pandas as pd

from ml_tasks.evaluation import cuts


def labelled(first, last):
    return pd.DataFrame({"as_of_date": pd.date_range(first, last, freq="MS")})


def test_cuts_are_newest_first_and_their_outcomes_do_not_overlap():
    found = cuts.cuts(labelled("2020-01-01", "2021-03-01"), 90)
    assert found == [pd.Timestamp(day) for day in ("2021-03-01", "2020-12-01", "2020-09-01")]


def test_training_at_a_cut_sees_no_outcome_that_was_open_then():
    frame = labelled("2020-01-01", "2021-03-01")
    for cut in cuts.cuts(frame, 90):
        train = cuts.known_by(frame, cut, 90)
        assert (train["as_of_date"] + pd.Timedelta(days=90) <= cut).all()
        assert train["as_of_date"].max() + pd.Timedelta(days=90 + 31) > cut


def test_a_shop_too_young_to_test_on_has_no_cut():
    assert cuts.cuts(labelled("2020-01-01", "2020-03-01"), 90) == []
    assert cuts.cuts(labelled("2020-01-01", "2019-01-01"), 90) == []
