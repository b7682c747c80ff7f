"""Wait for an Airflow whose API is silent while its processes live: busy, hung or starting."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console

from oncall.airflow_api import AirflowError, NoAnswerError

ASK_AGAIN_SECONDS = 2.0
SILENCE_SECONDS = 60.0  # until it is told, and told again
UNWATCHED_SILENCE_SECONDS = 300.0  # of an API whose processes are elsewhere

Answer = TypeVar("Answer")


@dataclass
class Patience:
    """Bears an API that does not answer as long as the processes live that the runs need.

    Attributes:
        services: Says which of them are alive; of a set elsewhere it knows none.
        silent_since: Since when there was no answer, on the monotonic clock.
    """

    services: Callable[[], dict[str, bool]]
    console: Console
    silent_since: float | None = None
    told_at: float = 0.0

    def until_answered(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer.

        Raises:
            AirflowError: If a process that the runs need has ended, or the answer is an error.
        """
        while True:
            try:
                answer = ask()
            except NoAnswerError as error:
                self.bear(error)
                time.sleep(ASK_AGAIN_SECONDS)
            else:
                self.is_answered()
                return answer

    def is_answered(self) -> None:
        """There was an answer."""
        self.silent_since = None

    def bear(self, error: NoAnswerError) -> None:
        """There was none: say so now and then, and how to follow the runs meanwhile.

        Raises:
            AirflowError: If a process that the runs need has ended.
            NoAnswerError: If nobody knows whether they live, and it takes long.
        """
        services, now = self.services(), time.monotonic()
        require_services(services)
        if self.silent_since is None:
            self.silent_since = self.told_at = now
        silent_seconds = now - self.silent_since
        if not services and silent_seconds > UNWATCHED_SILENCE_SECONDS:
            raise error
        if now - self.told_at >= SILENCE_SECONDS:
            self.told_at = now
            self.console.print(
                f"[yellow]Airflow's API has not answered for {silent_seconds:.0f} s; its processes "
                "live, and the runs go on.[/yellow] Ctrl-C ends this view alone; `make status` "
                "shows what is published, `make logs` what is at work, and `make ui` in another "
                "terminal starts an API server anew that stays silent",
                soft_wrap=True,
            )


def require_services(services: dict[str, bool]) -> None:
    """Check that the processes live that runs need.

    Raises:
        AirflowError: If one has ended.
    """
    ended = [name for name, is_alive in services.items() if not is_alive]
    if ended:
        raise AirflowError(
            f"{', '.join(ended)} ended while the dates were under way. Published scores are "
            "still there. `make logs` has its last words; `make run` starts it again and goes "
            "on with the dates"
        )
