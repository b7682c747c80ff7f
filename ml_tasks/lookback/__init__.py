"""Lookback: past scores compared with what happened, once their horizon has passed.

Reads   scores.*, ops.publications, features.customer_snapshots, features.product_weeks,
        intermediate.int_customer_days, marts.fct_demand_weekly
Writes  scores.lookback   one row per question, scored_date, horizon_days, metric and slice

It is not a question, but is published like one. Its as_of_date is the date of knowledge: a score is
compared on the first date by which its whole horizon has passed.
"""
