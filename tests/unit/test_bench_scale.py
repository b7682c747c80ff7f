"""What the scale benchmark stores of an interrupted run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.scale import _figures, _table

FIGURES = {"seconds": 2.0, "peak_mb": 100.0, "written_mb": 5.0}


def broken_off() -> dict[str, float]:
    raise KeyboardInterrupt


def test_a_step_that_was_broken_off_has_no_figure(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    rows: list[dict] = []
    _figures(rows, begun, {"step": "land", "lines": 10}, lambda: FIGURES)
    with pytest.raises(KeyboardInterrupt):
        _figures(rows, begun, {"step": "train", "lines": 10}, broken_off)
    rows = json.loads(begun.read_text())
    assert [row["step"] for row in rows if "seconds" in row] == ["land"]  # so train is due
    _figures(rows, begun, {"step": "train", "lines": 10}, lambda: FIGURES)
    _figures(rows, begun, {"step": "score", "lines": 10}, lambda: FIGURES)
    kept = pd.DataFrame(json.loads(begun.read_text()))
    assert list(kept["step"]) == ["land", "train", "score"]
    assert list(kept["seconds"].isna()) == [False, True, False]
    lines = _table(kept, [10], "last", lambda _: math.nan)[2:]
    assert lines == [
        "| land | 2.0, 100, 5 | – |",
        "| train | – | – |",
        "| score | 2.0, 100, 5 | – |",
    ]
