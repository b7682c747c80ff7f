"""Score contracts: what a question is about, the columns of its tables, and their values.

A contract is the dbt source in `dbt_project/models/scores/<question>.yml`, and nowhere else. The
tables, their comments, the check before publishing, the gate after it, the reporting views, the
DAGs, the shards and the columns of `customer_360` and `product_outlook` are derived from it.
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
    ONE_ROW_VIEWS,
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
    "CUSTOMER_KEY", "DESCRIBES", "KEY_COLUMNS", "KINDS", "LOOKBACK", "MONTH", "ONE_ROW_VIEWS",
    "PREDICTS", "RULES", "RUN_COLUMNS", "SCORES", "STAMPED_COLUMNS", "STATUS_COLUMNS", "WEEK",
    "Contract", "ContractError", "ScoreColumn", "ScoreTable", "load", "published", "questions",
    "trained",
]  # fmt: skip

SCORES = DBT_PROJECT / "models" / "scores"
# Published like a question, but not a question: how past scores turned out.
LOOKBACK = "lookback"


def questions() -> list[str]:
    """Names of all questions, in an order in which each comes after the questions that it reads.

    Raises:
        ContractError: If questions read each other, or a question that does not exist.
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
    """Names of all contracts, ascending: the questions and LOOKBACK."""
    return sorted(path.stem for path in SCORES.glob("*.yml"))


@cache
def load(question: str) -> Contract:
    """Read a question's contract.

    Raises:
        SettingsError: If the question does not exist; the message lists all questions.
        ContractError: If the file is not a valid contract.
    """
    if question not in published():
        raise SettingsError(
            f"unknown question {question!r}: choose one of {', '.join(published())}"
        )
    path = SCORES / f"{question}.yml"
    return contract_yml.parse(path.read_text(), question, contract_yml.doc_blocks(SCORES))
