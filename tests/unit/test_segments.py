"""Segments: planted groups are recovered, ids are kept, RFM groups and moves by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from ml_tasks.evaluation.comparison import untested
from ml_tasks.segments import evaluate, fit, naming, rfm, run
from ml_tasks.segments.facts import FACTS, Scale, assign
from ml_tasks.segments.fit import Candidate
from ml_tasks.segments.model import Segmentation
from ml_tasks.trained_model import TrainedModel
from tests.unit.planted_shop import PlantedShop, plant
from tests.unit.test_shards import require_equal_rows

TRAINING_DATE, SCORED_DATE = date(2021, 3, 1), date(2021, 3, 10)
# days since the last order, order days, spend: four kinds of customers far apart
KINDS = [(12, 20.0, 4000.0), (60, 6.0, 600.0), (200, 2.0, 80.0), (340, 1.0, 20.0)]


def planted(count_each: int = 150, seed: int = 1) -> tuple[pd.DataFrame, np.ndarray]:
    """FACTS of customers of each kind, and the kinds, in mixed order."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(len(KINDS)), count_each))
    typical = np.array(KINDS)[kinds]
    facts = pd.DataFrame(
        {
            FACTS[0]: (typical[:, 0] + rng.integers(-8, 9, len(kinds))).clip(min=1),
            FACTS[1]: np.round(typical[:, 1] * rng.lognormal(0, 0.05, len(kinds))).astype(int),
            FACTS[2]: typical[:, 2] * rng.lognormal(0, 0.2, len(kinds)),
        }
    )
    return facts, kinds


def learnt(facts: pd.DataFrame, seed: int = 7) -> Segmentation:
    """The model without past dates to test the number of segments on."""
    scale, chosen, _ = evaluate.learn(facts, snapshots([]), seed)
    return Segmentation.of(facts, chosen.centres, scale, seed)


def snapshots(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = {"as_of_date": pd.Series(dtype="datetime64[ns]"), evaluate.SPEND: 0.0}
    empty = pd.DataFrame(columns=FACTS).assign(**columns)
    return pd.concat(parts) if parts else empty


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "COUNT_RESAMPLES", 3)
    monkeypatch.setattr(fit, "STARTS", 3)


def test_planted_kinds_are_recovered(quick):
    facts, kinds = planted()
    model = learnt(facts)
    assert len(model.segments) == len(KINDS)
    assert adjusted_rand_score(kinds, model.labels(facts)) > 0.99
    # by mean spend, highest first; all names differ
    assert list(model.ids(pd.DataFrame(KINDS, columns=FACTS))) == ["s1", "s2", "s3", "s4"]
    assert len(set(model.names.values())) == len(KINDS)
    assert model.names["s1"] == "Very frequent top spenders, bought lately"
    assert model.names["s4"] == "Mostly one-time small spenders, long gone"


def test_a_stored_model_assigns_as_before(quick):
    facts, _ = planted(40)
    model = learnt(facts)
    stored = TrainedModel(run.MODEL, TRAINING_DATE, model.to_dict())
    read = Segmentation.from_dict(stored.parameters)
    assert stored.model_version
    assert (read.ids(facts) == model.ids(facts)).all()
    pd.testing.assert_frame_equal(read.groups.of(facts), model.groups.of(facts))


def test_ids_survive_a_permutation_and_a_small_shift_of_the_centres(quick):
    facts, _ = planted()
    old = learnt(facts)
    turned = [old.segments[number] for number in (2, 0, 3, 1)]
    new = replace(
        old,
        segments=tuple(
            replace(one, id=f"s{number}", name=f"other {number}", centre=shifted(one.centre))
            for number, one in enumerate(turned, 1)
        ),
    )
    assert (new.ids(facts) != old.ids(facts)).any()
    kept = new.matched(old)
    assert (kept.ids(facts) == old.ids(facts)).all()
    assert kept.names == old.names


