"""The runbook has an entry for every step and cause of alerts."""

import ast
import re
from pathlib import Path

import pytest

from dags.shared.alerts import LATE, step_of
from oncall.alerts import words
from oncall.alerts.causes import RUNBOOK
from oncall.alerts.messages import anchor
from oncall.watchdog import findings

REPOSITORY = Path(__file__).parents[2]


def task_ids() -> set[str]:
    """Tasks of all DAG files, read from the source: functions decorated with `task`."""
    found = set()
    for path in (REPOSITORY / "dags").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
                if any(re.match(r"task\b", decorator) for decorator in decorators):
                    found.add(node.name)
    return found | {"approve"}  # an operator of its own kind


def sections() -> set[str]:
    return set(re.findall(r"^## (.+)$", (REPOSITORY / RUNBOOK).read_text(), re.MULTILINE))


def test_every_task_has_its_section():
    assert {"land_files", "gate_raw", "gate_features", "train", "publish"} <= task_ids()
    assert task_ids() - sections() == set()


def test_models_of_the_dbt_build_share_one_section():
    assert step_of("dbt.fct_orders.run") in sections()


def kinds_of(module, is_one) -> set[str]:
    """Constants of a module that are headings."""
    return {v for name, v in vars(module).items() if name.isupper() and is_one(v)}


def test_every_finding_of_the_watchdog_and_every_shared_cause_has_its_section():
    def is_heading(value: object) -> bool:
        return isinstance(value, str) and value[:1].isupper() and " " in value

    entries = kinds_of(findings, is_heading) | {
        words.WAREHOUSE_GONE,
        words.DISK_FULL,
        words.NO_MEMORY,
        words.NO_CONNECTION,
        LATE,
    }
    assert len(entries) >= 10
    assert entries - sections() == set()


@pytest.mark.parametrize(
    ("heading", "expected"),
    [("land_files", "land_files"), ("A view can't be read", "a-view-cant-be-read")],
)
def test_link_into_the_page_is_that_of_its_heading(heading, expected):
    assert anchor(heading) == expected
    assert heading in sections()


def test_no_section_is_left_of_a_task_that_is_gone():
    steps = {section for section in sections() if re.fullmatch(r"[a-z_]+", section)}
    assert steps == task_ids() | {"dbt"}
