"""The shop's own settings, time zone and currency: the home's from its first start on.

A build in one time zone and the next in another would put orders into each other's days, without
a word. So they are kept in the home (`shop.json`) and in its warehouse (`ops.shop`): who sets
nothing later has the home's own, and who sets another is refused. Everybody asks `own`.

Change them on purpose: `make shop TIME_ZONE= CURRENCY=`; in containers
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
    "time_zone": "all orders are then built anew",
    "currency": "a name alone: nothing is converted",
}


@dataclass(frozen=True)
class Own:
    """Time zone (IANA) of the shop's days, currency (ISO 4217) of its amounts."""

    time_zone: str
    currency: str


def own(settings: Settings) -> Own:
    """The shop's own settings: the home's; before its first start as set, else its source's.

    Raises:
        SettingsError: If another is set than the home has.
    """
    kept, source = _kept(settings), sources.load(settings.staging_source)
    found = Own(
        kept.get("time_zone") or settings.time_zone or source.time_zone,
        kept.get("currency") or settings.currency or source.currency,
    )
    _check(settings, found)
    return found


def defaults(settings: Settings) -> list[str]:
    """Names of those that nobody has stated: neither the home has them, nor are they set."""
    kept = _kept(settings)
    given = {name: getattr(settings, name) for name in asdict(own(settings))}
    return [name for name, value in given.items() if not value and not kept.get(name)]


def described(settings: Settings, by_default: Sequence[str] = ()) -> str:
    """The shop, its time zone and its currency, in one line.

    Args:
        settings: Of its home.
        by_default: Those that nobody had stated before the start, named as defaults.
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
    """Write them into the home, whole or not at all."""
    path = settings.home / SHOP_FILE
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps({"source": settings.source, **asdict(mine)}) + "\n")
    draft.replace(path)


def bind(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """Bind a warehouse to them. One of an earlier version adopts what its orders were built with.

    Args:
        connection: Of the owner.
        settings: Of the home that the warehouse belongs to, or of one of several homes.

    Raises:
        SettingsError: If the warehouse has another time zone or currency than is set.
    """
    row = connection.execute("select time_zone, currency from ops.shop").fetchone()
    if row:
        found = Own(*row)
    else:
        built = _built_time_zone(connection)
        mine = own(settings.model_copy(update={"time_zone": ""})) if built else own(settings)
        found = Own(built or mine.time_zone, mine.currency)
    _check(settings, found)
    if not row:
        connection.execute(
            "insert into ops.shop (source, time_zone, currency) values (%s, %s, %s)",
            [settings.source, found.time_zone, found.currency],
        )
    if _kept(settings) != {"source": settings.source, **asdict(found)}:
        keep(settings, found)


def change(settings: Settings, mine: Own) -> bool:
    """Change them on purpose; the next build makes all orders anew in another time zone.

    Whole or not at all: cut short between home and warehouse, the next start has the old ones.

    Args:
        settings: Of a home whose warehouse answers and where no step is at work.
        mine: The new ones.

    Returns:
        Whether all orders are to be built anew: not for a currency, which is a name alone.

    Raises:
        SettingsError: If the currency or time zone is none, or a step is at work.
    """
    Settings(**asdict(mine))  # is there such a zone?
    before = own(settings.model_copy(update={"time_zone": "", "currency": ""}))
    is_built_anew = mine.time_zone != before.time_zone
    _require_quiet(settings)
    with connect(settings, OWNER) as connection:
        connection.execute(
            "update ops.shop set time_zone = %s, currency = %s", [mine.time_zone, mine.currency]
        )
        if is_built_anew:  # every file counts as changed, so the next build reads them all
            connection.execute("delete from ops.built_files")
        keep(settings, mine)  # before the commit: what can't be written changes nothing
    return is_built_anew


def _kept(settings: Settings) -> dict[str, str]:
    kept = shop_file(settings.home)
    return kept if kept.get("source") == settings.source else {}


def _check(settings: Settings, found: Own) -> None:
    for name, theirs in asdict(found).items():
        given = getattr(settings, name)
        if given and given != theirs:
            setting = name.upper()
            raise SettingsError(
                f"{setting}={given}: {settings.home} has {setting}={theirs}, and orders of both "
                "would be mixed. Leave the setting out to go on with the home's; to change the "
                f"home's on purpose: make shop {setting}={given} ({COSTS[name]})"
            )


def _require_quiet(settings: Settings) -> None:
    """Check that no step is at work: its rows would be of the old ones."""
    with connect(settings, "eraser") as connection:  # who may see others' sessions
        (busy,) = connection.execute(
            "select string_agg(distinct usename, ', ') from pg_stat_activity"
            " where datname = current_database() and usename in ('loader', 'transformer', 'scorer')"
        ).fetchone() or (None,)
    if busy:
        raise SettingsError(
            f"a step is at work ({busy} is connected): nothing was changed; try again after it"
        )


def _built_time_zone(connection: psycopg.Connection[Any]) -> str | None:
    """The time zone of the last build, out of the view that gives each order its day."""
    (zone,) = connection.execute(
        "select substring(pg_get_viewdef(to_regclass('intermediate.int_orders')) "
        " from '(?i)at time zone ''([^'']+)''')"
    ).fetchone() or (None,)
    return zone
