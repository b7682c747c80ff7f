"""The CDNOW sample: our parameters beside the published ones, and the weeks that followed.

`python -m benchmarks.cdnow [CDNOW_sample.txt]`. In weeks, calibrated until 1997-09-30 as in the
papers.

Source:
    Fader, Hardie and Lee (2005), Marketing Science 24:275-284; Fader and Hardie (2013), "The
    Gamma-Gamma model of monetary value".
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.data import SHARED
from benchmarks.results import keep_part
from ml_tasks.customers.probability import bg_nbd, gamma_gamma, pareto_nbd

CDNOW = SHARED / "cdnow" / "CDNOW_sample.txt"
CALIBRATION_END = pd.Timestamp("1997-09-30")
HOLDOUT_WEEKS = 39
MODELS = {"BG/NBD": bg_nbd, "Pareto/NBD": pareto_nbd, "Gamma-Gamma": gamma_gamma}
PUBLISHED = {
    "BG/NBD": {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    "Pareto/NBD": {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669},
    "Gamma-Gamma": {"p": 6.25, "q": 3.74, "gamma": 15.44},
}
# Relative tolerance: rounding of the printed digits, plus a little for the papers' optimiser.
TOLERANCE = 0.002


def order_days(path: Path) -> pd.DataFrame:
    """One row per customer and date with an order: customer, date, amount."""
    lines = pd.read_csv(path, sep=r"\s+", names=["master", "customer", "date", "discs", "amount"])
    lines["date"] = pd.to_datetime(lines["date"].astype(str))
    return lines.groupby(["customer", "date"], as_index=False)["amount"].sum()


def histories(days: pd.DataFrame) -> pd.DataFrame:
    """Histories at the end of the calibration: columns of `probability.rfm`, in weeks."""
    days = days[days["date"] <= CALIBRATION_END]
    first = days.groupby("customer")["date"].transform("min")
    dates = days.groupby("customer")["date"].agg(["min", "max", "size"])
    repeat_amount = days[days["date"] > first].groupby("customer")["amount"].mean()
    return pd.DataFrame(
        {
            "count_repeats": dates["size"] - 1,
            "recency": (dates["max"] - dates["min"]).dt.days / 7,
            "age": (CALIBRATION_END - dates["min"]).dt.days / 7,
            "mean_repeat_amount": repeat_amount.reindex(dates.index).fillna(0.0),
        }
    )


def main(path: Path = CDNOW) -> int:
    """Print the table; return 1 if a parameter differs from the published one."""
    if not path.exists():
        Console().print(f"the CDNOW sample is not at {path}, left out")
        return 0
    days = order_days(path)
    known = histories(days)
    ends = CALIBRATION_END + pd.Timedelta(weeks=HOLDOUT_WEEKS)
    happened = ((days["date"] > CALIBRATION_END) & (days["date"] <= ends)).sum()
    table = Table(title=f"{len(known):,} customers; {happened:,} order days in the next 39 weeks")
    for heading in ("", "published", "found", "expected order days"):
        table.add_column(heading, justify="right" if heading else "left")
    is_good = True
    for name, published in PUBLISHED.items():
        model = MODELS[name].fit(known)
        fitted = asdict(model)
        is_of_orders = MODELS[name] is not gamma_gamma
        expected = model.expected_orders(known, HOLDOUT_WEEKS).sum() if is_of_orders else None
        table.add_row(
            name,
            ", ".join(f"{parameter} {value:g}" for parameter, value in published.items()),
            ", ".join(f"{parameter} {fitted[parameter]:.4g}" for parameter in published),
            "–" if expected is None else f"{expected:,.0f}",
        )
        is_good &= all(
            abs(fitted[parameter] / value - 1) <= TOLERANCE
            for parameter, value in published.items()
        )
    Console().print(table)
    keep_part("cdnow", "CDNOW", table)
    return int(not is_good)


if __name__ == "__main__":
    raise SystemExit(main(*(Path(argument) for argument in sys.argv[1:2])))
