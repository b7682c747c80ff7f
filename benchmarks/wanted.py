"""The goals of each question on every shop, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.judge import BETTER, decide, goodness
from benchmarks.judge.calibration import NOT_BY_CHANCE
from benchmarks.judge.verdicts import holm
from benchmarks.judge.waits import CALIBRATED_DAYS
from benchmarks.tables import OURS, best_on_average, by_cut, number, peers_of

LEAST_CALIBRATION_ERROR = 0.03
COMBINED = ("median_of_all",)  # demand's peers that are no single method
ITEMS_TOLD = 4


@dataclass(frozen=True)
class Goal:
    """A goal, whether it is met (None: unknown), and the figures that decide."""

    wanted: str
    is_met: bool | None
    figures: str


def churn(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """Ranking, Brier, calibration; `rows` and `verdicts` are of one shop."""
    return [
        never_worse(verdicts, "auc", "AUC never significantly below a peer's"),
        on_average(rows, "auc", "AUC above the best peer's on average"),
        never_worse(verdicts, "brier", "Brier never significantly worse than a peer's"),
        on_average(rows, "brier", "Brier below every peer's on average"),
        calibrated(rows, "calibration_error", "calibration"),
    ]


def clv(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """Ranking, total, median, probability and bands."""
    of_medians = like_with_like(rows, "mae")
    of_medians = of_medians[of_medians["model"] != "all_zero"]
    of_nothing = rows[rows["model"].isin([OURS, "all_zero"])]
    return [
        never_worse(verdicts, "gini", "Gini never significantly below a peer's"),
        total(rows, "within ±15 % at two thirds of the dates and ±25 % at all"),
        on_average(of_medians, "mae", "MAE at most that of the best peer's median", "level"),
        on_average(of_nothing, "mae", "MAE at most that of all zero", "level"),
        calibrated(rows, "spend_calibration", "calibration of the chance of any spend"),
        uniform(rows),
    ]


def clv_90(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """As `clv`, plus the quantiles given spend."""
    wanted = "quantiles given spend hold 75-85 % of those who buy"
    return [*clv(rows, verdicts), within(rows, "coverage_if_buying", wanted)]


def survival(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """Ranking and Brier beside Cox's and Pareto/NBD's, calibration."""
    named = ("cox", "pareto_nbd")
    beside = rows[rows["model"].isin([OURS, *named])]
    return [
        never_worse(verdicts, "concordance", "concordance not below Cox's or Pareto/NBD's", named),
        on_average(beside, "concordance", "concordance above both on average"),
        never_worse(verdicts, "integrated_brier", "Brier not above Cox's or Pareto/NBD's", named),
        on_average(beside, "integrated_brier", "integrated Brier below both on average"),
        *(calibrated(rows, f"error_{day}d", f"calibration at {day} days")
          for day in CALIBRATED_DAYS),
    ]  # fmt: skip


def stages(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """Log loss and Brier below every peer's, calibration of all stages and of each."""
    return [
        never_worse(verdicts, "log_loss", "log loss never significantly above a peer's"),
        on_average(rows, "log_loss", "log loss below every peer's on average"),
        never_worse(verdicts, "brier", "Brier never significantly worse than a peer's"),
        on_average(rows, "brier", "Brier below every peer's on average"),
        at_most(rows, "calibration", 0.02, "mean calibration error of the stages"),
        at_most(rows, "worst_calibration", 0.03, "calibration error of each stage"),
    ]


