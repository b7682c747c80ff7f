"""What the network of `deep` reads and learns: order days before a date, and what followed it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

HORIZON_DAYS = 90
EVENTS, FAMILIES = 16, 24  # order days that are read of a customer, and families, at most
WINDOWS_DAYS = (30, 90, 180, 365)
PRIOR_ORDER_DAYS = 3.0  # the shop's shares of families count as so many of a customer
FAR_DAYS = 100_000  # longer than any shop: keys of customer and day


@dataclass
class Rows:
    """Customers on dates, as the network reads them.

    Attributes:
        places: Rows of `Orders.events` of the newest order days, oldest first, shape (n, EVENTS).
        exists: Whether each of them is one, shape (n, EVENTS).
        ago: Logarithm of the days since each, shape (n, EVENTS).
        facts: Recency, age, orders, gaps, amounts, last the own share of each family: (n, n_facts).
        followed: See `Orders.followed`; for a date to be scored, empty.
    """

    places: torch.Tensor
    exists: torch.Tensor
    ago: torch.Tensor
    facts: torch.Tensor
    followed: torch.Tensor

    def at(self, rows: torch.Tensor) -> Rows:
        """Some of the rows."""
        return Rows(*(values[rows] for values in vars(self).values()))

    def __len__(self) -> int:
        return len(self.places)


def joined(parts: list[Rows]) -> Rows:
    """Rows of several dates, one below the other."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Rows(*(torch.cat(column) for column in columns))


