"""Survival: when a known customer will order again, and how long customers stay away.

Reads   features.customer_snapshots, features.customer_next_orders
Writes  scores.survival          one row per customer_id
        scores.survival_curves   one row per group_name and day
        scores.survival_effects  one row per covariate

Time runs from the date that a customer is looked at, in whole days: an order on that very date has
come within 1 day, and S(t) is the chance that no order comes within t days.
"""
