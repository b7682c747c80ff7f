"""What a chance of an order is learnt from: enough customers who came back, and who did not."""

from __future__ import annotations

import pandas as pd

from ml_tasks.customers.known import count_kinds

# So many snapshots must have ordered, and so many not, before anything can be learnt.
MIN_ROWS_OF_A_KIND = 30


def is_learnable(labelled: pd.DataFrame) -> bool:
    """Whether enough snapshots were followed by an order, and enough by none."""
    return min(count_kinds(labelled)) >= MIN_ROWS_OF_A_KIND
