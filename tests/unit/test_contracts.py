"""Score contracts: reading them, and checking frames against them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from ml_tasks.engine.contract_check import checked
from perennial import contracts
from perennial.contract_yml import doc_blocks, parse
from perennial.contracts import ContractError
from perennial.settings import SettingsError

YML = """
sources:
  - name: scores
    config: {meta: {question: toys, kind: predicts, horizons_days: [30], lookback: true}}
    tables:
      - name: toys
        description: "How many? {{ doc('grain') }}"
        config: {meta: {entity: product, keyed_by: [week_date]}}
        columns:
          - {name: product_id, data_type: text, description: The toy.}
          - {name: week_date, data_type: date, description: Monday.}
          - name: chance
            data_type: double precision
            description: In [0, 1].
            config: {meta: {min: 0, max: 1, required_when_scored: true}}
          - {name: price_amount, data_type: "numeric(18,2)", description: Price.}
          - name: rank
            data_type: integer
            description: A fact.
            config: {meta: {required_when_scored: true, fact: true}}
          - name: band
            data_type: text
            description: Band.
            config: {meta: {values: [high, low]}}
"""
DOCS = doc_blocks(contracts.SCORES) | {"grain": "One row per toy."}
TOYS = parse(YML, "toys", DOCS).table("toys")


def frame() -> pd.DataFrame:
    """Two scored toys and one unscored toy."""
    return pd.DataFrame(
        {
            "product_id": ["a", "b", "c"],
            "week_date": pd.to_datetime(["2011-09-12"] * 3),
            "chance": [0.25, 1.0, np.nan],
            "price_amount": [1.005, 2.0, np.nan],
            "rank": [1, 2, 3],
            "band": ["high", "low", None],
            "score_status": ["scored", "scored", "not_scored"],
            "score_reason": [None, None, "too new"],
        }
    )


def test_a_contract_is_read_with_its_doc_blocks():
    assert TOYS.description == "How many? One row per toy."
    assert TOYS.key == ("product_id", "week_date")
    columns = {column.name: column for column in TOYS.columns}
    assert (columns["chance"].minimum, columns["chance"].maximum) == (0, 1)
    assert columns["chance"].is_required_when_scored
    assert not columns["chance"].is_fact
    assert columns["rank"].is_fact
    assert columns["band"].values == ("high", "low")
    assert [c.name for c in TOYS.question_columns] == list(frame().columns)


def test_the_contracts_of_the_questions_are_all_there():
    tables = {question: contracts.load(question).tables for question in contracts.questions()}
    assert {"churn", "clv", "demand", "survival"} <= set(tables)
    for question, found in tables.items():
        assert question in {table.name for table in found}
        for table in found:
            assert not any("{{" in column.description for column in table.columns)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("question: toys", "question: games", "question 'games'"),
        ("doc('grain')", "doc('weight')", "no doc block 'weight'"),
        ("kind: predicts", "kind: guesses", "toys.yml: kind 'guesses' is none of predicts"),
        ("kind: predicts", "kind: rules", "lookback is for a question that predicts"),
        ("horizons_days: [30], ", "", "lookback is for a question that predicts, with horizons"),
        ("horizons_days:", "horizon:", "toys.yml: unknown meta horizon"),
        ("- name: toys", "- name: games", "the first table must be named toys"),
        ("entity: product, ", "", "toys: lacks an entity"),
        (
            "entity: product",
            "entity: toy",
            "unknown entity 'toy': choose one of action, .*customer",
        ),
        ("entity: product", "entity: customer", "lacks customer_id"),
        ("keyed_by: [week_date]", "keyed_by: [month]", "lacks month"),
        ("keyed_by:", "in_customer_360: [chance], keyed_by:", "one row per customer"),
        ("keyed_by:", "key:", "table toys: unknown meta key"),
        ("name: price_amount", "name: customer_id", "has customer_id, and product is not personal"),
        ("name: price_amount", "name: scored_at", "column scored_at: is timestamp with time zone"),
        ("max: 1,", "maximum: 1,", "chance: unknown meta maximum"),
        ("data_type: date, description: Monday.", "data_type: day, description: Monday.", "'day'"),
        ("description: The toy.", "description: ''", "product_id: has no description"),
        ("name: band", "name: rank", "stands twice"),
        ("- name: scores", "- name: raw", "has 0 sources named scores, not one"),
    ],
)
def test_a_broken_contract_names_what_is_broken(old, new, message):
    assert old in YML
    with pytest.raises(ContractError, match=message):
        parse(YML.replace(old, new), "toys", DOCS)


def test_an_unknown_question_lists_those_there_are():
    with pytest.raises(SettingsError, match=r"unknown question 'weather'.*churn"):
        contracts.load("weather")


def test_a_frame_that_keeps_the_contract_is_typed_and_rounded():
    rows = checked(frame().sample(frac=1, random_state=1).sort_index(), TOYS)
    assert rows.column_names == [column.name for column in TOYS.question_columns]
    assert rows["chance"].to_pylist() == [0.25, 1.0, None]
    assert rows["price_amount"].to_pylist() == [1.0, 2.0, None]
    assert rows["week_date"].to_pylist() == [dt.date(2011, 9, 12)] * 3
    assert str(rows["rank"].type) == "int32"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"rank": [1.0, 2.0, 3.0]}, id="whole numbers as floats"),
        pytest.param({"week_date": [dt.date(2011, 9, 12)] * 3}, id="dates as objects"),
        pytest.param({"band": pd.Categorical(["high", "low", None])}, id="categories"),
        pytest.param({"product_id": pd.array(["a", "b", "c"], dtype="string")}, id="string dtype"),
        pytest.param({"chance": pd.array([0.25, 1, None], dtype="Float64")}, id="nullable floats"),
        pytest.param({"price_amount": [None, None, None]}, id="nothing but nulls"),
    ],
)
def test_other_spellings_of_the_same_types_are_fine(change):
    assert checked(frame().assign(**change), TOYS).num_rows == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chance": [0.25, 1.01, np.nan]}, "chance: 1 of 3 rows are above 1"),
        ({"chance": [0.25, -0.01, np.nan]}, "chance: 1 of 3 rows are below 0"),
        ({"chance": [0.25, np.nan, np.nan]}, "chance: 1 of 3 rows are null though scored"),
        ({"chance": [0.25, 0.5, 0.5]}, "chance: 1 of 3 rows are given though not scored"),
        ({"chance": ["0.25", "0.5", None]}, "chance is object, not double precision"),
        ({"price_amount": [1.0, np.inf, 1.0]}, "price_amount: 1 of 3 rows are infinite"),
        ({"price_amount": ["1", "2", "3"]}, "price_amount is object"),
        ({"rank": [1.5, 2.0, 3.0]}, "rank is float64, not integer"),
        ({"rank": [1, 2, 3_000_000_000]}, "rank is int64, not integer"),
        ({"rank": [True, False, True]}, "rank is bool, not integer"),
        ({"rank": [1, None, 3]}, "rank: 1 of 3 rows are null though scored"),
        ({"band": ["high", "medium", None]}, "band: 1 of 3 rows are none of high, low"),
        ({"product_id": ["a", "b", None]}, "product_id: 1 of 3 rows are null in the key"),
        ({"product_id": ["a", "a", "c"]}, "1 of 3 rows repeat a key"),
        ({"product_id": [1, 2, 3]}, "product_id is int64, not text"),
        ({"week_date": pd.to_datetime(["2011-09-12 10:00"] * 3)}, "week_date is .*time of day"),
        ({"score_status": ["scored", "lost", "not_scored"]}, "score_status: 1 of 3"),
        ({"score_status": ["scored", None, "not_scored"]}, "score_status: 1 of 3"),
        ({"score_reason": ["why", None, "too new"]}, "score_reason: 1 of 3 .*though scored"),
        ({"score_reason": [None, None, None]}, "score_reason: 1 of 3 .*missing"),
        ({"score_reason": [None, None, ""]}, "score_reason: 1 of 3 .*missing"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_refused_with_column_and_count(change, message):
    with pytest.raises(ContractError, match=message):
        checked(frame().assign(**change), TOYS)


def test_a_missing_or_unknown_column_is_refused():
    with pytest.raises(ContractError, match=r"scores\.toys lacks band"):
        checked(frame().drop(columns="band"), TOYS)
    with pytest.raises(ContractError, match=r"scores\.toys has no column colour"):
        checked(frame().assign(colour="red"), TOYS)


def test_messages_name_no_entity():
    with pytest.raises(ContractError) as refusal:
        checked(frame().assign(toy_id=["secret", "secret", "c"]), TOYS)
    assert "secret" not in str(refusal.value)
