"""A home: the state of one shop on one machine (PERENNIAL_HOME)."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from ingest import copies
from local.server_folder import data_folder, has_database, link_of
from perennial.bootstrap import ROLES, SUPERUSER
from perennial.settings import PII_KEY, SERVE_TOKEN, Settings, SettingsError, shop_of
from perennial.shop import keep, own

AIRFLOW_SECRETS = ("airflow_admin", "airflow_jwt", "airflow_fernet", "airflow_api")
MLFLOW_SECRETS = ("mlflow_admin", "mlflow_sessions")
SHORTEST_SECRET = 16
# What the database, or what is in it, was made with; all other passwords are set anew at a start.
LASTING_SECRETS = {
    PII_KEY: "personal values are hashed with it, so with another one each customer would be a "
    "stranger, to erasures and exports too",
    SUPERUSER: "it is the database's own password, and no other opens it",
    "airflow_fernet": "connections and variables that were entered in Airflow are encrypted with "
    "it (if there are none, write any text of 40 characters into it)",
}
PORTS = ("pg_port", "airflow_port", "mlflow_port", "serve_port")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def prepare(settings: Settings) -> list[str]:
    """Make the home's folders and passwords, and bind it to its shop.

    Returns:
        Passwords that were made anew although the home has a database: they had been lost.

    Raises:
        SettingsError: If the home belongs to another shop, or can't be made; if a password is too
            short, open to other users, or lost and can't be made anew; if a server would listen to
            other machines.
    """
    if settings.pg_host not in LOOPBACK:
        raise SettingsError(
            f"PERENNIAL_PG_HOST={settings.pg_host}: the embedded Postgres listens to this machine "
            "only, for it knows no TLS. Let others in through a tunnel (ssh -L 54320:127.0.0.1:"
            f"{settings.pg_port}), or use a Postgres of your own"
        )
    make_folders(settings)
    settings.secrets_dir.mkdir(mode=0o700, exist_ok=True)
    names = (SUPERUSER, *ROLES, *AIRFLOW_SECRETS, *MLFLOW_SECRETS, PII_KEY, SERVE_TOKEN)
    missing = [name for name in names if not (settings.secrets_dir / name).exists()]
    lost = missing if has_database(settings) else []
    for name, why in LASTING_SECRETS.items():
        if name in lost:
            raise SettingsError(
                f"{settings.secrets_dir / name} is gone, and it can't be made anew: {why}. Bring "
                f"the file back from a backup (<backup>/home/secrets/{name}) or from where you "
                "keep the passwords; PERENNIAL_SECRETS names their folder if it is not the home's"
                f"{_to_begin_anew(settings)}"
            )
    for name in names:
        _make_secret(settings.secrets_dir / name)
    if lost:
        print(
            f"made in {settings.secrets_dir}, new or lost: {', '.join(lost)}. "
            "Who logs in with one of them needs the new one (`make dsn ROLE=...`)",
            flush=True,
        )
    return lost


def _to_begin_anew(settings: Settings) -> str:
    """Remedy if somebody deleted the home whose database lies elsewhere; else empty."""
    link = link_of(settings)
    if link.is_symlink() or link.exists():
        return ""
    folder = data_folder(settings).parent
    return f". If the home was deleted to begin anew, delete its database, too: {folder}"


def make_folders(settings: Settings) -> None:
    """Make the home and what is in it, and bind it to its shop, time zone and currency.

    Copies of files that a killed landing left behind are deleted.

    Raises:
        SettingsError: If the home belongs to another shop, has another time zone or currency, or
            can't be made.
    """
    _make(settings, settings.home)
    _claim(settings)
    for folder in ("logs", "run"):
        (settings.home / folder).mkdir(exist_ok=True)
    copies.remove_left(settings)


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
    _make(settings, folder)
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


def _make(settings: Settings, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"PERENNIAL_HOME={settings.home} can't be made: {error}") from None


def _claim(settings: Settings) -> None:
    """Bind the home to its shop; a home is never shared by two."""
    owner = shop_of(settings.home)
    if owner is None:
        keep(settings, own(settings))
    elif owner != settings.source:
        raise SettingsError(
            f"{settings.home} belongs to the shop SOURCE={owner}, not {settings.source}: "
            "give the other shop a home of its own, for example "
            f"PERENNIAL_HOME=.perennial_{settings.source} (and ports of its own: "
            "PERENNIAL_PG_PORT, PERENNIAL_AIRFLOW_PORT)"
        )
    else:
        own(settings)  # another time zone than the home's is an error


@contextmanager
def whole_file(path: Path, mode: int = 0o644) -> Iterator[TextIO]:
    """A file that is there once it is whole, and as it was before if that fails."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def private_file(path: Path) -> AbstractContextManager[TextIO]:
    """The same for its owner's eyes only."""
    return whole_file(path, 0o600)


def _make_secret(path: Path) -> None:
    if not path.exists():
        with private_file(path) as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"{path} can be read by other users: chmod 600 {path}")
    if len(path.read_text().strip()) < SHORTEST_SECRET:
        raise SettingsError(
            f"{path} holds a password of fewer than {SHORTEST_SECRET} characters: "
            "write a longer one, or delete the file before the first start and one is made"
        )


def free_ports() -> dict[str, int]:
    """Ports for the servers of one home on which nothing listens just now, by setting."""
    with ExitStack() as held:
        probes = {name: held.enter_context(socket.socket()) for name in PORTS}
        for probe in probes.values():
            probe.bind(("127.0.0.1", 0))
        return {name: probe.getsockname()[1] for name, probe in probes.items()}


def free_port() -> int:
    """A TCP port on loopback on which nothing listens just now."""
    return free_ports()["pg_port"]


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