class Orders:
    """Order days of all customers, ascending by customer and day; days are counted from the first.

    Attributes:
        ids: Customers with an order, ascending.
        cut: The day that is scored.
        names: The most usual families.
        events: What the encoder reads of each order day, shape (n_order_days, n_values).
        level, spread: Of the logarithms of amounts.
    """

    def __init__(self, days: pd.DataFrame, families: pd.DataFrame, cut: pd.Timestamp) -> None:
        """Keep what came before the cut.

        Args:
            days: Columns customer_id, day_date, count_orders, gross_spend_amount, net_amount.
            families: Columns customer_id, day_date, family.
            cut: Only days before it are read.
        """
        days = days[days["day_date"] < cut].sort_values(["customer_id", "day_date"])
        ordered = days[days["count_orders"] > 0]
        self.ids = np.sort(ordered["customer_id"].unique())
        paid = days[days["customer_id"].isin(self.ids)]
        first = ordered["day_date"].min()
        self.cut = (cut - first).days
        self._key, self._paid_key = (self._keys(frame, first) for frame in (ordered, paid))
        self._paid = _sums(paid["net_amount"].to_numpy(dtype=float))
        who, self._day = np.divmod(self._key, FAR_DAYS)
        self._start = np.searchsorted(who, np.arange(len(self.ids)))
        self._log = np.log(ordered["gross_spend_amount"].astype(float).clip(lower=0.01).to_numpy())
        self.level, self.spread = float(np.median(self._log)), float(self._log.std() + 0.001)
        families = families[families["day_date"] < cut]
        usual = families["family"].value_counts().sort_index().nlargest(FAMILIES, keep="first")
        self.names = usual.index.to_numpy(dtype=object)
        self._has, count = self._families(ordered, families)
        gap = np.diff(self._day, prepend=0).astype(float)
        gap[self._start] = 0
        is_first = np.isin(np.arange(len(gap)), self._start)
        angle = 2 * np.pi * (self._day + first.dayofyear) / 365.25
        columns = [np.log1p(gap) / 3, is_first, (self._log - self.level) / self.spread,
                   np.log1p(count), np.sin(angle), np.cos(angle), self._has]  # fmt: skip
        self.events = torch.from_numpy(np.column_stack(columns).astype(np.float32))
        self._sums = _sums(np.column_stack([self._log, np.exp(self._log), self._has]))

    def _keys(self, frame: pd.DataFrame, first: pd.Timestamp) -> np.ndarray:
        day = (frame["day_date"] - first).dt.days.to_numpy().clip(min=0)
        return np.searchsorted(self.ids, frame["customer_id"]) * FAR_DAYS + day

    def _families(
        self, ordered: pd.DataFrame, families: pd.DataFrame
    ) -> tuple[np.ndarray, np.ndarray]:
        """Whether each order day has each usual family, and its number of families."""
        ids = ["customer_id", "day_date"]
        at = pd.MultiIndex.from_frame(ordered[ids])
        row = at.get_indexer(pd.MultiIndex.from_frame(families[ids]))
        column = pd.Index(self.names).get_indexer(families["family"])
        has = np.zeros((len(at), len(self.names)), dtype=np.float32)
        has[row[(row >= 0) & (column >= 0)], column[(row >= 0) & (column >= 0)]] = 1
        return has, np.bincount(row[row >= 0], minlength=len(at))

    def known(self, who: np.ndarray, day: int) -> np.ndarray:
        """Those of the customers with an order before a day."""
        return who[self._before(who, day) > self._start[who]]

    def rows(self, who: np.ndarray, day: int, *, is_past: bool) -> Rows:
        """What the network reads of customers on a day; each has an order before it."""
        places = self._before(who, day)[:, None] + np.arange(-EVENTS, 0)
        exists = places >= self._start[who][:, None]
        places = np.where(exists, places, 0)
        ago = np.log1p(np.where(exists, day - self._day[places], 0)) / 3
        after = self.followed(who, day) if is_past else np.empty((len(who), 0))
        floats = (values.astype(np.float32) for values in (ago, self._facts(who, day), after))
        return Rows(*map(torch.from_numpy, (places, exists, *floats)))

    def usual_amount(self, who: np.ndarray, day: int) -> np.ndarray:
        """Own mean logarithm of amounts, the shop's level counting once; in spreads from it."""
        end, start = self._before(who, day), self._start[who]
        total = self._sums[end, 0] - self._sums[start, 0] + self.level
        return (total / (end - start + 1) - self.level) / self.spread

    def followed(self, who: np.ndarray, day: int) -> np.ndarray:
        """What the 90 days from a day on brought, shape (n, 4 + n_families).

        Ordered (0 or 1), net spend (at least 0), logarithm of the wait (1 day for that very day),
        logarithm of the amount beside the own usual one, in spreads, and its families.
        """
        spans = (day, day + HORIZON_DAYS)
        begin, end = (self._before(who, at) for at in spans)
        paid = [self._paid[np.searchsorted(self._paid_key, who * FAR_DAYS + at)] for at in spans]
        spend = np.maximum(paid[1] - paid[0], 0)
        first = np.minimum(begin, len(self._key) - 1)  # any, where there was none
        wait = np.log(np.clip(self._day[first] - day + 1, 1, HORIZON_DAYS))
        amount = (self._log[first] - self.level) / self.spread - self.usual_amount(who, day)
        return np.column_stack([end > begin, spend, wait, amount, self._has[first]])

    def _before(self, who: np.ndarray, day: int) -> np.ndarray:
        """Place after each customer's last order day before a day."""
        return np.searchsorted(self._key, who * FAR_DAYS + day)

    def _facts(self, who: np.ndarray, day: int) -> np.ndarray:
        end, start = self._before(who, day), self._start[who]
        count = (end - start).astype(float)
        recency, age = day - self._day[end - 1], day - self._day[start]
        gap = (age - recency) / np.maximum(count - 1, 1)
        columns = [np.log1p(recency) / 3, np.log1p(age) / 3, np.log(count), np.log1p(gap) / 3,
                   count == 1, self.usual_amount(who, day)]  # fmt: skip
        for window in WINDOWS_DAYS:
            since = np.maximum(self._before(who, day - window), start)
            spent = np.maximum(self._sums[end, 1] - self._sums[since, 1], 0)
            columns += [np.log1p(end - since), np.log1p(spent / np.exp(self.level))]
        prior = PRIOR_ORDER_DAYS * self._has.mean(axis=0)
        had = self._sums[end, 2:] - self._sums[start, 2:] + prior
        return np.column_stack([*columns, had / (count + PRIOR_ORDER_DAYS)[:, None]])


def _sums(values: np.ndarray) -> np.ndarray:
    """Sums of all rows before each place."""
    return np.concatenate([np.zeros_like(values[:1]), values.cumsum(axis=0)])
