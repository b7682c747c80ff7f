"""The shop's own settings, time zone and currency: fixed for a home by its first start.

If two builds had different time zones, orders would silently fall into wrong days. So both settings
are stored in the home (`shop.json`) and in its warehouse (`ops.shop`). A later start without them
uses the stored ones; a start with other values is refused. All code reads them with `own`.

To change them on purpose: `make shop TIME_ZONE= CURRENCY=`; in containers
`perennial shop --in-containers --new-time-zone= --new-currency=`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from perennial import sources
from perennial.roles import OWNER
from perennial.settings import SHOP_FILE, Settings, SettingsError, shop_file
from perennial.warehouse import connect

if TYPE_CHECKING:
    import psycopg

COSTS = {
    "time_zone": "all orders are then built again",
    "currency": "only a name: no amount is converted",
}


@dataclass(frozen=True)
class Own:
    """Time zone (IANA) of the shop's days, currency (ISO 4217) of its amounts."""

    time_zone: str
    currency: str


def own(settings: Settings) -> Own:
    """The shop's own settings: those stored in the home, else those set, else the source's.

    Raises:
        SettingsError: If a value is set that differs from the home's.
    """
    kept, source = _kept(settings), sources.load(settings.staging_source)
    mine = Own(
        kept.get("time_zone") or settings.time_zone or source.time_zone,
        kept.get("currency") or settings.currency or source.currency,
    )
    _check(settings, mine)
    return mine


def defaults(settings: Settings) -> list[str]:
    """Names of the settings that have the source's default: neither stored in the home nor set."""
    kept = _kept(settings)
    given = {name: getattr(settings, name) for name in asdict(own(settings))}
    return [name for name, value in given.items() if not value and not kept.get(name)]


def described(settings: Settings, by_default: Sequence[str] = ()) -> str:
    """One line with the shop, its time zone and its currency.

    Args:
        settings: Settings of the home.
        by_default: Names of settings to mark as defaults that nobody stated.
    """
    mine = own(settings)
    line = f"shop {settings.source}: days in {mine.time_zone}, money in {mine.currency}"
    if not by_default:
        return line
    others = {"time_zone": "America/Sao_Paulo", "currency": "BRL"}
    change = " ".join(f"{name.upper()}={others[name]}" for name in by_default)
    return (
        f"{line} (nobody stated the {' and the '.join(by_default).replace('_', ' ')}: as "
        f"SOURCE={settings.staging_source} has by default; another: make shop {change})"
    )


def keep(settings: Settings, mine: Own) -> None:
    """Write the settings into the home's shop.json, by an atomic rename."""
    path = settings.home / SHOP_FILE
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"source": settings.source, **asdict(mine)}) + "\n")
    draft.replace(path)


def bind(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """Store the settings in a warehouse, unless it has them, and copy the warehouse's to the home.

    A warehouse of an earlier version adopts the time zone with which its orders were built.

    Args:
        connection: Connection of the owner.
        settings: Settings of the warehouse's home, or of one of its homes.

    Raises:
        SettingsError: If a value is set that differs from the warehouse's.
    """
    row = connection.execute("select time_zone, currency from ops.shop").fetchone()
    if row:
        theirs = Own(*row)
    else:
        built = _built_time_zone(connection)
        mine = own(settings.model_copy(update={"time_zone": ""})) if built else own(settings)
        theirs = Own(built or mine.time_zone, mine.currency)
    _check(settings, theirs)
    if not row:
        connection.execute(
            "insert into ops.shop (source, time_zone, currency) values (%s, %s, %s)",
            [settings.source, theirs.time_zone, theirs.currency],
        )
    if _kept(settings) != {"source": settings.source, **asdict(theirs)}:
        keep(settings, theirs)


def change(settings: Settings, mine: Own) -> bool:
    """Change the shop's settings. After a new time zone, the next build makes all orders again.

    The change is atomic: if it is interrupted between home and warehouse, the next start has the
    old settings.

    Args:
        settings: Settings of a home with a running warehouse and no running step.
        mine: The new settings.

    Returns:
        Whether all orders will be built again; a new currency alone needs no build.

    Raises:
        SettingsError: If the currency or time zone is not valid, or a step is running.
    """
    Settings(**asdict(mine))  # validates both
    before = own(settings.model_copy(update={"time_zone": "", "currency": ""}))
    is_rebuilt = mine.time_zone != before.time_zone
    _require_quiet(settings)
    with connect(settings, OWNER) as connection:
        connection.execute(
            "update ops.shop set time_zone = %s, currency = %s", [mine.time_zone, mine.currency]
        )
        if is_rebuilt:  # every file counts as changed, so the next build reads them all
            connection.execute("delete from ops.built_files")
        keep(settings, mine)  # before the commit: if it fails, the warehouse is rolled back
    return is_rebuilt


def _kept(settings: Settings) -> dict[str, str]:
    kept = shop_file(settings.home)
    return kept if kept.get("source") == settings.source else {}


def _check(settings: Settings, kept: Own) -> None:
    for name, theirs in asdict(kept).items():
        given = getattr(settings, name)
        if given and given != theirs:
            setting = name.upper()
            raise SettingsError(
                f"{setting}={given}: {settings.home} has {setting}={theirs}, and orders of both "
                "would be mixed. Leave the setting out to use the home's; to change the "
                f"home's on purpose: make shop {setting}={given} ({COSTS[name]})"
            )


def _require_quiet(settings: Settings) -> None:
    """Check that no step is running: its rows would have the old settings."""
    with connect(settings, "eraser") as connection:  # this role sees others' sessions
        (busy,) = connection.execute(
            "select string_agg(distinct usename, ', ') from pg_stat_activity"
            " where datname = current_database() and usename in ('loader', 'transformer', 'scorer')"
        ).fetchone() or (None,)
    if busy:
        raise SettingsError(
            f"a step is at work ({busy} is connected): nothing was changed; try again when it has "
            "ended"
        )


def _built_time_zone(connection: psycopg.Connection[Any]) -> str | None:
    """Time zone of the last build, read from the view that assigns each order its day."""
    (zone,) = connection.execute(
        "select substring(pg_get_viewdef(to_regclass('intermediate.int_orders')) "
        " from '(?i)at time zone ''([^'']+)''')"
    ).fetchone() or (None,)
    return zone
