"""A BI reader in its own process that polls every view, and the check of what it saw."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from psycopg import sql

from perennial import contracts
from perennial.bootstrap import SUPERUSER
from perennial.settings import Settings

POLL_SECONDS = 0.02
TABLES = {
    table.name: question
    for question in contracts.questions()
    for table in contracts.load(question).tables
}
OF_CUSTOMERS = [  # the questions in customer_360
    question
    for question in contracts.questions()
    if any("customer_360" in table.shown_in for table in contracts.load(question).tables)
]
HISTORIES = {f"{table}_history": (question, table) for table, question in TABLES.items()}

Answer = tuple[tuple[object, ...], ...]


def queries() -> dict[str, sql.Composable]:
    """One statement per view or question, like one look at a page."""
    of_view = "select as_of_date, publication_id, count(*) from {} group by 1, 2 order by 1, 2"
    statements = {
        view: sql.SQL(of_view).format(sql.Identifier("reporting", view))
        for view in [*HISTORIES, *TABLES, "model_health", "model_health_history"]
    }
    # all tables of a question must show the same publication in one answer
    for question in contracts.questions():
        parts = [
            sql.SQL("select as_of_date, publication_id from {} group by 1, 2").format(
                sql.Identifier("reporting", f"{table.name}_history")
            )
            for table in contracts.load(question).tables
            if not table.may_be_empty
        ]
        if not parts:
            continue
        statements[f"together {question}"] = sql.SQL(
            "select as_of_date, count(distinct publication_id), count(*) from ({}) as parts"
            " group by 1 order by 1"
        ).format(sql.SQL(" union all ").join(parts))
    missing = [
        sql.SQL("count(*) filter (where {} is null)").format(
            sql.Identifier(f"{question}_score_status")
        )
        for question in OF_CUSTOMERS
    ]
    statements["customer_360"] = sql.SQL(
        "select as_of_date, count(*), count(*) filter (where count_orders is null), {}"
        " from reporting.customer_360 group by 1"
    ).format(sql.SQL(", ").join(missing))
    statements["product_outlook"] = sql.SQL(
        "select as_of_date, count(*) from reporting.product_outlook group by 1"
    )
    statements["scores_freshness"] = sql.SQL(
        "select question, as_of_date, row_count from reporting.scores_freshness order by 1"
    )
    return statements


@dataclass
class Seen:
    """A reader's answers by query, in order, without repeats."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    polls: int = 0
    rounds: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0

    def keep(self, name: str, answer: Answer) -> None:
        kept = self.answers.setdefault(name, [])
        if not kept or kept[-1] != answer:
            kept.append(answer)


@contextmanager
def reading(settings: Settings, seconds: float = POLL_SECONDS) -> Iterator[Callable[[], Seen]]:
    """Poll every view every `seconds` until the block ends or the yielded function is called.

    Like a BI tool, it reconnects when Postgres goes away.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_read, args=(settings, seconds, there), daemon=True)
    process.start()
    assert here.poll(60), "the reader did not begin"
    here.recv()
    results: list[Seen] = []

    def stop() -> Seen:
        if not results:
            here.send("stop")
            assert here.poll(60), "the reader did not end"
            results.append(here.recv())
            process.join(10)
        return results[0]

    try:
        yield stop
    finally:
        if process.is_alive():
            process.kill()


def _read(settings: Settings, seconds: float, pipe: Connection) -> None:
    seen, statements = Seen(), queries()
    connection: psycopg.Connection | None = None
    pipe.send("begun")
    begun = time.monotonic()
    while not pipe.poll():
        started = time.monotonic()
        try:
            if connection is None or connection.closed:
                connection = psycopg.connect(settings.dsn("bi_reader"), autocommit=True)
            for name, query in statements.items():
                asked_at = time.monotonic()
                try:
                    seen.keep(name, tuple(connection.execute(query).fetchall()))
                except psycopg.errors.UndefinedTable:
                    if name in seen.answers:  # absent before the first build created the view
                        raise
                seen.polls += 1
                seen.longest_seconds = max(seen.longest_seconds, time.monotonic() - asked_at)
            seen.rounds += 1
        except psycopg.Error as error:
            seen.errors.append(f"{type(error).__name__}: {error}".splitlines()[0])
            if connection is not None:
                connection.close()
        time.sleep(max(0.0, seconds - (time.monotonic() - started)))
    seen.seconds = time.monotonic() - begun
    pipe.recv()
    pipe.send(seen)


class Publications:
    """Every publication that was ever in force in a home (ops.publications)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.rows: dict[tuple[str, date, int], dict[str, int]] = {}

    def note(self) -> None:
        """Store the publications in force; call it after each attempt: the next may replace one."""
        with psycopg.connect(self._settings.dsn(SUPERUSER)) as connection:
            for question, day, number, row_counts in connection.execute(
                "select question, as_of_date, publication_id, row_counts from ops.publications"
            ):
                self.rows[question, day, number] = row_counts


