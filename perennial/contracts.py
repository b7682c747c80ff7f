"""Score contracts: what a question is about, what its tables look like, which values they hold.

One place says it: the dbt source in `dbt_project/models/scores/<question>.yml`. The tables, their
comments, the check before publishing, the gate behind it, the reporting views, the DAGs, the shards
and the place in `customer_360` follow from it.
"""

from __future__ import annotations

from functools import cache
from graphlib import CycleError, TopologicalSorter

from perennial import contract_yml
from perennial.contract_types import (
    CUSTOMER_KEY,
    DESCRIBES,
    KEY_COLUMNS,
    KINDS,
    MONTH,
    PREDICTS,
    RULES,
    RUN_COLUMNS,
    STAMPED_COLUMNS,
    STATUS_COLUMNS,
    WEEK,
    Contract,
    ContractError,
    ScoreColumn,
    ScoreTable,
)
from perennial.settings import DBT_PROJECT, SettingsError

__all__ = [
    "CUSTOMER_KEY", "DESCRIBES", "KEY_COLUMNS", "KINDS", "LOOKBACK", "MONTH", "PREDICTS", "RULES",
    "RUN_COLUMNS", "SCORES", "STAMPED_COLUMNS", "STATUS_COLUMNS", "WEEK", "Contract",
    "ContractError", "ScoreColumn", "ScoreTable", "load", "published", "questions", "trained",
]  # fmt: skip

SCORES = DBT_PROJECT / "models" / "scores"
# Published like a question, and none: how past answers to the questions turned out.
LOOKBACK = "lookback"


def questions() -> list[str]:
    """Names of the questions that have a contract; one that reads others comes after them.

    Raises:
        ContractError: If questions read each other, or one that there is not.
    """
    names = [name for name in published() if name != LOOKBACK]
    graph = TopologicalSorter({name: sorted(load(name).reads) for name in names})
    for name in names:
        if unknown := sorted(set(load(name).reads) - set(names)):
            raise ContractError(f"{name}.yml: reads {', '.join(unknown)}, which is no question")
    try:
        return list(graph.static_order())
    except CycleError as error:
        raise ContractError(f"questions that read each other: {', '.join(error.args[1])}") from None


def trained() -> list[str]:
    """Names of the questions that have models."""
    return [name for name in questions() if load(name).is_trained]


def published() -> list[str]:
    """Names of all contracts, ascending: whatever `publish` writes."""
    return sorted(path.stem for path in SCORES.glob("*.yml"))


@cache
def load(question: str) -> Contract:
    """Read a question's contract.

    Raises:
        SettingsError: If there is no such question; the message lists those there are.
        ContractError: If the file lacks something that a contract needs.
    """
    if question not in published():
        raise SettingsError(
            f"unknown question {question!r}: choose one of {', '.join(published())}"
        )
    path = SCORES / f"{question}.yml"
    return contract_yml.parse(path.read_text(), question, contract_yml.doc_blocks(SCORES))
