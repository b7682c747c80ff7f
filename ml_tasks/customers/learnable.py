"""Whether labelled snapshots suffice to learn the probability of an order."""

from __future__ import annotations

import pandas as pd

from ml_tasks.customers.known import count_kinds

# Least number of snapshots with, and of snapshots without, a later order.
MIN_ROWS_OF_A_KIND = 30


def is_learnable(labelled: pd.DataFrame) -> bool:
    """Whether enough snapshots were followed by an order, and enough were not.

    Args:
        labelled: Column outcome_count_orders.
    """
    return min(count_kinds(labelled)) >= MIN_ROWS_OF_A_KIND
