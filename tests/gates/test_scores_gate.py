"""The gate after scoring, with the real contracts: it passes good rows and stops at each fault."""

from __future__ import annotations

from datetime import date

import pytest

from expectations.results import GateFailed
from expectations.scores import gate_scores
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect

AS_OF = date(2011, 9, 10)
PUBLICATION = 17

# Customers c1 to c20 and products p1 to p3 are known on the date; c20 and p3 cannot be scored.
GOOD_SCORES = """
drop table if exists features.customer_snapshots, features.product_weeks cascade;
set local role transformer;
create table features.customer_snapshots as
    select day as as_of_date, 'c' || n as customer_id
    from generate_series(1, 20) as n,
        lateral (values (date '2011-09-10'), (date '2011-09-01')) as days (day);
create table features.product_weeks as
    select date '2011-09-10' as as_of_date, 'p' || n as product_id,
        date '2011-08-29' as week_start_date
    from generate_series(1, 3) as n;
reset role;
truncate scores.churn, scores.churn_reasons, scores.demand, scores.survival, scores.survival_curves,
    scores.survival_effects;
select scores.ensure_month(name, '2011-09-10')
from (values ('churn'), ('churn_reasons'),
    ('demand'), ('survival'), ('survival_curves'), ('survival_effects'))
    as tables (name);
insert into scores.churn
    (as_of_date, publication_id, customer_id, churn_probability_90d, churn_percentile_90d,
     churn_risk_band, churn_risk_band_rank, churn_relative_band, score_status, score_reason,
     model_name, model_version, run_id, scored_at)
    select '2011-09-10', 17, 'c' || n,
        case when n < 20 then 0.25 end, case when n < 20 then 50.0 end,
        case when n < 20 then 'low' end, case when n < 20 then 3 end,
        case when n < 20 then '3 middle' end,
        case when n < 20 then 'scored' else 'not_scored' end,
        case when n = 20 then 'too new' end, 'm', 'v', 'r', now()
    from generate_series(1, 20) as n;
insert into scores.churn_reasons
    (as_of_date, publication_id, customer_id, reason_rank, feature, feature_value,
     contribution_log_odds, reason, reason_code, score_status, score_reason, model_name,
     model_version, run_id, scored_at)
    select '2011-09-10', 17, 'c' || n, 1,
        case when n < 20 then 'count_orders' end, case when n < 20 then 3 end,
        case when n < 20 then -0.5 end, case when n < 20 then '3 orders so far' end,
        case when n < 20 then 'orders_often' end,
        case when n < 20 then 'scored' else 'not_scored' end,
        case when n = 20 then 'too new' end, 'm', 'v', 'r', now()
    from generate_series(1, 20) as n;
insert into scores.demand
    (as_of_date, publication_id, product_id, week_start_date, horizon_weeks, demand_units_p10,
     demand_units_p50, demand_units_p90, demand_units_mean, method, score_status, score_reason,
     model_name, model_version, run_id, scored_at)
    select '2011-09-10', 17, 'p' || n, date '2011-09-12' + 7 * (w - 1), w,
        case when n < 3 then 1 end, case when n < 3 then 2 end, case when n < 3 then 4 end,
        case when n < 3 then 2.5 end, case when n < 3 then 'arima' end,
        case when n < 3 then 'scored' else 'not_scored' end,
        case when n = 3 then 'too new' end, 'm', 'v', 'r', now()
    from generate_series(1, 3) as n, generate_series(1, 8) as w;
insert into scores.survival
    (as_of_date, publication_id, customer_id, expected_days_to_next_order, order_probability_30d,
     order_probability_60d, order_probability_90d, order_probability_180d, score_status,
     model_name, model_version, run_id, scored_at)
    select '2011-09-10', 17, 'c' || n, 100, .1, .2, .3, .4, 'scored', 'm', 'v', 'r', now()
    from generate_series(1, 20) as n;
insert into scores.survival_curves
    (as_of_date, publication_id, group_name, day, survival_probability, survival_lower,
     survival_upper, count_at_risk, score_status, model_name, model_version, run_id, scored_at)
    select '2011-09-10', 17, 'all', day, .5, .4, .6, 10, 'scored', 'm', 'v', 'r', now()
    from generate_series(0, 365) as day;
insert into scores.survival_effects
    (as_of_date, publication_id, covariate, description, unit, hazard_ratio, hazard_ratio_lower,
     hazard_ratio_upper, proportional_p_value, score_status, model_name, model_version, run_id,
     scored_at)
    values ('2011-09-10', 17, 'count_orders_90d', 'More.', 'twice as much', 1.3, 1.2, 1.4, .5,
        'scored', 'm', 'v', 'r', now());
-- another publication, wrong in every row: not what the gate is asked about
insert into scores.churn
    (as_of_date, publication_id, customer_id, churn_probability_90d, score_status)
    values ('2011-09-10', 18, 'stranger', 7, 'lost')
"""
ROW_COUNTS = {
    "churn": 20,
    "churn_reasons": 20,
    "demand": 24,
    "survival": 20,
    "survival_curves": 366,
    "survival_effects": 1,
}


@pytest.fixture(autouse=True)
def good_scores(gate_home: Settings) -> None:
    run_as_owner(gate_home, GOOD_SCORES)


def run_as_owner(settings: Settings, statements: str) -> None:
    with connect(settings, "perennial") as connection:
        connection.execute(statements)  # type: ignore[arg-type]


