"""What a user can mend, in one line with the remedy; all else keeps its traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from perennial.text import plain

PIPE_CLOSED = 141  # as a shell has it of a process that SIGPIPE ended
INTERRUPTED = (
    "ended by Ctrl-C; what Airflow was given to do goes on: `make status` shows what is there, "
    "`make down` stops all, and the same command goes on where it was"
)


def exit_code(call: Callable[[], int | None], error_code: int = 1) -> int:
    """Run a command; print what a user can mend as one line on standard error.

    Args:
        call: The command; its result is the exit code, None stands for 0.
        error_code: Exit code where it raised what a user can mend.
    """
    try:
        code = call() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        reason: str | None = INTERRUPTED
    except BrokenPipeError:
        # whoever read has enough; what is still to be written goes nowhere, without a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
    print(f"error: {plain(reason)}", file=sys.stderr)
    return error_code


def _reason(error: Exception) -> str | None:
    """What went wrong and the remedy; None if no user can mend it."""
    import errno

    import psycopg
    from pydantic import ValidationError

    from perennial.machine import REMEDIES, refusal
    from perennial.settings import explained

    if isinstance(error, ValidationError):
        return explained(error)
    if isinstance(error, _own_errors()):
        return str(error)
    if isinstance(error, psycopg.errors.DiskFull):
        return f"the warehouse's disk is full ({error}): {REMEDIES[errno.ENOSPC]}"
    if isinstance(error, psycopg.OperationalError):
        return f"the warehouse does not answer ({error}): `make ui` starts it"
    return refusal(error) if isinstance(error, OSError) else None


def _own_errors() -> tuple[type[Exception], ...]:
    """Errors that we raise with the remedy in their message."""
    from ingest.files import LandingError
    from local.backup import BackupError
    from ml_tasks.models.champions import ChampionError
    from oncall.airflow_api import AirflowError
    from oncall.delivery import DeliveryError
    from perennial.dbt import DbtError
    from perennial.settings import SettingsError
    from privacy.persons import PrivacyError

    return (
        *(SettingsError, LandingError, AirflowError, BackupError, ChampionError, DeliveryError),
        *(DbtError, PrivacyError),
    )
