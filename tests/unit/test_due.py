"""The due date, the faults of a view, and their likely causes: by hand, to the hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from oncall.airflow_api import chain_of_dags
from oncall.watchdog.due import Landing, is_landing_missing, last_landing_time, newest_due
from oncall.watchdog.findings import ROWS_FELL, STALE, ViewState, check_view
from oncall.watchdog.suspects import _from_runs
from perennial.settings import Settings

FRIDAY = date(2024, 3, 1)
LANDED = Landing(FRIDAY, "accepted", datetime(2024, 3, 1, 5, 2, tzinfo=UTC))


def shop(**fields) -> Settings:
    return Settings(source="canonical", time_zone="UTC", due_hours=4, **fields)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-03-01 09:01", None),
        ("2024-03-01 09:03", FRIDAY),
        ("2024-03-20 09:03", FRIDAY),  # no later date was requested
    ],
)
def test_without_a_schedule_what_was_landed_is_due_some_hours_later(now, expected):
    assert newest_due(shop(), at(now), [LANDED]) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-03-02 08:59", FRIDAY),
        ("2024-03-02 09:00", date(2024, 3, 2)),
        ("2024-03-20 08:59", date(2024, 3, 19)),
    ],
)
def test_with_a_schedule_each_day_is_due_some_hours_after_its_landing(now, expected):
    assert newest_due(shop(schedule="on"), at(now), [LANDED]) == expected


def test_only_what_was_accepted_is_due():
    for status in ("held", "refused", "superseded"):
        landing = Landing(FRIDAY, status, LANDED.landed_at)
        assert newest_due(shop(), at("2024-03-02 12:00"), [landing]) is None


def test_the_day_is_the_shops_own_also_when_the_clock_changes():
    auckland = Settings(source="canonical", time_zone="Pacific/Auckland", due_hours=4)
    # 05:00 of Friday there is 16:00 of Thursday here
    assert last_landing_time(auckland, at("2024-02-29 16:00")).date() == FRIDAY
    assert last_landing_time(auckland, at("2024-02-29 15:59")).date() == date(2024, 2, 29)
    london = Settings(source="canonical", time_zone="Europe/London", due_hours=4)
    assert last_landing_time(london, at("2024-03-31 04:00")).date() == date(2024, 3, 31)
    assert last_landing_time(london, at("2024-03-30 04:00")).date() == date(2024, 3, 29)


def test_a_sample_shop_stands_still_if_its_next_day_never_came(tmp_path):
    sample = Settings(home=tmp_path, source="sample", time_zone="UTC", schedule="on", due_hours=4)
    assert newest_due(sample, at("2024-03-05 12:00"), [LANDED]) == FRIDAY  # its own calendar
    assert not is_landing_missing(sample, at("2024-03-02 08:59"), [LANDED])
    assert is_landing_missing(sample, at("2024-03-02 09:00"), [LANDED])
    assert not is_landing_missing(shop(), at("2024-03-05 12:00"), [LANDED])


def view(**fields) -> ViewState:
    return ViewState(**{"view": "reporting.churn", "newest_date": FRIDAY, "rows": 99} | fields)


def test_a_view_that_has_what_is_due_has_no_finding():
    good = view(published_rows=99, rows_before=150, known_customers=100)
    for due in (FRIDAY, FRIDAY - timedelta(1), None):
        assert check_view(good, due) == []


@pytest.mark.parametrize(
    ("state", "entry"),
    [
        (view(newest_date=date(2024, 2, 29)), STALE),
        (view(newest_date=None), STALE),
        (view(rows_before=199), ROWS_FELL),
    ],
)
def test_a_view_that_lacks_date_or_rows_has_one(state, entry):
    assert [finding.entry for finding in check_view(state, FRIDAY)] == [entry]


def run(dag_id: str, state: str, day: date = FRIDAY, hours_ago: float = 1) -> dict:
    start = at("2024-03-01 12:00") - timedelta(hours=hours_ago)
    return {
        "dag_id": dag_id,
        "state": state,
        "partition_key": str(day),
        "start_date": start.isoformat(),
        "queued_at": start.isoformat(),
    }


@pytest.mark.parametrize(
    ("paused", "runs", "expected"),
    [
        (["score_clv", "train_clv"], [run("land", "failed")], "paused in Airflow: score_clv"),
        (["train_clv"], [run("land", "failed")], "failed for 2024-03-01: land"),
        ([], [run("score_clv", "running", hours_ago=5)], "score_clv hangs, since 2024-03-01 07:00"),
        ([], [run("score_clv", "queued")], "score_clv is at work, since 2024-03-01 11:00 UTC"),
        ([], [run("land", "failed", date(2024, 2, 1))], "land never ran for 2024-03-01"),
        ([], [run("land", "success")], "build_warehouse never ran for 2024-03-01"),
        ([], [run(one, "success") for one in chain_of_dags()], "all runs of 2024-03-01 succeeded"),
    ],
)
def test_the_likely_cause_is_what_is_nearest_to_the_root(paused, runs, expected):
    found = _from_runs(paused, runs, FRIDAY, at("2024-03-01 12:00"), 4)
    assert found.startswith(expected)
