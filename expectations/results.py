"""What became of each rule of a gate: read from Great Expectations, kept in ops.gate_results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    from great_expectations.core import ExpectationValidationResult

OBSERVED_MAX_CHARACTERS = 300


@dataclass(frozen=True)
class Result:
    """What became of one rule; as in ops.gate_results."""

    table_name: str
    expectation: str
    column_name: str | None
    severity: str
    success: bool
    observed: str | None
    element_count: int | None
    unexpected_count: int | None
    is_error: bool

    @property
    def stops(self) -> bool:
        """Whether nothing after the gate may start."""
        return self.is_error or (not self.success and self.severity == "critical")

    def __str__(self) -> str:
        where = f"{self.table_name}.{self.column_name}" if self.column_name else self.table_name
        found = "could not be evaluated" if self.is_error else "found"
        return f"[{self.severity}] {where}: {self.expectation}; {found}: {self.observed}"


def read_result(table_name: str, item: ExpectationValidationResult) -> Result:
    """A validation result in our words: counts, never the values that broke a rule."""
    config = item.expectation_config
    assert config is not None  # GX types it optional; a validated rule has one
    error = _error(item)
    result = item.result or {}
    unexpected_count = result.get("unexpected_count")
    if config.type == "unexpected_rows_expectation":
        unexpected_count = result.get("observed_value")
    return Result(
        table_name=table_name,
        expectation=_rule(config.type, dict(config.kwargs), config.description),
        column_name=_columns(config.kwargs),
        severity=str(getattr(config.severity, "value", config.severity)),
        success=bool(item.success) and error is None,
        observed=_observed(result, unexpected_count) if error is None else error,
        element_count=result.get("element_count"),
        unexpected_count=unexpected_count,
        is_error=error is not None,
    )


def _error(item: ExpectationValidationResult) -> str | None:
    """First line of why a rule could not be evaluated; None if it could."""
    # flat when all is well, nested by metric when a metric raised
    info = item.exception_info or {}
    for details in (info, *info.values()):
        if isinstance(details, dict) and details.get("raised_exception"):
            message = str(details.get("exception_message") or "no message").strip()
            return message.splitlines()[0][:OBSERVED_MAX_CHARACTERS]
    return None


def _rule(kind: str, kwargs: dict[str, Any], description: str | None) -> str:
    if description:
        return f"{kind}: {description}"
    hidden = {"batch_id", "column", "column_list", "column_A", "column_B", "row_condition"}
    bounds = [f"{name}={value}" for name, value in kwargs.items() if name not in hidden]
    condition = kwargs.get("row_condition")
    if condition:
        condition = condition if isinstance(condition, dict) else condition.dict()
        bounds.append(
            f"where {condition['column']['name']} {condition['operator']} {condition['parameter']}"
        )
    return f"{kind}({', '.join(bounds)})"


def _columns(kwargs: dict[str, Any]) -> str | None:
    if "column" in kwargs:
        return str(kwargs["column"])
    if "column_A" in kwargs:
        return f"{kwargs['column_A']}, {kwargs['column_B']}"
    return ", ".join(kwargs.get("column_list", ())) or None


def _observed(result: dict[str, Any], unexpected_count: int | None) -> str:
    if unexpected_count is not None:
        of = f" of {result['element_count']}" if "element_count" in result else ""
        return f"{unexpected_count}{of} rows break it"
    return str(result.get("observed_value"))[:OBSERVED_MAX_CHARACTERS]


def record(
    connection: psycopg.Connection[Any], results: Sequence[Result], run: dict[str, Any]
) -> None:
    """Keep the results of a gate of a run."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.gate_results (run_id, gate, as_of_date, publication_id, table_name,"
            " expectation, column_name, severity, success, observed, element_count,"
            " unexpected_count)"
            " values (%(run_id)s, %(gate)s, %(as_of_date)s, %(publication_id)s, %(table_name)s,"
            " %(expectation)s, %(column_name)s, %(severity)s, %(success)s, %(observed)s,"
            " %(element_count)s, %(unexpected_count)s)",
            [run | vars(result) for result in results],
        )
