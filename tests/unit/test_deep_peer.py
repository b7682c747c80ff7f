"""The benchmark's one network: what it may read, what it learns, and that it repeats itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.peers import deep
from benchmarks.peers.deep_rows import Orders

CUT = pd.Timestamp("2024-01-01")
EVERY_DAYS = {"fast": 10, "slow": 60}
AMOUNTS = {"fast": 20.0, "slow": 400.0}


def rhythm() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Half of the customers order a cheap fork each 10 days, half a dear lamp each 60."""
    parts = []
    for number in range(200):
        kind, family = ("fast", "fork") if number % 2 else ("slow", "lamp")
        first = pd.Timestamp("2022-06-01") + pd.Timedelta(days=7 * number % 60)
        days = pd.date_range(first, "2024-04-01", freq=f"{EVERY_DAYS[kind]}D")
        ids = {"customer_id": f"{kind}-{number:03}", "family": family}
        parts.append(pd.DataFrame({"day_date": days, "net_amount": AMOUNTS[kind], **ids}))
    frame = pd.concat(parts, ignore_index=True)
    days = frame.assign(gross_spend_amount=frame["net_amount"], count_orders=1)
    return days, frame[["customer_id", "day_date", "family"]]


def fitted_to(days: pd.DataFrame, families: pd.DataFrame, seed: int = 7) -> pd.DataFrame:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    orders = Orders(days, families, CUT)
    fitted = deep.fit(orders, seed)
    assert fitted is not None
    return fitted.predict(orders).set_index("customer_id")


@pytest.fixture(scope="module")
def predicted() -> pd.DataFrame:
    return fitted_to(*rhythm())


def is_half_of_one_for_all(predicted: pd.Series, happened: pd.Series) -> bool:
    """Whether errors are at most half of those of the median of what happened, for everybody."""
    happened = happened.reindex(predicted.index)
    naive = (happened - happened.median()).abs().mean()
    return (predicted - happened).abs().mean() <= naive / 2


def test_a_planted_rhythm_is_learnt(predicted: pd.DataFrame) -> None:
    is_fast = predicted.index.str.startswith("fast")
    fast, slow = predicted[is_fast], predicted[~is_fast]
    assert len(fast) == len(slow) == 100
    assert (predicted["order_probability"] > 0.9).all()  # each orders within 60 days
    days = rhythm()[0]
    coming = days[(days["day_date"] >= CUT) & (days["day_date"] < CUT + pd.Timedelta(days=90))]
    wait = (coming.groupby("customer_id")["day_date"].min() - CUT).dt.days
    assert is_half_of_one_for_all(np.log1p(predicted["days_p50"]), np.log1p(wait))
    spend = coming.groupby("customer_id")["net_amount"].sum()
    assert is_half_of_one_for_all(predicted["spend"], spend)
    assert fast["amount_p50"].to_numpy() == pytest.approx(20, rel=0.3)
    assert slow["amount_p50"].to_numpy() == pytest.approx(400, rel=0.3)
    assert (fast["families"].str[0] == "fork").all()
    assert (slow["families"].str[0] == "lamp").all()


def test_the_same_seed_gives_the_same_predictions(predicted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(fitted_to(*rhythm()), predicted)
    other = fitted_to(*rhythm(), seed=8)
    assert (other["days_p50"] != predicted["days_p50"]).any()


def test_nothing_from_the_cut_on_is_read(predicted: pd.DataFrame) -> None:
    days, families = rhythm()
    later = days["day_date"] >= CUT
    days.loc[later, ["gross_spend_amount", "net_amount"]] *= 50
    families.loc[families["day_date"] >= CUT, "family"] = "other"
    newcomer = days[later].iloc[:1].assign(customer_id="new")
    pd.testing.assert_frame_equal(fitted_to(pd.concat([days, newcomer]), families), predicted)


def test_what_followed_is_that_of_the_90_days() -> None:
    days = pd.DataFrame(
        [
            ("a", "2023-01-01", 1, 10.0, 10.0),
            ("a", "2023-03-01", 1, 30.0, 30.0),  # the day itself: a wait of 1
            ("a", "2023-04-01", 0, 0.0, -5.0),  # a refund
            ("a", "2023-05-29", 1, 7.0, 7.0),  # the 90th day
            ("a", "2023-05-30", 1, 100.0, 100.0),  # after it
            ("b", "2023-02-28", 1, 20.0, 20.0),
            ("b", "2023-05-30", 1, 20.0, 20.0),
        ],
        columns=["customer_id", "day_date", "count_orders", "gross_spend_amount", "net_amount"],
    )
    days["day_date"] = pd.to_datetime(days["day_date"])
    families = pd.DataFrame(
        {"customer_id": "a", "day_date": days["day_date"][1:2], "family": ["fork"]}
    )
    orders = Orders(days, families, CUT)
    day = (pd.Timestamp("2023-03-01") - days["day_date"].min()).days
    who = np.arange(2)
    assert orders.known(who, day).tolist() == [0, 1]
    assert orders.known(who, day - 1).tolist() == [0]
    a, b = orders.followed(who, day)
    assert a[:3].tolist() == [1, 30 - 5 + 7, 0]
    usual = orders.usual_amount(who, day)
    assert np.exp((a[3] + usual[0]) * orders.spread + orders.level) == pytest.approx(30)
    assert a[4:].tolist() == [1]
    assert b[:2].tolist() == [0, 0]
