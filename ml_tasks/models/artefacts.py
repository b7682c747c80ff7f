"""The files of a stored model: JSON, PNG, Markdown, and what the question wrote. None is a pickle.

They are in the home, or at the URL in PERENNIAL_ARTEFACTS, which may be any that fsspec supports.
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

from ml_tasks.models.card import finite_metrics, model_card, report_json
from ml_tasks.trained_model import TrainedModel, canonical_json

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from perennial.settings import Settings

DESCRIPTION_FILE = "trained_model.json"  # the model without the files in model/
REPORT_FILE = "report.json"
FOLDER = "mlflow"  # in the home


def root(settings: Settings) -> str:
    """URL of the folder with one folder per question."""
    return settings.artefacts.rstrip("/") or (settings.home.resolve() / FOLDER).as_uri()


def location(settings: Settings, question: str, run_id: str, source: str) -> str:
    """URL or path of a run's files.

    Args:
        settings: Settings of the home.
        question: Name of the question.
        run_id: MLflow's run_id.
        source: The registry's URL of the version's folder `model`. A URL into a home is replaced by
            a path in this home, which may have been moved.
    """
    if settings.artefacts and source.startswith(f"{root(settings)}/"):
        return source.removesuffix("/model")
    in_a_home = f"/{FOLDER}/{question}/{run_id}/artifacts/model"
    if source.startswith("file:") and source.endswith(in_a_home):
        return str(settings.home / FOLDER / question / run_id / "artifacts")
    return source.removesuffix("/model")


def opened(url: str) -> tuple[AbstractFileSystem, str]:
    """File system of a URL, and the path in it. Decodes %20 in file URLs, which fsspec does not."""
    import fsspec

    return fsspec.core.url_to_fs(unquote(url) if url.startswith("file:") else url)


def write(url: str, question: str, model: TrainedModel, tags: Mapping[str, str]) -> None:
    """Write a model's files into a folder.

    Args:
        url: URL or path of the folder.
        question: Name of the question.
        model: The trained model.
        tags: Tags of the version, for the card.
    """
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
    """Read a model for scoring, without report and plots.

    Raises:
        FileNotFoundError: If a file is missing.
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
    """Read the training report; empty if it is missing."""
    try:
        return json.loads(_read(f"{url}/{REPORT_FILE}"))
    except FileNotFoundError:
        return {}


def _read(url: str) -> bytes:
    filesystem, path = opened(url)
    try:
        return bytes(filesystem.cat_file(path))
    except FileNotFoundError:
        raise FileNotFoundError(url) from None  # some file systems do not name the file


def _files(question: str, model: TrainedModel, tags: Mapping[str, str]) -> dict[str, bytes]:
    stored = {
        "name": model.name,
        "training_date": str(model.training_date),
        "model_version": model.model_version,
        "parameters": model.parameters,
        "metrics": finite_metrics(model),
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
