"""Three sentences on what sets a segment apart, the most telling first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ml_tasks.segments.facts import FREQUENCY, MONEY, RECENCY, Scale

NOBODY = ["No customer is in it on this date.", None, None]


def sentences(part: pd.DataFrame, whole: pd.DataFrame, scale: Scale) -> list[str | None]:
    """Three sentences on recency, frequency and money against the whole shop.

    They are in the order of how far the segment's mean is from the shop's, in standard deviations
    of the training date.

    Args:
        part: The segment's customers; columns FACTS.
        whole: All customers; columns FACTS.
        scale: Of the model.

    Returns:
        Three sentences; one sentence and None, None if nobody is in the segment.
    """
    if part.empty:
        return list(NOBODY)
    apart = np.abs(scale.points(part).mean(axis=0) - scale.points(whole).mean(axis=0))
    said = [
        _on_recency(part[RECENCY].median(), whole[RECENCY].median()),
        _on_frequency(part[FREQUENCY].mean(), whole[FREQUENCY].mean()),
        _on_money(part[MONEY], whole[MONEY]),
    ]
    return [said[number] for number in np.argsort(-apart, kind="stable")]


def _on_recency(days: float, of_all: float) -> str:
    return (
        f"Half of them ordered within the last {days:.0f} days;"
        f" of all customers, half did within {of_all:.0f} days."
    )


def _on_frequency(order_days: float, of_all: float) -> str:
    return (
        f"They have ordered on {order_days:.1f} days on average,"
        f" {_against(order_days, of_all)} ({of_all:.1f})."
    )


def _on_money(spend: pd.Series, of_all: pd.Series) -> str:
    mean, overall = float(spend.mean()), float(of_all.mean())
    share = f" and {_percent(spend.sum() / of_all.sum())} of all that was spent" if overall else ""
    return f"They have spent {mean:,.0f} each, {_against(mean, overall)} ({overall:,.0f}){share}."


def _against(value: float, of_all: float) -> str:
    """A comparison with the mean of all customers.

    Example:
        >>> _against(6.2, 2.0), _against(2.0, 2.0), _against(0.5, 2.0)
        ('3.1 times the mean of all', 'about the mean of all', '75 % below the mean of all')
    """
    ratio = value / of_all if of_all > 0 else 1.0
    if ratio >= 2:
        return f"{ratio:.1f} times the mean of all"
    if abs(ratio - 1) < 0.05:
        return "about the mean of all"
    return f"{_percent(abs(ratio - 1))} {'above' if ratio > 1 else 'below'} the mean of all"


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"
