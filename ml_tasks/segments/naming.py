"""Names and ids of segments: words for what is typical of a segment, and ids that are kept."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from ml_tasks.segments.facts import FACTS, FREQUENCY, MONEY, RECENCY, Scale, assign

LEAST_OVERLAP = 0.5  # Jaccard index; below it a segment is another one
# Shares of all customers below a segment's median, at which the next word begins.
RANKS = (0.35, 0.65, 0.85)
OFTEN = ("Occasional", "Regular", "Frequent", "Very frequent")
MUCH = ("small spenders", "buyers", "big spenders", "top spenders")
WHEN = ("bought lately", "away for a while", "long gone", "long gone")
# Of two segments with the same words, where they differ most: the lower and the higher.
APART = {
    RECENCY: ("the later ones", "the earlier ones"),
    FREQUENCY: ("fewer orders", "more orders"),
    MONEY: ("lower spend", "higher spend"),
}


@dataclass(frozen=True)
class Segment:
    """A segment of a model.

    Attributes:
        id: Short and never used for another segment, such as `s1`.
        name: Words that a shop's owner understands.
        centre: Three numbers, on the model's scale.
    """

    id: str
    name: str
    centre: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        """The segment as JSON."""
        return asdict(self)


def named(centres: np.ndarray, scale: Scale, facts: pd.DataFrame) -> tuple[Segment, ...]:
    """Segments with ids and names, by mean spend, highest first.

    Args:
        centres: Shape (n_segments, 3), on the scale.
        scale: Of the model.
        facts: Columns FACTS of the customers the centres were fitted to.
    """
    labels = assign(scale.points(facts), centres)
    spend = [float(facts.loc[labels == label, MONEY].mean()) for label in range(len(centres))]
    order = sorted(range(len(centres)), key=lambda label: (-spend[label], label))
    ranks = [ranks_of(facts[labels == label], facts) for label in order]
    names = different(told_apart([words_of(one) for one in ranks], ranks))
    return tuple(
        Segment(f"s{number}", name, tuple(map(float, centres[label])))
        for number, (label, name) in enumerate(zip(order, names, strict=True), 1)
    )


def ranks_of(part: pd.DataFrame, whole: pd.DataFrame) -> dict[str, float]:
    """Fact -> share of all customers below the median of a segment; -1 if that is one order day.

    Args:
        part: Columns FACTS of the segment's customers.
        whole: Columns FACTS of all customers.
    """
    medians = {fact: part[fact].median() for fact in FACTS}
    ranks = {
        fact: float(((whole[fact] < median).mean() + (whole[fact] <= median).mean()) / 2)
        for fact, median in medians.items()
    }
    return ranks | ({FREQUENCY: -1.0} if medians[FREQUENCY] < 2 else {})


def words_of(ranks: Mapping[str, float]) -> str:
    """What is typical of a segment: how often its customers buy, how much, and when they did.

    Args:
        ranks: As of `ranks_of`.

    Example:
        >>> words_of({RECENCY: 0.1, FREQUENCY: 0.9, MONEY: 0.7})
        'Very frequent big spenders, bought lately'
        >>> words_of({RECENCY: 0.8, FREQUENCY: -1, MONEY: 0.2})
        'Mostly one-time small spenders, long gone'
    """
    often = "Mostly one-time" if ranks[FREQUENCY] < 0 else _word(OFTEN, ranks[FREQUENCY])
    return f"{often} {_word(MUCH, ranks[MONEY])}, {_word(WHEN, ranks[RECENCY])}"


def _word(words: Sequence[str], rank: float) -> str:
    return words[bisect(RANKS, rank)]


def told_apart(names: Sequence[str], ranks: Sequence[Mapping[str, float]]) -> list[str]:
    """The names; behind two equal ones, where the two segments differ most.

    Args:
        names: From `words_of`, one per segment.
        ranks: Of the segments, as of `ranks_of`.
    """
    found = list(names)
    for name in dict.fromkeys(names):
        pair = [number for number, one in enumerate(names) if one == name]
        if len(pair) == 2:
            one, other = (ranks[number] for number in pair)
            fact = max(APART, key=lambda fact: abs(one[fact] - other[fact]))
            for number in pair:
                is_higher = ranks[number][fact] == max(one[fact], other[fact])
                found[number] = f"{name} ({APART[fact][is_higher]})"
    return found


def different(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """The names in their order, a number behind each that stands before or is taken.

    Example:
        >>> different(["a", "b", "a"], taken=["b"])
        ['a', 'b 2', 'a 2']
    """
    found: list[str] = []
    for name in names:
        number, one = 1, name
        while one in found or one in taken:
            number += 1
            one = f"{name} {number}"
        found.append(one)
    return found


def matched(
    new: Sequence[Segment],
    old: Sequence[Segment],
    labels: tuple[np.ndarray, np.ndarray],
    last_number: int,
) -> tuple[Segment, ...]:
    """The new segments with the ids and names of the old segments that they overlap with.

    Each old segment is matched to one new one at most, so that the overlaps (Jaccard index: in
    both over in one of them) sum to the most. A segment that overlaps by less than LEAST_OVERLAP
    gets a new id.

    Args:
        new: Segments of the new model.
        old: Segments of the previous model.
        labels: Number of the new and of the old segment of the same customers; shape (n,) each.
        last_number: Largest number that an id has had.
    """
    mine, theirs = labels
    overlaps = np.array([[_overlap(mine == i, theirs == j) for j in range(len(old))]
                         for i in range(len(new))])  # fmt: skip
    pairs = zip(*linear_sum_assignment(overlaps, maximize=True), strict=True)
    kept = {int(i): old[int(j)] for i, j in pairs if overlaps[i, j] >= LEAST_OVERLAP}
    fresh = [number for number in range(len(new)) if number not in kept]
    names = different([new[i].name for i in fresh], [one.name for one in kept.values()])
    ids = {i: (kept[i].id, kept[i].name) for i in kept}
    ids |= {i: (f"s{last_number + 1 + n}", names[n]) for n, i in enumerate(fresh)}
    return tuple(replace(one, id=ids[i][0], name=ids[i][1]) for i, one in enumerate(new))


def _overlap(mine: np.ndarray, theirs: np.ndarray) -> float:
    either = int((mine | theirs).sum())
    return float((mine & theirs).sum() / either) if either else 0.0
