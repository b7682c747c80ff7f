"""The shop's own settings have one reader; other readers would miss what the home stores."""

from __future__ import annotations

import ast

from perennial.settings import REPOSITORY

OWN = {"time_zone", "currency"}
ONE_READER = "perennial/shop.py"
PACKAGES = (
    *(
        "command",
        "dags",
        "docker",
        "expectations",
        "ingest",
        "local",
        "ml_tasks",
        "oncall",
        "perennial",
        "plugins",
    ),
    "privacy",
)


def attributes_read(text: str) -> set[str]:
    """Attributes read by code: `settings.x`, `run.settings.x`, `_settings.x`, `source.x`."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr in OWN:
            of = ast.unparse(node.value)
            if of.endswith(("settings", "source")) or of.startswith("sources.load"):
                found.add(ast.unparse(node))
    return found


def test_nobody_else_reads_time_zone_or_currency() -> None:
    paths = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    assert len(paths) > 150
    readers = {
        str(path.relative_to(REPOSITORY)): found
        for path in paths
        if (found := attributes_read(path.read_text()))
    }
    assert set(readers) == {ONE_READER}, f"ask perennial.shop.own(settings): {readers}"


def test_the_rule_sees_each_way_to_read() -> None:
    assert attributes_read("a = settings.time_zone or sources.load(x).time_zone") == {
        "settings.time_zone",
        "sources.load(x).time_zone",
    }
    assert attributes_read("self.run.settings.currency; own(settings).time_zone") == {
        "self.run.settings.currency"
    }
