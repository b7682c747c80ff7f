"""Names and ids of segments: words for what is typical of a segment, and ids that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from ml_tasks.segments.facts import FREQUENCY, MONEY, RECENCY, Scale, assign

LEAST_OVERLAP = 0.5  # Jaccard index; below it a segment is another one
LOW, HIGH = 0.35, 0.65  # ranks of a median among all customers; between them it is typical


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
    words = different([words_of(facts[labels == label], facts) for label in order])
    return tuple(
        Segment(f"s{number}", name, tuple(map(float, centres[label])))
        for number, (label, name) in enumerate(zip(order, words, strict=True), 1)
    )


def words_of(part: pd.DataFrame, whole: pd.DataFrame) -> str:
    """What is typical of some customers: how often they buy, how much, and how lately.

    Args:
        part: Columns FACTS of the customers.
        whole: Columns FACTS of all customers.

    Example:
        >>> shop = pd.DataFrame({RECENCY: [9, 90, 99], FREQUENCY: [7, 1, 1], MONEY: [700, 10, 20]})
        >>> words_of(shop[:1], shop)
        'Frequent big spenders, here lately'
        >>> words_of(shop[1:], shop)
        'One-time buyers, long gone'
    """
    order_days = part[FREQUENCY].median()
    often = "One-time" if order_days < 2 else _level(part, whole, FREQUENCY, _OFTEN)
    much = _level(part, whole, MONEY, ("small spenders", "buyers", "big spenders"))
    if often == "One-time" and much == "small spenders":
        much = "buyers"
    when = _level(part, whole, RECENCY, ("here lately", "away for a while", "long gone"))
    return f"{often} {much}, {when}"


_OFTEN = ("Occasional", "Regular", "Frequent")


def _level(part: pd.DataFrame, whole: pd.DataFrame, fact: str, words: tuple[str, str, str]) -> str:
    """The word for low, typical or high: by the median's rank among all customers."""
    median, values = part[fact].median(), whole[fact]
    rank = float(((values < median).mean() + (values <= median).mean()) / 2)
    return words[0] if rank < LOW else words[2] if rank > HIGH else words[1]


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
