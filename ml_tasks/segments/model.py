"""The model: borders of RFM groups, a scale, and the segments with their centres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ml_tasks.segments import naming
from ml_tasks.segments.facts import FACTS, MONEY, Scale, assign, sampled
from ml_tasks.segments.naming import Segment
from ml_tasks.segments.rfm import RfmGroups

MAX_POINTS = 500  # customers stored to match later segments


@dataclass(frozen=True)
class Segmentation:
    """All that assigns a customer to an RFM group and to a segment.

    Attributes:
        groups: Assigns RFM groups.
        scale: Makes points of customers.
        segments: At least one.
        known: FACTS of some customers of the training date, without ids and with spend rounded;
            later segments are matched on them.
        last_number: Largest number that an id of a segment has had in this model or before.
    """

    groups: RfmGroups
    scale: Scale
    segments: tuple[Segment, ...]
    known: pd.DataFrame
    last_number: int

    @classmethod
    def of(cls, facts: pd.DataFrame, centres: np.ndarray, scale: Scale, seed: int) -> Segmentation:
        """Name the segments and learn the borders.

        Args:
            facts: Columns FACTS of all customers, or a sample.
            centres: Shape (n_segments, 3), on the scale.
            scale: Of the facts.
            seed: Draws the stored customers.
        """
        segments = naming.named(centres, scale, facts)
        some = sampled(facts[FACTS], MAX_POINTS, seed)
        known = some.assign(**{MONEY: [_two_digits(value) for value in some[MONEY]]})
        return cls(RfmGroups.learn(facts), scale, segments, known, len(segments))

    @property
    def centres(self) -> np.ndarray:
        """Shape (n_segments, 3)."""
        return np.array([segment.centre for segment in self.segments])

    @property
    def names(self) -> dict[str, str]:
        """Id -> name of each segment."""
        return {segment.id: segment.name for segment in self.segments}

    def labels(self, facts: pd.DataFrame) -> np.ndarray:
        """Number of each customer's segment, shape (n_rows,).

        Args:
            facts: Columns FACTS.
        """
        return assign(self.scale.points(facts), self.centres)

    def ids(self, facts: pd.DataFrame) -> np.ndarray:
        """Id of each customer's segment, shape (n_rows,), texts. Args as of `labels`."""
        ids = np.array([segment.id for segment in self.segments], dtype=object)
        return np.asarray(ids[self.labels(facts)])

    def matched(self, previous: Segmentation) -> Segmentation:
        """The same segments, with ids and names of the previous model where they are the same."""
        labels = self.labels(self.known), previous.labels(self.known)
        segments = naming.matched(self.segments, previous.segments, labels, previous.last_number)
        used = max(int(segment.id.removeprefix("s")) for segment in segments)
        last_number = max(previous.last_number, used)
        return replace(self, segments=segments, last_number=last_number)

    def to_dict(self) -> dict[str, Any]:
        """The model as JSON."""
        return {
            "borders": self.groups.borders,
            "rules": self.groups.rules,
            "scale": asdict(self.scale),
            "segments": [segment.to_dict() for segment in self.segments],
            "known": self.known.to_numpy(dtype=float).tolist(),
            "last_number": self.last_number,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Segmentation:
        """The model from `to_dict`."""
        segments = (Segment(s["id"], s["name"], tuple(s["centre"])) for s in stored["segments"])
        scale = {name: tuple(values) for name, values in stored["scale"].items()}
        return cls(
            RfmGroups(stored["borders"], stored["rules"]),
            Scale(**scale),
            tuple(segments),
            pd.DataFrame(stored["known"], columns=FACTS),
            stored["last_number"],
        )


def _two_digits(value: float) -> float:
    """Two significant digits: enough to assign, too few to find a customer by."""
    return float(f"{value:.1e}")
