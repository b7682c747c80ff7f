"""Orders or refunds, with their lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Events:
    """Orders or refunds with their lines.

    Attributes:
        heads: One row an order or refund, in order of time. Columns time (days since the opening),
            customer (position in the truth; -1: a guest), country; for refunds also order_id (the
            refunded order).
        lines: One row a line, in order of head. Columns head (position in `heads`), product
            (position in the catalogue; -1: postage), units, price_pence.
    """

    heads: pd.DataFrame
    lines: pd.DataFrame

    def take(self, chosen: np.ndarray) -> Events:
        """Select heads by a mask of shape (n_heads,), with their lines."""
        position = np.cumsum(chosen) - 1
        lines = self.lines[chosen[self.lines["head"].to_numpy()]]
        return Events(
            self.heads[chosen].reset_index(drop=True),
            lines.assign(head=position[lines["head"].to_numpy()]).reset_index(drop=True),
        )
