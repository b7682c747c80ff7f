"""The output of every side, ours and the peers': rows per model, and their cost. No product code.

A side is a command, `python -m <module> INPUTS OUTPUTS NAME CUT...`. For each cut it reads
`INPUTS/<cut>/` and writes `OUTPUTS/<cut>/NAME.parquet` and `NAME.json`.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd


class Predictions:
    """One cut's predictions, a frame per model, and the seconds of each."""

    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the block's CPU seconds, of all threads, to those of a model or a step.

        Wall-clock time would include what else the machine does.
        """
        started = time.process_time()
        yield
        taken = time.process_time() - started
        self.seconds[step] = self.seconds.get(step, 0.0) + taken

    def add(self, model: str, ids: dict[str, Any], **columns: Any) -> None:
        """Add a model's rows; columns that it does not predict may be left out."""
        self.frames.append(pd.DataFrame({"model": model, **ids, **columns}))

    def write(self, folder: Path, name: str) -> None:
        """Write `<name>.parquet`, then `<name>.json`: with both files the frame is complete."""
        pd.concat(self.frames, ignore_index=True).to_parquet(folder / f"{name}.parquet")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        costs = {"seconds": self.seconds, "peak_mb": round(peak_mb)}
        (folder / f"{name}.json").write_text(json.dumps(costs))


def for_each_cut(
    arguments: list[str], predict: Callable[[Path, pd.Timestamp], Predictions]
) -> None:
    """Run a side's command."""
    inputs, outputs, name, *cuts = arguments
    for cut in cuts:
        folder = Path(outputs) / cut
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        predict(Path(inputs) / cut, pd.Timestamp(cut)).write(folder, name)
        print(f"{cut} {time.perf_counter() - started:.0f} s", flush=True)
