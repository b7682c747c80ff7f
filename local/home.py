"""A home: the state of one shop on one machine (PERENNIAL_HOME)."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from perennial.bootstrap import ROLES, SUPERUSER
from perennial.settings import PII_KEY, Settings, SettingsError

AIRFLOW_SECRETS = ("airflow_admin", "airflow_jwt", "airflow_fernet", "airflow_api")


def prepare(settings: Settings) -> None:
    """Make the home's folders and passwords, and bind it to its shop.

    Raises:
        SettingsError: If the home belongs to another shop, or can't be made.
    """
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"PERENNIAL_HOME={settings.home} can't be made: {error}") from None
    _claim(settings)
    for folder in ("logs", "run"):
        (settings.home / folder).mkdir(exist_ok=True)
    settings.secrets_dir.mkdir(mode=0o700, exist_ok=True)
    for name in (SUPERUSER, *ROLES, *AIRFLOW_SECRETS, PII_KEY):
        _make_secret(settings.secrets_dir / name)


@contextmanager
def one_at_a_time(
    settings: Settings, what: str, tell: Callable[[str], object] = lambda text: None
) -> Iterator[None]:
    """Wait until no other process does the same to this home; the lock goes with the process.

    Args:
        settings: Whose home; its folder is made if need be.
        what: Name of the lock.
        tell: Told, in words, whom it waits for.
    """
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{what}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            tell(f"process {file.read().strip() or '?'} does the same to {settings.home}: waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _claim(settings: Settings) -> None:
    """Bind the home to its shop; a home is never shared by two."""
    path = settings.home / "shop.json"
    if path.exists():
        owner = json.loads(path.read_text())["source"]
        if owner != settings.source:
            raise SettingsError(
                f"{settings.home} belongs to the shop SOURCE={owner}, not {settings.source}: "
                "give the other shop a home of its own, for example "
                f"PERENNIAL_HOME=.perennial_{settings.source} (and ports of its own: "
                "PERENNIAL_PG_PORT, PERENNIAL_AIRFLOW_PORT)"
            )
        return
    path.write_text(json.dumps({"source": settings.source}) + "\n")


def _make_secret(path: Path) -> None:
    if path.exists():
        return
    # written aside and renamed, so that a start cut short leaves no empty password
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    draft.replace(path)


def require_free_port(port: int, variable: str, host: str = "127.0.0.1") -> None:
    """Check that nothing listens there yet.

    Raises:
        SettingsError: If something does; the message names the variable that moves the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"port {port} on {host} is taken ({error.strerror}): "
                f"stop what listens there, or choose another with {variable}=<port>"
            ) from None