def wrong_answers(seen: Seen, publications: Publications) -> list[str]:
    """Descriptions of answers that match no publication; without errors."""
    wrong = []
    for name, answers in seen.answers.items():
        problem = _judge_of(name, publications)
        was: Answer = ()
        for answer in answers:
            fault = problem(answer)
            if {row[0] for row in was} - {row[0] for row in answer} and "history" in name:
                fault = "a date went away"
            if was and not answer:
                fault = "empty"
            if fault:
                wrong.append(f"{name}: {fault}: {was} then {answer}")
            was = answer
    return wrong


def _judge_of(name: str, publications: Publications) -> Callable[[Answer], str]:
    if name in HISTORIES or name in TABLES:
        question, table = HISTORIES.get(name, (TABLES.get(name), name))
        return lambda answer: (
            _mixed(answer, name in TABLES)
            or next(
                (
                    f"no publication of {question} has {row}"
                    for row in answer
                    if publications.rows.get((question, row[0], row[1]), {}).get(table) != row[2]
                ),
                "",
            )
        )
    if name.startswith("together"):
        tables = contracts.load(name.split()[1]).tables
        expected = (1, sum(not table.may_be_empty for table in tables))
        return lambda answer: "" if all(row[1:] == expected for row in answer) else "mixed"
    if name == "customer_360":
        return lambda answer: (
            ""
            if len(answer) <= 1 and all(_is_whole(row, publications) for row in answer)
            else "partial or mixed"
        )
    if name == "product_outlook":
        whole = {
            (day, rows["products"])
            for (question, day, _), rows in publications.rows.items()
            if question == "products"
        }
        return lambda answer: "" if len(answer) <= 1 and set(answer) <= whole else "partial"
    if name == "scores_freshness":
        counts = {(q, day, sum(rows.values())) for (q, day, _), rows in publications.rows.items()}
        return lambda answer: "" if set(answer) <= counts else "no such publication"
    return lambda answer: _mixed(answer, is_one_date=False)


def _is_whole(row: tuple[Any, ...], publications: Publications) -> bool:
    """Whether customer_360 shows each question of a date, except those not yet published by then.

    Args:
        row: Date, customers, customers without orders, then those without a status by question.
        publications: Those that were in force.
    """
    day, customers, without_orders, *missing = row
    first_days: dict[str, date] = {}
    for question, published, _ in publications.rows:
        first_days[question] = min(published, first_days.get(question, published))
    return (
        any(
            (question, published, rows.get("churn")) == ("churn", day, customers)
            for (question, published, _), rows in publications.rows.items()
        )
        and without_orders == 0
        and all(
            count == 0 or (count == customers and day <= first_days.get(question, day))
            for question, count in zip(OF_CUSTOMERS, missing, strict=True)
        )
    )


def _mixed(answer: Answer, is_one_date: bool) -> str:
    days = [row[0] for row in answer]
    return "mixed" if len(days) != len(set(days)) or (is_one_date and len(days) > 1) else ""