def ask(settings: Settings, question: str, run_id: str = "a run"):
    contract = contracts.load(question)
    row_counts = {table.name: ROW_COUNTS[table.name] for table in contract.tables}
    return gate_scores(settings, contract, AS_OF, PUBLICATION, run_id, row_counts)


@pytest.mark.parametrize("question", ["churn", "demand", "survival"])
def test_good_scores_pass_without_a_warning(gate_home, results, question):
    summary = ask(gate_home, question, f"good {question}")
    assert summary.warnings == []
    rows = results(f"good {question}", "gate", "publication_id", "as_of_date", "success")
    assert rows == [("scores", PUBLICATION, AS_OF, True)] * summary.rule_count


@pytest.mark.parametrize(
    ("table", "fault", "rule"),
    [
        ("churn", "delete from {table} where publication_id = 17", "row_count"),
        ("churn", "delete from {table} where customer_id = 'c3'", "row_count_to_equal"),
        ("churn", "update {table} set customer_id = 'c33' where customer_id = 'c3'",
         "every customer known"),
        ("churn", "update {table} set churn_probability_90d = 1.01 where customer_id = 'c3'",
         "churn_probability_90d.*1 of"),
        ("churn", "update {table} set churn_probability_90d = -0.01 where customer_id = 'c3'",
         "churn_probability_90d.*1 of"),
        ("churn", "update {table} set churn_probability_90d = 'nan' where customer_id = 'c3'",
         "churn_probability_90d.*1 of"),
        ("churn", "update {table} set churn_probability_90d = 'inf' where customer_id = 'c3'",
         "churn_probability_90d.*1 of"),
        ("churn", "update {table} set churn_probability_90d = null where customer_id = 'c3'",
         "churn_probability_90d.*not_be_null"),
        ("churn", "update {table} set churn_risk_band = 'huge' where customer_id = 'c3'",
         "churn_risk_band.*in_set"),
        ("churn", "update {table} set score_status = 'lost' where customer_id = 'c3'",
         "score_status.*in_set"),
        ("churn", "update {table} set score_status = null where customer_id = 'c3'",
         "score_status.*not_be_null"),
        ("churn", "update {table} set score_reason = 'why' where customer_id = 'c3'",
         "score_reason.*be_null"),
        ("churn", "update {table} set score_reason = null where customer_id = 'c20'",
         "score_reason.*not_be_null"),
        ("churn", "update {table} set churn_probability_90d = 0.5 where customer_id = 'c20'",
         "churn_probability_90d.*be_null"),
        ("churn", "alter table {table} rename churn_risk_band to band", "churn_risk_band"),
        ("churn_reasons", "update {table} set reason_rank = 4 where customer_id = 'c3'", "rank"),
        ("churn_reasons", "update {table} set reason = null where customer_id = 'c3'", "reason"),
        ("churn_reasons", "update {table} set reason_code = 'a whim' where customer_id = 'c3'",
         "reason_code.*in_set"),
        ("churn_reasons", "delete from {table} where customer_id = 'c20'", "row_count"),
        ("demand", "update {table} set product_id = 'p4' where product_id = 'p2'",
         "every product known.*2 rows"),
        ("demand", "update {table} set horizon_weeks = 9 where horizon_weeks = 8", "horizon_weeks"),
        ("demand", "update {table} set demand_units_p10 = 3 where product_id = 'p1'",
         "demand_units_p50, demand_units_p10"),
        ("demand", "update {table} set demand_units_p90 = 1 where product_id = 'p1'",
         "demand_units_p90, demand_units_p50"),
        ("demand", "update {table} set demand_units_p10 = -1", "demand_units_p10"),
        ("demand", "update {table} set demand_units_mean = 4.1 where product_id = 'p1'",
         "demand_units_mean is not above its bound"),
        ("survival_curves", "delete from {table}", "row_count"),
        ("survival_curves", "update {table} set survival_lower = 0.7 where day = 9",
         "survival_upper, survival_lower"),
        ("survival_curves", "update {table} set survival_probability = null where day = 9",
         "survival_probability"),
        ("survival_effects", "update {table} set hazard_ratio_lower = 9",
         "hazard_ratio_upper, hazard_ratio_lower"),
        ("survival", "update {table} set expected_days_to_next_order = 366", "expected_days"),
    ],
)  # fmt: skip
def test_a_planted_fault_stops_the_publication(gate_home, table, fault, rule):
    question = table.split("_")[0]
    statement = fault.format(table=f"scores.{table}")
    run_as_owner(gate_home, statement)
    try:
        with pytest.raises(GateFailed, match=rf"scores\.{table}.*{rule}"):
            ask(gate_home, question)
    finally:
        if "rename" in fault:
            run_as_owner(gate_home, "alter table scores.churn rename band to churn_risk_band")


def test_mostly_unscored_rows_warn(gate_home):
    run_as_owner(
        gate_home,
        "update scores.churn set score_status = 'not_scored', score_reason = 'no model',"
        " churn_probability_90d = null, churn_percentile_90d = null, churn_risk_band = null,"
        " churn_risk_band_rank = null, churn_relative_band = null"
        " where customer_id not in ('c1', 'c2')",
    )
    (warning,) = ask(gate_home, "churn").warnings
    assert "score_status" in warning
    assert "18 of 20" in warning
