"""The files of a stored model: JSON, PNG, Markdown, and what the question made. None is a pickle.

They lie in the home, or wherever PERENNIAL_ARTEFACTS says, by any URL that fsspec knows.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ml_tasks.models.card import judged_metrics, model_card, report_json
from ml_tasks.trained_model import TrainedModel, canonical_json

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from perennial.settings import Settings

DESCRIPTION_FILE = "trained_model.json"  # what the files in model/ belong to
REPORT_FILE = "report.json"
FOLDER = "mlflow"  # in the home


def root(settings: Settings) -> str:
    """URL of the folder that holds a folder a question."""
    return settings.artefacts.rstrip("/") or (settings.home.resolve() / FOLDER).as_uri()


def location(settings: Settings, question: str, run_id: str, source: str) -> str:
    """Where the files of a run are.

    Args:
        settings: Of this home.
        question: Whose model.
        run_id: MLflow's.
        source: The registry's URL of the version's folder `model`. In a home it is not asked: the
            home may have been moved since.
    """
    if settings.artefacts and source.startswith(f"{root(settings)}/"):
        return source.removesuffix("/model")
    in_a_home = f"/{FOLDER}/{question}/{run_id}/artifacts/model"
    if source.startswith("file:") and source.endswith(in_a_home):
        return str(settings.home / FOLDER / question / run_id / "artifacts")
    return source.removesuffix("/model")


def opened(url: str) -> tuple[AbstractFileSystem, str]:
    """A URL's file system and the path in it; fsspec by itself reads no %20 in a file's URL."""
    import fsspec

    return fsspec.core.url_to_fs(unquote(url) if url.startswith("file:") else url)


def write(url: str, question: str, model: TrainedModel, tags: Mapping[str, str]) -> None:
    """Write all that is kept of a model into a folder."""
    files = _files(question, model, tags)
    filesystem, folder = opened(url)
    with tempfile.TemporaryDirectory() as draft:
        for name, content in files.items():
            path = Path(draft) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            filesystem.makedirs(f"{folder}/{name}".rsplit("/", 1)[0], exist_ok=True)
            filesystem.put_file(str(path), f"{folder}/{name}")


def read(url: str) -> TrainedModel:
    """The model as scoring needs it; report and plots stay where they are.

    Raises:
        FileNotFoundError: If a file is gone.
    """
    stored = json.loads(_read(f"{url}/{DESCRIPTION_FILE}"))
    return TrainedModel(
        name=stored["name"],
        training_date=date.fromisoformat(stored["training_date"]),
        parameters=stored["parameters"],
        artefacts={name: _read(f"{url}/model/{name}") for name in stored["artefacts"]},
        metrics=stored["metrics"],
    )


def read_report(url: str) -> dict[str, Any]:
    """The whole evaluation; empty if it is not there."""
    try:
        return json.loads(_read(f"{url}/{REPORT_FILE}"))
    except FileNotFoundError:
        return {}


def _read(url: str) -> bytes:
    filesystem, path = opened(url)
    try:
        return bytes(filesystem.cat_file(path))
    except FileNotFoundError:
        raise FileNotFoundError(url) from None  # not each file system names the file


def _files(question: str, model: TrainedModel, tags: Mapping[str, str]) -> dict[str, bytes]:
    stored = {
        "name": model.name,
        "training_date": str(model.training_date),
        "model_version": model.model_version,
        "parameters": model.parameters,
        "metrics": judged_metrics(model),
        "artefacts": {
            name: hashlib.sha256(content).hexdigest() for name, content in model.artefacts.items()
        },
    }
    texts = {
        DESCRIPTION_FILE: canonical_json(stored),
        REPORT_FILE: report_json(model),
        "data.json": canonical_json(model.data),
        "model_card.md": model_card(question, model, tags),
    }
    return {
        **{name: text.encode() for name, text in texts.items()},
        **{f"model/{name}": content for name, content in model.artefacts.items()},
        **{f"plots/{name}": content for name, content in model.plots.items()},
    }
