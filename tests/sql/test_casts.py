"""What staging makes of a text: a value, or null. None of the casts ever fails."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import sql

from perennial.casts import casts
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.faults.bad_files import KEYS, NUMBERS, TEXTS, TIMES

CASTS = ("as_whole_number", "as_number", "as_date", "as_shop_time", "as_order_time")
LANDED = "2026-11-22 10:00:00+00"


def ask(settings: Settings, cast: str, texts: list[str]) -> list[Any]:
    """What a cast gives for each text, as text."""
    expression = getattr(casts("Europe/London"), cast)("text").replace("%", "%%")
    query = sql.SQL(
        "select ({})::text from unnest(%s::text[]) with ordinality as given (text, place),"
        " (select %s::timestamptz as _loaded_at) as landing order by place"
    ).format(sql.SQL(expression))
    with connect(settings, "transformer") as connection:
        return [value for (value,) in connection.execute(query, [texts, LANDED])]


@pytest.mark.parametrize(
    ("cast", "text", "value"),
    [
        ("as_whole_number", "12", "12"),
        ("as_whole_number", " -3.00 ", "-3"),
        ("as_whole_number", "1e+05", "100000"),
        ("as_whole_number", "1.5e1", "15"),
        ("as_whole_number", "1.55e1", None),
        ("as_whole_number", "1e9", None),
        ("as_whole_number", "1e300", None),
        ("as_whole_number", str(2**63), None),
        ("as_whole_number", "2.5", None),
        ("as_whole_number", "١٢", None),
        ("as_whole_number", "\u20035", None),
        ("as_number", "1.50", "1.50"),
        ("as_number", "1.5e-05", "0.000015"),
        ("as_number", "1E3", "1000"),
        ("as_number", "1e300", None),
        ("as_number", "1,234.50", None),
        ("as_number", "1.234,50", None),
        ("as_number", "NaN", None),
        ("as_number", "Infinity", None),
        ("as_number", "٣", None),
        ("as_number", ".", None),
        ("as_date", "2024-02-29", "2024-02-29"),
        ("as_date", "2023-02-29", None),
        ("as_date", "infinity", None),
        ("as_shop_time", "2024-07-01 10:00", "2024-07-01 09:00:00+00"),
        ("as_shop_time", "2024-07-01T10:00:00+02:00", "2024-07-01 08:00:00+00"),
        ("as_shop_time", "2024-07-01T10:00:00Z", "2024-07-01 10:00:00+00"),
        ("as_shop_time", "2024-07-01", "2024-06-30 23:00:00+00"),
        # in whose time zone?
        ("as_shop_time", "2024-07-01 10:00 PM", None),
        ("as_shop_time", "2024-07-01 10:00 Asia/Tokyo", None),
        ("as_shop_time", "2024-07-01 BC", None),
        # which of them is the month?
        ("as_shop_time", "01/07/2024", None),
        ("as_shop_time", "1.7.2024", None),
        ("as_shop_time", "20240701", None),
        ("as_order_time", "2026-11-23 09:00", "2026-11-23 09:00:00+00"),
        ("as_order_time", "2026-11-24 09:00", None),
        ("as_order_time", "9999-12-31", None),
        ("as_order_time", "1900-01-01", None),
        ("as_order_time", "0001-01-01", None),
        ("as_order_time", "1990-01-01", "1990-01-01 00:00:00+00"),
    ],
)
def test_a_text_is_the_value_that_a_reader_would_see(
    canonical_home: Settings, cast: str, text: str, value: str | None
) -> None:
    assert ask(canonical_home, cast, [text]) == [value]


@pytest.mark.parametrize("cast", CASTS)
def test_no_text_makes_a_cast_fail(canonical_home: Settings, cast: str) -> None:
    texts = [text for text in [*NUMBERS, *TIMES, *KEYS, *TEXTS] if "\0" not in text]
    # each alone, and with its neighbours' ends: what a pattern lets through by half
    texts += [a + b for a in texts[:120] for b in texts[::7]]
    assert len(ask(canonical_home, cast, texts)) == len(texts) > 3_000
