"""What a person sees of the runs under way: bars on a terminal, else a line for each task's end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from rich.console import Console, JustifyMethod, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from perennial.text import plain

QUIET_SECONDS = 15.0  # then a line says what is at work
BAR_WIDTH = 20
COLOURS = {"success": "green", "failed": "red"}


@dataclass(frozen=True)
class Ended:
    """A task that ended.

    Attributes:
        seconds: How long it took.
        wrote: What it returned, in words; empty: nothing.
    """

    as_of_date: date
    dag_id: str
    task_id: str
    state: str
    seconds: float
    wrote: str


@dataclass
class Step:
    """A DAG over all dates that are followed.

    Attributes:
        waits_for: DAGs that it comes after.
        count_done: Tasks that ended.
        count_tasks: Tasks of the runs that began.
        seconds: Since its runs began, until each ended; summed over the dates.
        at_work: Names of the tasks that run.
        rows: What it wrote, in counts.
    """

    dag_id: str
    waits_for: tuple[str, ...] = ()
    count_done: int = 0
    count_tasks: int = 0
    seconds: float = 0.0
    at_work: list[str] = field(default_factory=list)
    rows: str = ""
    is_done: bool = False
    has_failed: bool = False


class Display(Protocol):
    """Shows what happens; as a context manager it begins and ends."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *error: object) -> None: ...

    def end(self, task: Ended) -> None:
        """A task ended; called once for each."""

    def show(self, steps: Sequence[Step]) -> None:
        """How far the steps are, in the order of the chain."""


class Lines:
    """For a log or a pipe: one line for each task's end, and what is at work in long silences."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed_at = time.monotonic()
        self._working = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def end(self, task: Ended) -> None:
        """Print the task's line."""
        colour = COLOURS.get(task.state, "yellow")
        name = f"{task.dag_id}.{task.task_id}"
        self._print(
            f"{task.as_of_date}  [{colour}]{task.state:<8}[/{colour}] {name:<42} "
            f"{task.seconds:7.1f} s  {escape(plain(task.wrote))}"
        )

    def show(self, steps: Sequence[Step]) -> None:
        """Print what is at work after a silence, unless it is what was printed last."""
        names = [f"{step.dag_id}.{name}" for step in steps for name in step.at_work]
        working = ", ".join(names) or "waiting"
        is_quiet = time.monotonic() - self._printed_at > QUIET_SECONDS
        if is_quiet and working != self._working:
            self._working = working
            self._print(f"[dim]{' ' * 12}… {escape(working)}[/dim]")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)
        self._printed_at = time.monotonic()


class Bars:
    """For a terminal: a bar for each step, which stays as it was at the end."""

    def __init__(self, console: Console) -> None:
        self._height = console.height
        self._steps: Sequence[Step] = ()
        self._shown_at = time.monotonic()
        self._live = Live(console=console, get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> Bars:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._height = len(self._steps) + 2  # all of them, once nothing moves any more
        self._live.stop()

    def end(self, task: Ended) -> None:
        """A bar moves with it; a failure has its log printed below."""

    def show(self, steps: Sequence[Step]) -> None:
        """Draw the bars anew."""
        self._steps, self._shown_at = steps, time.monotonic()

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        for name in ("step", "bar", "tasks", "seconds"):
            justify: JustifyMethod = "right" if name in ("tasks", "seconds") else "left"
            table.add_column(justify=justify, no_wrap=True)
        table.add_column(no_wrap=True, ratio=1)  # what is left of the line
        shown = _fitting(self._steps, self._height - 2)
        for step in shown:
            table.add_row(*self._row(step))
        if len(shown) < len(self._steps):
            table.add_row(Text(f"and {len(self._steps) - len(shown)} more steps", "dim"))
        return table

    def _row(self, step: Step) -> tuple[RenderableType, ...]:
        colour = "red" if step.has_failed else "green" if step.is_done else "default"
        if not step.count_tasks:
            return (Text(step.dag_id, "dim"), "", "", "", Text(_why_not(step, self._steps), "dim"))
        ticking = 0.0 if step.is_done else time.monotonic() - self._shown_at
        bar = ProgressBar(step.count_tasks, step.count_done, width=BAR_WIDTH)
        said = step.rows if step.is_done else ", ".join(step.at_work) or "between two tasks"
        return (
            Text(step.dag_id, colour),
            bar,
            f"{step.count_done}/{step.count_tasks}",
            f"{step.seconds + ticking:.0f} s",
            Text(plain(said)),
        )


def display_on(console: Console) -> Display:
    """Bars where they can move, else lines."""
    return Bars(console) if console.is_interactive else Lines(console)


def _why_not(step: Step, steps: Sequence[Step]) -> str:
    missing = [other.dag_id for other in steps if other.dag_id in step.waits_for]
    missing = [name for name in missing if not _of(steps, name).is_done]
    return f"waits for {', '.join(missing)}" if missing else "is to begin"


def _of(steps: Sequence[Step], dag_id: str) -> Step:
    return next(step for step in steps if step.dag_id == dag_id)


def _fitting(steps: Sequence[Step], lines: int) -> Sequence[Step]:
    """As many steps as there are lines: those at work first, then the next ones, in their order."""
    if len(steps) <= lines:
        return steps
    by_interest = sorted(steps, key=lambda step: (step.is_done, not step.count_tasks))
    chosen = {step.dag_id for step in by_interest[: max(lines - 1, 1)]}
    return [step for step in steps if step.dag_id in chosen]