def segments(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """Use beside k-means 4 on plain logs, stability, movement, size."""
    plain = "kmeans_4"
    beside = rows[rows["model"].isin([OURS, plain])]
    return [
        never_worse(verdicts, "spend_r2", f"R² never significantly below {plain}'s", [plain]),
        on_average(beside, "spend_r2", f"R² above {plain}'s on average"),
        at_least(rows, "stability", 0.9, "stability"),
        at_least(rows, "lowest_stability", 0.75, "lowest stability"),
        at_most(rows, "weekly_change", 0.03, "change a week"),
        at_least(rows, "smallest_share", 0.05, "share of the smallest segment"),
    ]


def next_order(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """Date, amount and families beside every peer, intervals, total."""
    parts = (("log_days_error", "the date"), ("log_amount_error", "the amount"))
    return [
        *(goal for figure, name in parts for goal in (
            never_worse(verdicts, figure, f"error of {name} never significantly above a peer's"),
            on_average(rows, figure, f"error of {name} below every peer's on average"),
        )),
        never_worse(verdicts, "precision_at_3", "families never significantly worse than a peer's"),
        on_average(rows, "precision_at_3", "precision of families above every peer's on average"),
        within(rows, "date_coverage", "80 % intervals of the date that hold 75-85 %"),
        within(rows, "amount_coverage", "80 % intervals of the amount that hold 75-85 %"),
        total(rows, "of the mean within ±15 %"),
    ]  # fmt: skip


def at_most(rows: pd.DataFrame, figure: str, bound: float, name: str) -> Goal:
    """Our figure stays at or below a bound at every cut."""
    return _bounded(rows, figure, f"{name} at most {number(bound, 2)}", lambda of: of <= bound)


def at_least(rows: pd.DataFrame, figure: str, bound: float, name: str) -> Goal:
    """Our figure stays at or above a bound at every cut."""
    return _bounded(rows, figure, f"{name} at least {number(bound, 2)}", lambda of: of >= bound)


def _bounded(
    rows: pd.DataFrame, figure: str, wanted: str, is_within: Callable[[pd.Series], pd.Series]
) -> Goal:
    known = published(rows, figure, wanted)
    if isinstance(known, Goal):
        return known
    items = [f"{cut} {value:.3f}" for cut, value in known[~is_within(known)].items()]
    figures = f"{known.mean():.3f} on average"
    return Goal(wanted, not items, figures + (f"; missed at {_some(items)}" if items else ""))


def demand(rows: pd.DataFrame, verdicts: pd.DataFrame) -> list[Goal]:
    """WRMSSE, MASE, total, bands."""
    del verdicts
    single = rows[~rows["model"].isin(COMBINED)]
    return [
        *(on_average(single, figure, f"{figure.upper()} below the best single peer's on average")
          for figure in ("wrmsse", "mase")),
        *(near_the_best(rows, figure) for figure in ("wrmsse", "mase")),
        total(rows, "within ±15 %"),
        within(rows, "coverage", "80 % bands that hold 75-85 %"),
    ]  # fmt: skip


def like_with_like(rows: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Our rows and comparable peers': an MAE is compared with that of medians only."""
    if measure != "mae":
        return rows
    return rows[(rows["mae_of"] == "median") | (rows["model"] == OURS)]


def published(rows: pd.DataFrame, figure: str, wanted: str) -> pd.Series | Goal:
    """Our figure by cut. Where only peers have it, the goal is not met."""
    known = rows.dropna(subset=figure) if figure in rows else rows[:0]
    ours = known[known["model"] == OURS]
    if ours.empty:
        is_met = None if known.empty else False
        return Goal(wanted, is_met, "not known" if known.empty else "not published")
    return ours.set_index("cut")[figure]


def never_worse(
    verdicts: pd.DataFrame, measure: str, wanted: str, peers: Sequence[str] = ()
) -> Goal:
    """No `worse` in a paired bootstrap, after Holm's correction over cuts and peers."""
    of_measure = verdicts[verdicts["measure"] == measure] if len(verdicts) else verdicts
    if peers and len(of_measure):
        of_measure = decide(of_measure[of_measure["peer"].isin(peers)], ["measure"])
    if of_measure.empty:
        return Goal(wanted, None, "not known")
    counts = of_measure["verdict"].value_counts()
    worse = of_measure[of_measure["verdict"] == "worse"].sort_values("difference")
    items = [f"{one['peer']} at {one['cut']} ({one['difference']:+.3f})"
             for one in worse.to_dict("records")]  # fmt: skip
    figures = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("better", "tie", "worse"))
    return Goal(wanted, worse.empty, figures + (f": {_some(items)}" if items else ""))


def on_average(rows: pd.DataFrame, measure: str, wanted: str, at: str = "") -> Goal:
    """Ours beats the peer that is best on average; with at="level", a draw is enough."""
    table = by_cut(rows, measure) if measure in rows else pd.DataFrame()
    if OURS not in table or table[OURS].isna().all() or peers_of(table).empty:
        return Goal(wanted, None, "not known")
    best = best_on_average(table, BETTER[measure])
    both = table[[OURS, best]].dropna()
    if both.empty:
        return Goal(wanted, None, f"{best} and ours have no cut in common")
    ours, theirs = both[OURS].mean(), both[best].mean()
    ahead = both.map(lambda value: goodness(value, BETTER[measure]))
    apart = goodness(ours, BETTER[measure]) - goodness(theirs, BETTER[measure])
    digits = {"mae": 1, "brier": 4, "integrated_brier": 4}.get(measure, 3)
    figures = (
        f"{number(ours, digits)} against {number(theirs, digits)} of {best}; ahead at "
        f"{(ahead[OURS] > ahead[best]).sum()} of {len(both)}"
    )
    return Goal(wanted, bool(apart >= 0 if at == "level" else apart > 0), figures)


def calibrated(rows: pd.DataFrame, figure: str, name: str) -> Goal:
    """At every cut at most .03, or a perfect model's 95 % point where that is larger."""
    wanted = f"{name}: error at most .03, or a perfect model's 95 % point where that is more"
    known = published(rows, figure, wanted)
    if isinstance(known, Goal):
        return known
    limit = rows[rows["model"] == OURS].set_index("cut")[f"{figure}_limit"]
    bound = limit[known.index].clip(lower=LEAST_CALIBRATION_ERROR)
    over = known.index[known > bound]
    items = [f"{cut} {known[cut]:.3f} (bound {bound[cut]:.3f})" for cut in over]
    figures = f"{known.mean():.3f} on average"
    return Goal(wanted, not items, figures + (f"; over at {_some(items)}" if items else ""))


def total(rows: pd.DataFrame, wanted: str) -> Goal:
    """Error of the total: at most 15 % at all dates, or 15 % at two thirds and 25 % at all."""
    errors = rows[rows["model"] == OURS].set_index("cut")["total_error"].dropna()
    wanted = f"total {wanted}"
    if errors.empty:
        return Goal(wanted, None, "not known")
    close = (errors.abs() <= 0.15).mean()
    is_met = close >= 2 / 3 and errors.abs().max() <= 0.25 if "thirds" in wanted else close == 1
    figures = ", ".join(f"{cut} {error:+.0%}" for cut, error in errors.items())
    return Goal(wanted, bool(is_met), figures)


def within(rows: pd.DataFrame, figure: str, wanted: str) -> Goal:
    """A coverage of 75 to 85 %, on average over the cuts."""
    held = published(rows, figure, wanted)
    if isinstance(held, Goal):
        return held
    figures = f"{held.mean():.1%} on average, {held.min():.1%} to {held.max():.1%}"
    return Goal(wanted, bool(0.75 <= held.mean() <= 0.85), figures)


def uniform(rows: pd.DataFrame) -> Goal:
    """The band's randomised PIT is uniform: no date's p-value below .05, by Holm over dates."""
    wanted = "randomised PIT of the band uniform within its sampling error"
    p_values = published(rows, "pit_p", wanted)
    if isinstance(p_values, Goal):
        return p_values
    adjusted = holm(p_values)
    distance = rows[rows["model"] == OURS].set_index("cut")["pit_distance"]
    items = [f"{cut} {distance[cut]:.3f} (p {adjusted[cut]:.1g})" for cut in adjusted.index]
    is_met = bool((adjusted >= NOT_BY_CHANCE).all())
    return Goal(wanted, is_met, "distance to uniform " + ", ".join(items))


def near_the_best(rows: pd.DataFrame, figure: str) -> Goal:
    """Within 3 % of the best of all peers on average, and within 10 % of each origin's best."""
    wanted = f"{figure.upper()} within 3 % of the best of all on average, 10 % at each origin"
    table = by_cut(rows, figure)
    if OURS not in table or table[OURS].isna().all() or peers_of(table).empty:
        return Goal(wanted, None, "not known")
    best = best_on_average(table, "low")
    share = table[OURS].mean() / table[best].mean() - 1
    each = table[OURS] / peers_of(table).min(axis=1) - 1
    figures = f"{share:+.1%} of {best}; worst origin {each.max():+.1%} ({each.idxmax()})"
    return Goal(wanted, bool(share <= 0.03 and each.max() <= 0.10), figures)


def met(goals: Sequence[Goal]) -> tuple[int, int]:
    """Number of goals met, and number of goals with a known result."""
    known = [one.is_met for one in goals if one.is_met is not None]
    return sum(known), len(known)


def _some(items: Sequence[str]) -> str:
    more = len(items) - ITEMS_TOLD
    return ", ".join(items[:ITEMS_TOLD]) + (f" and {more} more" if more > 0 else "")
