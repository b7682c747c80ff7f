"""The judge: the same figures for everybody, from what was predicted and what then happened.

Pure: frames in, figures out. A figure that can't be told is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ml_tasks.shared import metrics

HORIZON_DAYS = 90
HORIZON_WEEKS = 8
SURVIVAL_DAYS = (30, 60, 90, 180)
CALIBRATED_DAYS = (30, 90, 180)
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}
# What a forecast is judged on, as in facts of the field: products that matter and sell often.
COUNT_PRODUCTS = 1_000
REVENUE_WEEKS = 13
SOLD_WEEKS, OF_WEEKS = 26, 52

Figures = dict[str, float]


# Customers ----------------------------------------------------------------------------------


def known_customers(days: pd.DataFrame, cut: pd.Timestamp) -> pd.Index:
    """Customers with an order before a cut, ascending."""
    is_past = (days["day_date"] < cut) & (days["count_orders"] > 0)
    return pd.Index(np.sort(days.loc[is_past, "customer_id"].unique()), name="customer_id")


def outcomes(
    days: pd.DataFrame, customers: pd.Index, cut: pd.Timestamp, horizon_days: int
) -> pd.DataFrame:
    """What each customer did in [cut, cut + horizon): orders, and net spend, at least 0."""
    end = cut + pd.Timedelta(days=horizon_days)
    window = days[(days["day_date"] >= cut) & (days["day_date"] < end)]
    sums = window.groupby("customer_id")[["count_orders", "net_amount"]].sum()
    return sums.reindex(customers, fill_value=0).clip(lower=0).astype(float)


def base_rates(days: pd.DataFrame, cut: pd.Timestamp, horizon_days: int) -> tuple[float, float]:
    """Share who ordered, and mean spend, of the last horizon known at a cut.

    What an unscored customer counts as.
    """
    start = cut - pd.Timedelta(days=horizon_days)
    happened = outcomes(days, known_customers(days, start), start, horizon_days)
    if happened.empty:
        return 0.5, 0.0
    return float((happened["count_orders"] > 0).mean()), float(happened["net_amount"].mean())


def churn(said: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp) -> pd.DataFrame:
    """Figures of each model's chance of an order in the next 90 days.

    Args:
        said: model, customer_id, order_probability; perhaps `rank`, which AUC takes instead.
        days: customer_id, day_date, count_orders, net_amount; all that ever happened.
        cut: First day of the 90.

    Returns:
        A row per model: auc, calibration_error, brier_skill (over the share that happened),
        unscored (count).
    """
    customers = known_customers(days, cut)
    event = outcomes(days, customers, cut, HORIZON_DAYS)["count_orders"].to_numpy() > 0
    base_rate, _ = base_rates(days, cut, HORIZON_DAYS)
    rows = {}
    for model, frame in said.groupby("model"):
        aligned = frame.set_index("customer_id").reindex(customers)
        chance = aligned["order_probability"]
        probability = chance.fillna(base_rate).to_numpy()
        is_ranked = "rank" in aligned and aligned["rank"].notna().all()
        rank = aligned["rank"].to_numpy() if is_ranked else probability
        brier = np.mean((probability - event) ** 2)
        rows[model] = {
            "auc": metrics.auc(event, rank),
            "calibration_error": metrics.calibration_error(event, probability),
            "brier_skill": 1 - brier / (event.mean() * (1 - event.mean())),
            "unscored": float(chance.isna().sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def clv(
    said: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp, horizon_days: int
) -> pd.DataFrame:
    """Figures of each model's net spend.

    Args:
        said: model, customer_id, spend (mean); perhaps spend_p50, and spend_p10 and spend_p90.
        days: All that ever happened.
        cut: First day of the horizon.
        horizon_days: 90 or 365.

    Returns:
        A row per model: gini (of the mean), mae (of the median, of the mean where there is none),
        total_error (of the means), coverage (of the 80 % band), unscored (count).
    """
    customers = known_customers(days, cut)
    amount = outcomes(days, customers, cut, horizon_days)["net_amount"].to_numpy()
    _, base_amount = base_rates(days, cut, horizon_days)
    rows = {}
    for model, frame in said.groupby("model"):
        aligned = frame.set_index("customer_id").reindex(customers)
        spend = aligned["spend"].fillna(base_amount).to_numpy()
        rows[model] = {
            "gini": metrics.normalised_gini(amount, spend),
            "mae": float(np.mean(np.abs(_column(aligned, "spend_p50", spend) - amount))),
            "total_error": metrics.total_error(amount, spend),
            "coverage": _coverage(aligned, "spend_p10", "spend_p90", amount),
            "unscored": float(aligned["spend"].isna().sum()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _column(aligned: pd.DataFrame, name: str, otherwise: np.ndarray) -> np.ndarray:
    if name not in aligned or aligned[name].isna().all():
        return otherwise
    return aligned[name].fillna(pd.Series(otherwise, aligned.index)).to_numpy()


def _coverage(aligned: pd.DataFrame, lower: str, upper: str, actual: np.ndarray) -> float:
    """Share of the actual values inside [lower, upper], of those that were given a band."""
    if not {lower, upper} <= set(aligned.columns):
        return float("nan")
    low, high = aligned[lower].to_numpy(dtype=float), aligned[upper].to_numpy(dtype=float)
    given = np.isfinite(low) & np.isfinite(high)
    if not given.any():
        return float("nan")
    return float(np.mean((actual >= low)[given] & (actual <= high)[given]))


def survival(
    said: pd.DataFrame, days: pd.DataFrame, cut: pd.Timestamp, known_days: int
) -> pd.DataFrame:
    """Figures of each model's time to the next order.

    Args:
        said: model, customer_id, wait (longer: later), s30, s60, s90, s180 (chance of no order by
            then; a model that only ranks leaves them out).
        days: All that ever happened.
        cut: Day 1 of the wait.
        known_days: So many days after the cut are known; all customers are watched for 365, 180
            or 90 of them, as far as known, so that censoring is the same for all.

    Returns:
        A row per model: concordance (Harrell), integrated_brier (to 180 days, or as far as known,
        constant hazard between the four days), error_30d, error_90d, error_180d (calibration error
        over ten equal-count bins), unscored (count).
    """
    customers = known_customers(days, cut)
    watched = max((n for n in (365, 180, 90) if n <= known_days), default=known_days)
    wait, is_ordered = waits(days, customers, cut, watched)
    base_rate, _ = base_rates(days, cut, HORIZON_DAYS)
    hazard = -np.log(max(1 - base_rate, 1e-6)) / HORIZON_DAYS
    rows = {}
    for model, frame in said.groupby("model"):
        aligned = frame.set_index("customer_id").reindex(customers)
        rank = aligned["wait"].fillna(aligned["wait"].median()).fillna(0).to_numpy()
        figures = {"concordance": concordance(wait, is_ordered, rank)}
        if "s90" in aligned:
            alive = np.column_stack(
                [aligned[f"s{day}"].fillna(np.exp(-hazard * day)) for day in SURVIVAL_DAYS]
            )
            figures["integrated_brier"] = integrated_brier(wait, is_ordered, alive, watched)
            for day in CALIBRATED_DAYS:
                if day <= watched:
                    happened = is_ordered & (wait <= day)
                    chance = 1 - alive[:, SURVIVAL_DAYS.index(day)]
                    figures[f"error_{day}d"] = metrics.calibration_error(happened, chance)
        rows[model] = figures | {"unscored": float(aligned["wait"].isna().sum())}
    return pd.DataFrame.from_dict(rows, orient="index")


def waits(
    days: pd.DataFrame, customers: pd.Index, cut: pd.Timestamp, watched: int
) -> tuple[np.ndarray, np.ndarray]:
    """Day of each customer's next order (the cut is day 1), and whether it came while watched."""
    later = days[(days["day_date"] >= cut) & (days["count_orders"] > 0)]
    first = later.groupby("customer_id")["day_date"].min().reindex(customers)
    wait = ((first - cut).dt.days + 1).to_numpy(dtype=float)
    is_ordered = np.isfinite(wait) & (wait <= watched)
    return np.where(is_ordered, wait, watched), is_ordered