def shifted(centre: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(value + 0.02 for value in centre)


def test_a_segment_unlike_any_before_gets_an_id_that_was_never_used(quick):
    old = learnt(planted()[0]).segments
    theirs = np.repeat([0, 1, 2, 3], [50, 50, 51, 49])
    mine = np.repeat([0, 1, 2], [50, 50, 100])  # two segments became one
    ids = [one.id for one in naming.matched(old[:3], old, (mine, theirs), last_number=9)]
    assert ids == ["s1", "s2", "s3"]  # 51 of 100 are in both
    theirs = np.repeat([0, 1, 2, 3, 1], [50, 50, 49, 49, 2])
    ids = [one.id for one in naming.matched(old[:3], old, (mine, theirs), last_number=9)]
    assert ids == ["s1", "s2", "s10"]


def test_ids_of_segments_that_are_gone_are_not_used_again(quick):
    old = learnt(planted()[0])
    fewer = replace(old, segments=old.segments[:2]).matched(old)
    again = old.matched(fewer)
    new = {one.id for one in again.segments} - {one.id for one in fewer.segments}
    assert len(new) >= 2
    assert min(int(one.removeprefix("s")) for one in new) > fewer.last_number >= 4


def test_two_segments_never_have_one_name():
    assert naming.different(["a", "a", "b", "a"], ["a"]) == ["a 2", "a 3", "b", "a 4"]


def test_two_segments_with_the_same_words_say_where_they_differ():
    ranks = [
        {naming.RECENCY: 0.1, naming.FREQUENCY: 0.70, naming.MONEY: 0.8},
        {naming.RECENCY: 0.1, naming.FREQUENCY: 0.75, naming.MONEY: 0.7},
        {naming.RECENCY: 0.9, naming.FREQUENCY: -1.0, naming.MONEY: 0.5},
    ]
    names = [naming.words_of(one) for one in ranks]
    assert names[0] == names[1] == "Frequent big spenders, bought lately"
    assert naming.told_apart(names, ranks) == [
        "Frequent big spenders, bought lately (higher spend)",
        "Frequent big spenders, bought lately (lower spend)",
        "Mostly one-time buyers, long gone",
    ]


def test_rfm_groups_by_hand():
    facts = pd.DataFrame(
        {FACTS[0]: np.arange(1, 101), FACTS[1]: np.arange(1, 101), FACTS[2]: np.arange(1.0, 101.0)}
    )
    groups = rfm.RfmGroups.learn(facts)
    some = pd.DataFrame(
        [
            (1, 100, 100.0),  # latest, most, most
            (20, 1, 1.0),  # latest, one order
            (20, 1, 100.0),  # F 1 and M 5: 3
            (21, 90, 70.0),  # R 4, F 5 and M 4: 4.5, rounded up
            (90, 90, 90.0),
            (90, 1, 1.0),
            (70, 30, 30.0),
            (50, 50, 50.0),
        ],
        columns=FACTS,
    )
    found = groups.of(some)
    assert found[rfm.SCORES].to_numpy().tolist()[:4] == [[5, 5, 5], [5, 1, 1], [5, 1, 5], [4, 5, 4]]
    assert found[rfm.GROUP].tolist() == [
        *("champions", "new", "active", "loyal"),
        *("previously_loyal", "dormant", "almost_lost", "needs_attention"),
    ]


def test_every_pair_of_scores_has_a_group_and_every_group_is_used():
    rules = rfm.rules()
    by_scores = rules["by_scores"]
    assert sorted(by_scores) == list("12345")
    assert {len(groups) for groups in by_scores.values()} == {5}
    used = {group for groups in by_scores.values() for group in groups}
    assert used == set(rules["groups"]) - {rfm.PROSPECTS}
    assert len(rules["groups"]) == 11


NAN = float("nan")


def candidate(count: int, spend_r2: float, **other: float) -> Candidate:
    figures = {"stability": 0.95, "lowest": 0.9, "smallest_share": 0.1, "weekly_change": 0.01}
    return Candidate(np.zeros((count, 3)), **(figures | other), spend_r2=spend_r2)


@pytest.mark.parametrize(
    ("found", "count"),
    [
        ([candidate(2, 0.1), candidate(4, 0.3), candidate(5, 0.291)], 5),
        ([candidate(2, 0.1), candidate(4, 0.3), candidate(5, 0.289)], 4),
        ([candidate(2, 0.1), candidate(4, 0.3), candidate(5, 0.4, lowest=0.74)], 4),
        ([candidate(2, 0.1), candidate(4, 0.3), candidate(5, 0.4, smallest_share=0.04)], 4),
        ([candidate(2, 0.1), candidate(4, 0.3), candidate(5, 0.4, weekly_change=0.04)], 4),
        (
            [
                candidate(2, NAN, stability=1.0),
                candidate(3, NAN, stability=0.98),
                candidate(5, NAN),
            ],
            3,
        ),
        ([candidate(2, 0.1, stability=0.6), candidate(5, 0.4, stability=0.7)], 5),
    ],
)
def test_the_number_of_segments_is_chosen_by_stability_and_use(found, count):
    assert fit.choose(found).count == count


def test_r2_out_of_time_by_hand():
    before = pd.DataFrame({"kind": [0, 0, 1], evaluate.SPEND: np.expm1([1.0, 3.0, 0.0])})
    after = pd.DataFrame({"kind": [0, 1, 1], evaluate.SPEND: np.expm1([3.0, 0.0, 0.0])})
    # predicted 2, 0, 0 of 3, 0, 0: squares 1 of 4 + 1 + 1
    found = evaluate.spend_r2(lambda some: some["kind"].to_numpy(), before, after)
    assert found == pytest.approx(1 - 1 / 6)


def test_stability_is_high_for_clear_groups_and_low_for_none():
    rng = np.random.default_rng(2)
    clear = rng.normal(0, 0.05, (300, 3)) + np.repeat(np.eye(3) * 4, 100, axis=0)
    assert fit.stability(clear, fit.kmeans(3), seed=1) == (1.0, 1.0)
    mean, lowest = fit.stability(rng.normal(0, 1, (300, 3)), fit.kmeans(7), seed=1)
    assert lowest <= mean < 0.8


def test_weekly_change_by_hand():
    facts = pd.DataFrame({FACTS[0]: [3, 95, 100, 300], FACTS[1]: 1, FACTS[2]: 10.0})
    # the first ordered within the week; of the others one was at 88 days a week ago
    share = fit.weekly_change(facts, lambda some: (some[FACTS[0]] > 90).to_numpy())
    assert share == pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def shop() -> PlantedShop:
    return plant(count_customers=300, count_days=500, seed=3, season_strength=0.5)


@pytest.fixture
def model(shop: PlantedShop, quick: None, monkeypatch: pytest.MonkeyPatch) -> TrainedModel:
    monkeypatch.setattr(run, "evaluate", lambda *_: untested(run.MODEL))
    return run.QUESTION.train(TRAINING_DATE, shop, seed=1)


def test_rows_do_not_depend_on_the_shards(shop, model):
    assert model.name == run.MODEL
    require_equal_rows(run, model, SCORED_DATE, shop)


def test_moves_and_profiles_add_up(shop, model):
    frames = run.QUESTION.score(SCORED_DATE, model, shop)
    rows, profiles, moves = (frames[name] for name in (run.NAME, run.PROFILES, run.MOVES))
    for grouping, column in (("behaviour", "segment_id"), ("rfm", "rfm_group")):
        ours = profiles[profiles["grouping"] == grouping].set_index("segment_id")
        went = moves[moves["grouping"] == grouping]
        assert ours["count_customers"].sum() == went["count_customers"].sum() == len(rows)
        counts = rows[column].value_counts().reindex(ours.index, fill_value=0)
        assert (ours["count_customers"] == counts).all()
        flow = ours["count_customers_28d_before"] + ours["count_arrived"] - ours["count_left"]
        assert (flow == ours["count_customers"]).all()
        is_move = went["from_segment_id"] != went["to_segment_id"]
        by_to = went[is_move].groupby("to_segment_id")["count_customers"].sum()
        assert (ours["count_arrived"] == by_to.reindex(ours.index, fill_value=0)).all()
        assert ours["share_of_net_sales_365d"].sum() == pytest.approx(1)
        new = went.loc[went["from_segment_id"] == "nowhere", "count_customers"].sum()
        assert new == rows["segment_id_28d_before"].isna().sum() > 0
        assert np.allclose(went.groupby("from_segment_id")["share_of_from"].sum(), 1)


def test_a_customer_is_where_the_same_facts_put_them_28_days_before(shop, model):
    rows = run.QUESTION.score(SCORED_DATE, model, shop)[run.NAME].set_index("customer_id")
    then = date(2021, 2, 10)
    before = run.QUESTION.score(then, model, shop)[run.NAME].set_index("customer_id")
    rows = rows.loc[before.index]
    assert (rows["segment_id_28d_before"] == before["segment_id"]).all()
    assert (rows["rfm_group_28d_before"] == before["rfm_group"]).all()


def test_the_sentences_say_what_sets_a_segment_apart(quick):
    facts, kinds = planted()
    model = learnt(facts)
    rows = facts.assign(
        customer_id=[f"c{number:04d}" for number in range(len(facts))],
        net_spend_amount_365d=facts[FACTS[2]],
        segment_id=model.ids(facts),
        rfm_group=model.groups.of(facts)[rfm.GROUP],
    )
    rows = rows.assign(segment_id_28d_before=rows["segment_id"], rfm_group_28d_before="dormant")
    first = run.shop_tables.profiles(rows, model).iloc[0]
    best = facts[kinds == 0]
    said = " ".join(first[[f"sentence_{number}" for number in (1, 2, 3)]])
    assert f"within the last {best[FACTS[0]].median():.0f} days" in said
    assert f"on {best[FACTS[1]].mean():.1f} days on average" in said
    assert f"spent {best[FACTS[2]].mean():,.0f} each, " in said
    assert first["drift_distance"] == pytest.approx(0, abs=1e-6)


def test_the_recipe_is_tested_beside_what_a_user_would_pick(quick):
    rng = np.random.default_rng(5)
    parts = []
    for number, day in enumerate(pd.date_range("2020-01-01", periods=8, freq="MS")):
        facts, kinds = planted(40, seed=number)
        spend = np.array([500.0, 50.0, 5.0, 0.0])[kinds] * rng.lognormal(0, 0.1, len(kinds))
        parts.append(facts.assign(as_of_date=day, **{evaluate.SPEND: spend}))
    found = evaluate.evaluate(pd.concat(parts, ignore_index=True), seed=1)
    assert len(found.cuts) == 2
    assert {row.model for row in found.figures} == {evaluate.MODEL, *evaluate.BASELINES}
    assert found.mean(evaluate.MODEL, "spend_r2") > 0.98
    assert found.mean(evaluate.MODEL, "stability") > 0.95
    assert found.metrics["count_segments"] == 4


def test_a_point_does_not_depend_on_the_other_rows():
    facts, _ = planted()
    scale = Scale.of(facts)
    centres = scale.points(pd.DataFrame(KINDS, columns=FACTS))
    whole = assign(scale.points(facts), centres)
    for rows in (slice(0, 1), slice(7, 40)):
        assert np.array_equal(scale.points(facts)[rows], scale.points(facts[rows]))
        assert np.array_equal(whole[rows], assign(scale.points(facts[rows]), centres))
