"""The panel's tables: verdicts by shop and question, goals, and signs over shops."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from benchmarks.judge import BETTER, decide_signs, goodness, pooled
from benchmarks.questions import QUESTIONS, Question
from benchmarks.results import balance
from benchmarks.tables import OURS, Figure, best_on_average, by_cut, header, number, row
from benchmarks.wanted import like_with_like, met

# Name of a question's table -> its figures and its verdicts, both with columns group and cut.
Tables = Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]


def summary(tables: Tables) -> list[str]:
    """Lines of a set's own part, above its questions'.

    Args:
        tables: Name of a question's table -> its figures and its decided verdicts.
    """
    beside = pd.concat(
        [_of_shop(name, group, figures[figures["group"] == group], verdicts)
         for name, (figures, verdicts) in tables.items()
         for group in figures["group"].unique()],
        ignore_index=True,
    )  # fmt: skip
    return [*_shops_table(beside), *_wanted_table(tables), *_signs_table(beside, tables)]


def _of_shop(name: str, group: str, rows: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row per measure: our mean and the best peer's, and the verdicts of all cuts and peers."""
    rows_of_shop = []
    of_group = verdicts[verdicts["group"] == group] if len(verdicts) else verdicts
    for figure in QUESTIONS[name].figures:
        if figure.name not in BETTER or figure.name not in rows:
            continue
        of_measure = of_group[of_group["measure"] == figure.name] if len(of_group) else of_group
        table = by_cut(like_with_like(rows, figure.name), figure.name)
        if OURS not in table or of_measure.empty or table.shape[1] == 1:
            continue
        best = best_on_average(table, figure.better)
        both = table[[OURS, best]].dropna()
        ours, theirs = both[OURS].mean(), both[best].mean()
        rows_of_shop.append(
            {
                "group": group, "question": QUESTIONS[name].name, "figure": figure,
                "balance": balance(of_measure), "best": best, "ours": ours, "theirs": theirs,
                "share": ahead_share(ours, theirs, figure.better),
                "p_value": pooled(of_measure[of_measure["peer"] == best]),
            }
        )  # fmt: skip
    return pd.DataFrame(rows_of_shop)


def ahead_share(ours: float, theirs: float, better: str) -> float:
    """How much better ours is, as a share of the peer's figure; 0 if the peer's is 0."""
    return (goodness(ours, better) - goodness(theirs, better)) / abs(theirs) if theirs else 0.0


def _shops_table(beside: pd.DataFrame) -> list[str]:
    lines = header(
        ["shop", "question", "measure", "better–tie–worse", "ours", "best peer on average", ""]
    )
    for one in beside.to_dict("records"):
        figure: Figure = one["figure"]
        numbers = [number(one[name], figure.digits) for name in ("ours", "theirs")]
        own_cells = [
            numbers[0],
            f"{numbers[1]} {one['best']}",
            _share(one["share"], one["p_value"]),
        ]
        lines.append(
            row([one["group"], one["question"], figure.heading, one["balance"], *own_cells])
        )
    note = (
        "Better, tie and worse count cuts and peers: paired bootstrap of 1,000 draws, Holm over a"
        " shop's cuts and peers at 5 %. The last column is by how much ours is better on average,"
        " and the p-value of all cuts together, beside this one peer."
    )
    return ["## Shops and questions", "", note, "", *lines, ""]


def _share(share: float, p_value: float) -> str:
    return f"{share:+.1%} (p {p_value:.2g})"


def _wanted_table(tables: Tables) -> list[str]:
    """Shops by questions: the number of goals met, and the goals not met."""
    groups = list(dict.fromkeys(g for figures, _ in tables.values() for g in figures["group"]))
    lines = header(["shop", *(QUESTIONS[name].name for name in tables)])
    for group in groups:
        cells = [_wanted(QUESTIONS[name], group, *both) for name, both in tables.items()]
        lines.append(row([group, *cells]))
    return ["## Wanted, met and not met", "", *lines, ""]


def _wanted(question: Question, group: str, figures: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    rows = figures[figures["group"] == group]
    if OURS not in set(rows["model"]):
        return "–"
    goals = question.wants(rows, verdicts[verdicts["group"] == group])
    count, known = met(goals)
    missed = [one.wanted for one in goals if one.is_met is False]
    return f"{count} of {known} met" + (f"; **not**: {'; '.join(missed)}" if missed else "")


def _signs_table(beside: pd.DataFrame, tables: Tables) -> list[str]:
    """Signs over shops: beside each shop's best peer, and beside every single peer."""
    lines = header(
        ["question", "measure", "ahead of each shop's best peer", "mean",
         "ahead of a peer, at shops that have it"]
    )  # fmt: skip
    for name, (figures, _) in tables.items():
        for figure in QUESTIONS[name].figures:
            is_of = (beside["question"] == QUESTIONS[name].name) & (beside["figure"] == figure)
            shares = beside[is_of]["share"]
            if shares.empty:
                continue
            each = _beside_each_peer(figures, figure.name)
            by_peer = "; ".join(f"{peer} {_signs(apart)}" for peer, apart in each.items())
            cells = [_signs(shares), f"{shares.mean():+.1%}", by_peer]
            lines.append(row([QUESTIONS[name].name, figure.heading, *cells]))
    note = "Ahead at so many shops of so many; p is the two-sided sign test's."
    return ["## Over shops, by sign", "", note, "", *lines, ""]


def _beside_each_peer(figures: pd.DataFrame, measure: str) -> dict[str, pd.Series]:
    """Each peer's mean difference over cuts, one per shop."""
    apart: dict[str, list[float]] = {}
    for _, rows in like_with_like(figures, measure).groupby("group"):
        table = by_cut(rows, measure)
        if OURS not in table:
            continue
        for peer in table.columns.drop(OURS):
            both = table[[OURS, peer]].dropna()
            if len(both):
                means = both.mean().map(lambda value: goodness(value, BETTER[measure]))
                apart.setdefault(peer, []).append(means[OURS] - means[peer])
    return {peer: pd.Series(values) for peer, values in sorted(apart.items())}


def _signs(differences: pd.Series) -> str:
    ahead, of, p_value = decide_signs(differences)
    return f"{ahead} of {of} (p {p_value:.2g})"