def concordance(wait: np.ndarray, is_ordered: np.ndarray, rank: np.ndarray) -> float:
    """Harrell's c: of the pairs whose order is known, how many are ranked so; ties count half.

    Source:
        Harrell, Lee and Mark (1996), Statistics in Medicine 15:361-387.
    """
    from lifelines.utils import concordance_index

    return float(concordance_index(wait, rank, is_ordered))


def integrated_brier(
    wait: np.ndarray, is_ordered: np.ndarray, alive: np.ndarray, watched: int
) -> float:
    """Mean Brier score of S(t) over t = 1..180 or as far as watched; nobody is censored by then.

    Args:
        wait: Shape (n,), days.
        is_ordered: Shape (n,).
        alive: S at SURVIVAL_DAYS, shape (n, 4).
        watched: Days.

    Source:
        Graf and others (1999), Statistics in Medicine 18:2529-2545.
    """
    end = min(watched, SURVIVAL_DAYS[-1])
    logs = np.log(np.clip(np.column_stack([np.ones(len(alive)), alive]), 1e-12, 1))
    knots = np.array([0, *SURVIVAL_DAYS])
    total = 0.0
    for day in range(1, end + 1):
        right = int(np.searchsorted(knots, day))
        share = (day - knots[right - 1]) / (knots[right] - knots[right - 1])
        survival = np.exp((1 - share) * logs[:, right - 1] + share * logs[:, right])
        still_away = ~(is_ordered & (wait <= day))
        total += float(np.mean((still_away - survival) ** 2))
    return total / end


