"""What every side writes, ours and the peers': rows a model, and what they cost. No product code.

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
    """Collects one cut's predictions, a frame a model, and how long each took."""

    def __init__(self) -> None:
        self.frames: list[pd.DataFrame] = []
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add what the block takes to a model's, or a part's, seconds of CPU, all threads'.

        Not of the clock: what else the machine does at the time would count.
        """
        started = time.process_time()
        yield
        taken = time.process_time() - started
        self.seconds[step] = self.seconds.get(step, 0.0) + taken

    def add(self, model: str, ids: dict[str, Any], **columns: Any) -> None:
        """Keep a model's rows; a column that it has nothing to say about may be left out."""
        self.frames.append(pd.DataFrame({"model": model, **ids, **columns}))

    def write(self, folder: Path, name: str) -> None:
        """Write `<name>.parquet` and, last, `<name>.json`: the frame is whole if both are there."""
        pd.concat(self.frames, ignore_index=True).to_parquet(folder / f"{name}.parquet")
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        said = {"seconds": self.seconds, "peak_mb": round(peak_mb)}
        (folder / f"{name}.json").write_text(json.dumps(said))


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
