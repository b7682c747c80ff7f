"""`make check-source`: what would come of a shop's files, in seconds and before anything is set up.

The files are landed, judged, staged and built into marts by the very code that a run uses, in a
throw-away home with a Postgres of its own, which is deleted at the end however that comes. Nothing
of the shop's home is touched: it need not be there.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from expectations.days import gate_days
from expectations.raw import gate_raw
from expectations.rejects import gate_rejects
from expectations.results import GateFailed
from ingest.batches import accept, close_build
from ingest.files import TABLE_PREFIX
from ingest.land import land
from ingest.ledger import LandedFile
from local import answerable, postgres
from local.home import free_port
from local.run import check_files, with_files
from perennial import shop
from perennial.dbt import dbt
from perennial.settings import SAMPLE_SHOP, Settings, SettingsError, shop_of
from perennial.text import plain

PREFIX = "perennial-check-"
# Up to the marts: features cost more than a person waits for.
MARTS = (
    "run",
    "--select",
    "staging",
    "+marts",
    "int_rejected_rows",
    "int_reduced_orders",
    "+int_sent_files",
    "int_changed_files",
)
GATES_OF_MARTS = (gate_rejects, gate_days)
RUN = "check-source"
INTERRUPTED = 130  # a shell's exit code of what Ctrl-C ended

Tell = Callable[[str], object]
# Of a gate's message: what a person would do, or look at, in a home that stays.
HERE_ONLY = re.compile(r"^batch [\d, ]+ is held: |\bintermediate\.int_rejected_rows: ")
WHAT_TO_DO = re.compile(r"\.? (?:Look at ops|If it is right)")


def check_source(settings: Settings, day: date | None, tell: Tell = print) -> int:
    """Say what would come of the shop's files.

    Args:
        settings: Source and files; time zone and currency as set, else the home's, if it is this
            shop's, else the source's.
        day: Replaces `{as_of_date}` in the files' name.
        tell: Takes each line of what is found.

    Returns:
        0 if a run would let the files in and has orders of them, 130 after Ctrl-C, else 1.

    Raises:
        LandingError: If the files can't be landed.
        DbtError: If staging or the marts can't be built.
    """
    if settings.source == SAMPLE_SHOP or settings.files.startswith(TABLE_PREFIX):
        raise SettingsError(
            "check-source reads a shop's files: say SOURCE=<staging folder> FILES=<path, folder, "
            "glob or URL>; of tables in the warehouse, export some rows as CSV"
        )
    settings = with_files(settings)
    check_files(settings, [day] if day else [])
    mine = shop.own(_without_home_of_another(settings))
    _sweep()
    try:
        with _throw_away_home(settings, mine) as home:
            return _check(home, day or datetime.now(UTC).date() + timedelta(days=1), tell)
    except KeyboardInterrupt:
        tell("stopped: nothing of the check is left")
        return INTERRUPTED


def _check(home: Settings, day: date, tell: Tell) -> int:
    landing = land(home, day, home.files, RUN)
    for file in landing.files:
        tell(_described(file))
    assert landing.batch_id is not None
    batch_id = landing.batch_id
    is_let_in = _passes(tell, "at the door", gate_raw, home, batch_id, day, RUN)
    if not is_let_in:
        accept(home, batch_id, RUN)  # to go on
    tell("Building staging and marts of them ...")
    dbt(home, day, *MARTS)
    close_build(home)
    for gate in GATES_OF_MARTS:
        is_let_in &= _passes(tell, "once they are built", gate, home, day, RUN)
    found = answerable.summary(home)
    for line in answerable.lines(home, found):
        tell(line)
    return 0 if is_let_in and found.count_orders else 1


def _passes(tell: Tell, when: str, gate: Callable[..., dict[str, Any]], *arguments: Any) -> bool:
    """Whether a gate lets the files through; says what it holds or warns of."""
    try:
        judged = gate(*arguments)
    except GateFailed as failure:
        why, *_ = WHAT_TO_DO.split(_of_files(str(failure)))
        tell(f"A run would hold them {when}: {why}.")
        return False
    for warning in judged["warnings"]:
        tell(f"A run would warn: {_of_files(str(warning))}")
    return True


def _of_files(text: str) -> str:
    """What a gate says, without batches and tables that are gone when it is read."""
    return plain(HERE_ONLY.sub("", text))


def _described(file: LandedFile) -> str:
    line = f"{plain(file.name)}: {file.landed:,} rows of {file.table}"
    if file.rejected:
        line += f", {file.rejected:,} records that can't be read"
    if file.ignored_columns:
        line += f"; columns that are not used: {plain(', '.join(file.ignored_columns))}"
    return line


def _without_home_of_another(settings: Settings) -> Settings:
    if shop_of(settings.home) in (None, settings.source):
        return settings
    return settings.model_copy(update={"home": Path(tempfile.gettempdir()) / "nobody's"})


@contextmanager
def _throw_away_home(settings: Settings, mine: shop.Own) -> Iterator[Settings]:
    """A home with its own server; both are gone afterwards, also after Ctrl-C or `kill`."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    home = settings.model_copy(
        update={
            "home": folder,
            "secrets": None,
            "schedule": "off",
            "pg_host": "127.0.0.1",
            "pg_port": free_port(),
            "time_zone": mine.time_zone,
            "currency": mine.currency,
        }
    )
    with (folder / "lock").open("w") as lock, _interruptible():
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            postgres.start(home)
            yield home
        finally:
            _delete(home)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have a `kill`, or a terminal that is closed, end us as Ctrl-C does: with what cleans up.

    What is ignored, as under nohup, stays so.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    heeded = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, interrupt) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _delete(home: Settings) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave half
    try:
        postgres.stop(home)
        postgres.remove(home)
        shutil.rmtree(home.home)
    finally:
        signal.signal(signal.SIGINT, before)


def _sweep() -> None:
    """Delete what a check left that was killed outright; one that is under way holds its lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), (folder / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _delete(Settings(home=folder))