# Products -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """The products that a forecast is judged on at one origin.

    Attributes:
        product_ids: Ascending.
        weight: Share of the revenue of the 13 weeks before.
        mean_square_step: Mean squared one-week change from the first sale to the origin.
        mean_step: Mean absolute one, the same weeks.
        actual: Units of the 8 weeks, shape (n, 8).
    """

    product_ids: pd.Index
    weight: np.ndarray
    mean_square_step: np.ndarray
    mean_step: np.ndarray
    actual: np.ndarray


def panel(weeks: pd.DataFrame, origin: pd.Timestamp) -> Panel:
    """The products judged at an origin: see COUNT_PRODUCTS, and what happened to them.

    Args:
        weeks: product_id, week_start_date, sold_units, sold_amount; all that ever happened, zeros
            included or not.
        origin: A Monday, the first day of the first week forecast.
    """
    units = _wide(weeks, "sold_units")
    amount = _wide(weeks, "sold_amount")
    step = pd.Timedelta(weeks=1)
    end = origin + HORIZON_WEEKS * step
    calendar = pd.date_range(units.columns.min(), end - step, freq="W-MON")
    units = units.reindex(columns=calendar, fill_value=0.0).fillna(0.0)
    amount = amount.reindex(columns=calendar, fill_value=0.0).fillna(0.0)
    past = units.loc[:, calendar < origin]
    revenue = amount.loc[:, (calendar >= origin - REVENUE_WEEKS * step) & (calendar < origin)]
    revenue = revenue.sum(axis=1)
    is_often = (past.iloc[:, -OF_WEEKS:] > 0).sum(axis=1) >= min(SOLD_WEEKS, past.shape[1] // 2)
    chosen = revenue[is_often & (revenue > 0)].sort_values(ascending=False, kind="stable")
    chosen_ids = chosen.head(COUNT_PRODUCTS).index.sort_values()
    known = past.loc[chosen_ids].to_numpy()
    known = np.where(np.cumsum(known, axis=1) > 0, known, np.nan)
    steps = np.diff(known, axis=1)
    mean_square, mean_absolute = np.nanmean(steps**2, axis=1), np.nanmean(np.abs(steps), axis=1)
    told = mean_absolute > 0
    ids = chosen_ids[told]
    return Panel(
        ids,
        (revenue[ids] / revenue[ids].sum()).to_numpy(),
        mean_square[told],
        mean_absolute[told],
        units.loc[ids, (calendar >= origin)].to_numpy(),
    )


def _wide(weeks: pd.DataFrame, column: str) -> pd.DataFrame:
    return weeks.pivot(index="product_id", columns="week_start_date", values=column).sort_index()


def demand(said: pd.DataFrame, weeks: pd.DataFrame, origin: pd.Timestamp) -> pd.DataFrame:
    """Figures of each model's forecast of 8 weeks; a product without one counts as 0 units.

    Args:
        said: model, product_id, week_start_date, mean, p10, p50, p90.
        weeks: All that ever happened.
        origin: First day of the first week.

    Returns:
        A row per model: wrmsse and mase (of the median), bias (total of the means over
        the actual total, less 1), coverage (of 80 % bands), pinball (mean of three quantiles, each
        product's divided by mean_step as in MASE), unscored (count of products).

    Source:
        Makridakis, Spiliotis and Assimakopoulos (2022), doi 10.1016/j.ijforecast.2021.11.013;
        weights and scales are those of this origin.
    """
    judged = panel(weeks, origin)
    return pd.DataFrame.from_dict(
        {model: _forecast(frame, judged, origin) for model, frame in said.groupby("model")},
        orient="index",
    )


def _forecast(frame: pd.DataFrame, judged: Panel, origin: pd.Timestamp) -> Figures:
    calendar = pd.date_range(origin, periods=HORIZON_WEEKS, freq="7D")
    frame = frame[frame["product_id"].isin(judged.product_ids)]
    wide = {
        name: frame.pivot(index="product_id", columns="week_start_date", values=name)
        .reindex(index=judged.product_ids, columns=calendar)
        .to_numpy(dtype=float)
        for name in ("mean", *QUANTILES)
    }
    unscored = np.isnan(wide["mean"]).any(axis=1)
    mean = np.nan_to_num(wide["mean"])
    median = np.nan_to_num(wide["p50"])
    rmsse = np.sqrt(np.mean((median - judged.actual) ** 2, axis=1) / judged.mean_square_step)
    error = np.mean(np.abs(median - judged.actual), axis=1)
    has_band = np.isfinite(wide["p10"]).any() and np.isfinite(wide["p90"]).any()
    low, high = np.nan_to_num(wide["p10"]), np.nan_to_num(wide["p90"])
    inside = (judged.actual >= low) & (judged.actual <= high)
    losses = [
        np.mean(pinball(judged.actual, np.nan_to_num(wide[name]), level), axis=1)
        for name, level in QUANTILES.items()
    ]
    return {
        "wrmsse": float(np.sum(judged.weight * rmsse)),
        "mase": float(np.mean(error / judged.mean_step)),
        "bias": metrics.total_error(judged.actual, mean),
        "coverage": float(inside.mean()) if has_band else float("nan"),
        "pinball": (
            float(np.mean(np.mean(losses, axis=0) / judged.mean_step)) if has_band else float("nan")
        ),
        "unscored": float(unscored.sum()),
    }


def pinball(actual: np.ndarray, quantile: np.ndarray, level: float) -> np.ndarray:
    """Loss of a quantile forecast, elementwise: what it is below costs `level` a unit."""
    return np.maximum(level * (actual - quantile), (level - 1) * (actual - quantile))


# Comparing ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Ours against one peer on one figure, over the cuts where both have it.

    Attributes:
        wins: Cuts at which ours is better.
        losses: Cuts at which the peer is better.
        difference: Mean by which ours is better, in the figure's unit; negative: worse.
        spread: Standard deviation of that difference over the cuts; NaN for a single cut.
        verdict: `win` or `loss`; `tie` if the difference is smaller than its spread.
    """

    wins: int
    losses: int
    difference: float
    spread: float
    verdict: str


def compare(ours: Mapping[str, float], peer: Mapping[str, float], better: str) -> Comparison:
    """Compare cut by cut.

    Args:
        ours: Cut -> figure.
        peer: The same of the peer.
        better: `high`, `low`, or `near` a target, as `near 0` or `near 0.8`.
    """
    shared = [cut for cut in ours if np.isfinite(ours[cut]) and np.isfinite(peer.get(cut, np.nan))]
    differences = np.array([goodness(ours[cut], better) - goodness(peer[cut], better)
                            for cut in shared])  # fmt: skip
    if not shared:
        return Comparison(0, 0, float("nan"), float("nan"), "")
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(shared) > 1 else float("nan")
    is_tie = mean == 0 or (len(shared) > 1 and abs(mean) < spread)
    verdict = "tie" if is_tie else "win" if mean > 0 else "loss"
    return Comparison(
        int((differences > 0).sum()), int((differences < 0).sum()), mean, spread, verdict
    )


def goodness(value: float, better: str) -> float:
    """The figure turned so that more is better."""
    match better.split():
        case ["high"]:
            return value
        case ["low"]:
            return -value
        case ["near", target]:
            return -abs(value - float(target))
    raise ValueError(f"{better!r} is none of high, low, near <target>")
