"""The bill of materials names what the lock installs, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from perennial.settings import REPOSITORY


def test_the_bill_of_materials_is_valid_and_complete(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.cdx.json"
    tool = Path(sys.executable).parent / "cyclonedx-py"
    subprocess.run(  # fails if its output does not fit CycloneDX' schema
        [tool, "requirements", "--pyproject", "pyproject.toml", "--validate", "-o", bill],
        cwd=REPOSITORY, check=True, capture_output=True,
    )  # fmt: skip
    written = json.loads(bill.read_text())
    locked = (REPOSITORY / "requirements.txt").read_text().split()
    assert written["bomFormat"] == "CycloneDX"
    assert written["metadata"]["component"]["name"] == "perennial"
    assert sorted(f"{part['name']}=={part['version']}" for part in written["components"]) == sorted(
        locked
    )
    assert all(part["purl"].startswith("pkg:pypi/") for part in written["components"])


def test_the_image_has_what_is_tested_and_less() -> None:
    runs, tested = (
        set((REPOSITORY / name).read_text().split())
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert runs < tested
