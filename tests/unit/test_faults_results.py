"""results.md adds up the ledger's lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import ledger, results


def test_findings_are_added_up_and_a_failure_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERENNIAL_FAULTS_LEDGER", str(tmp_path / "ledger.jsonl"))
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.md")
    ledger.record("a task dies", "land killed", "same rows", kills=3, lost=0)
    ledger.record("a task dies", "dbt|killed", "same rows", kills=4, lost=1)
    ledger.write(
        part="kills", kind="outcome", test="test_dbt", outcome="failed", seconds=2.5, why="E: gone"
    )
    results.write(results.read(tmp_path / "ledger.jsonl"))
    text = (tmp_path / "results.md").read_text()
    assert "| kills | 7 |\n| lost | 1 |" in text
    assert "dbt\\|killed" in text
    assert "| kills: test_dbt | failed: E: gone | 2.5 |" in text


def test_a_row_that_is_no_fault_of_the_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="a task dies"):
        ledger.record("a task died", "", "")
