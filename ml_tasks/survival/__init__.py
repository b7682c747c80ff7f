"""Survival: days until a known customer's next order, and how long customers stay away.

Reads   features.customer_snapshots, features.customer_next_orders
Writes  scores.survival          one row per customer_id
        scores.survival_curves   one row per group_name and day
        scores.survival_effects  one row per covariate

Time is counted in whole days from the date of the snapshot. An order on that date is an order
within 1 day. S(t) is the probability of no order within t days.
"""
