"""Staging's casts turn a text into a value or null, and never fail."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from jinja2 import Environment
from psycopg import sql

from perennial.casts import casts
from perennial.ids import is_nobody, plain_customer_id, plain_id
from perennial.settings import DBT_PROJECT, Settings
from perennial.warehouse import connect
from tests.faults.bad_files import KEYS, NUMBERS, TEXTS, TIMES

CASTS = (
    *("as_whole_number", "as_number", "as_date", "as_shop_time", "as_order_time"),
    *("as_id", "as_customer_id", "as_text", "is_guest_code", "is_rounded_id"),
)
LANDED = "2026-11-22 10:00:00+00"


def ask(settings: Settings, cast: str, texts: list[str]) -> list[Any]:
    """A cast's result for each text, as text."""
    return answers(settings, getattr(casts("Europe/London"), cast)("text"), texts)


def answers(settings: Settings, expression: str, texts: list[str]) -> list[Any]:
    """The result of an SQL expression of `text` for each text, as text."""
    expression = expression.replace("%", "%%")
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
        ("as_number", "1e-17", "0.00000000000000001"),
        # 18 decimals are kept, further ones are rounded
        ("as_number", "2.0833333333333335", "2.0833333333333335"),
        ("as_number", "12.500000000000000000", "12.5"),
        ("as_number", "0.12345678901234567850", "0.123456789012345679"),
        ("as_number", "1" * 16, None),
        # thousands separators, where the form means one number only
        ("as_number", "1,234.50", "1234.5"),
        ("as_number", "-1,234,567.5", "-1234567.5"),
        ("as_number", "1,234,567", "1234567"),
        ("as_number", "1.234,50", "1234.5"),
        ("as_number", "1.234.567", "1234567"),
        ("as_number", "1 234,50", "1234.5"),
        ("as_number", "1\u00a0234.50", "1234.5"),
        ("as_number", "1'234.50", "1234.5"),
        ("as_number", "12,50", "12.5"),
        ("as_number", "0,750", "0.75"),
        ("as_number", "1234,567", "1234.567"),
        ("as_number", "1,234", None),
        ("as_number", "-12,345", None),
        ("as_number", "1,23,456", None),
        ("as_number", "1,2345.6", None),
        ("as_number", "12.34,50", None),
        ("as_number", "£1.50", None),
        ("as_number", "0x10", None),
        ("as_number", "1_000", None),
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
        ("as_shop_time", "2024-07-01 10:00:00 UTC", "2024-07-01 10:00:00+00"),
        ("as_shop_time", "2024-07-01 10:00:00.123 utc", "2024-07-01 10:00:00.123+00"),
        ("as_shop_time", "2024-07-01 10:00 GMT", "2024-07-01 10:00:00+00"),
        ("as_shop_time", "2024-07-01 10:00:00 PM", "2024-07-01 21:00:00+00"),
        ("as_shop_time", "2024-07-01 10:00 PM", "2024-07-01 21:00:00+00"),
        ("as_shop_time", "2024-07-01 12:05:00AM", "2024-06-30 23:05:00+00"),
        ("as_shop_time", "2024-07-01 12:05 pm UTC", "2024-07-01 12:05:00+00"),
        ("as_shop_time", "2024-07-01 13:05 PM", None),
        ("as_shop_time", "2024-07-01 PM", None),
        ("as_shop_time", " 2024-07-01 10:00", "2024-07-01 09:00:00+00"),
        ("as_shop_time", "2024/07/01 10:00", "2024-07-01 09:00:00+00"),
        ("as_shop_time", "2024/07-01 10:00", None),
        # no such day
        ("as_shop_time", "2024-06-31", None),
        ("as_shop_time", "2024-13-01 10:00:00 UTC", None),
        ("as_shop_time", "2024-02-30 10:00 PM", None),
        # in whose time zone?
        ("as_shop_time", "2024-07-01 10:00 CST", None),
        ("as_shop_time", "2024/07/01 10:00 Asia/Tokyo", None),
        ("as_shop_time", "2024-07-01 10:00 Asia/Tokyo", None),
        ("as_shop_time", "2024-07-01 BC", None),
        # which of them is the month?
        ("as_shop_time", "01/07/2024", None),
        ("as_shop_time", "1.7.2024", None),
        ("as_shop_time", "20240701", None),
        ("as_order_time", "2026-11-23 09:00", "2026-11-23 09:00:00+00"),
        ("as_order_time", "2026-11-23", "2026-11-23 00:00:00+00"),
        ("as_order_time", "2026-11-24", None),
        ("as_order_time", "2026-11-24 09:00", None),
        ("as_order_time", "2026/11/23 09:00 PM", "2026-11-23 21:00:00+00"),
        ("as_order_time", "2026/11/24 09:00 PM", None),
        ("as_order_time", "1989/12/31", None),
        ("as_order_time", "2024-06-31", None),
        ("as_order_time", "2024-13-01", None),
        ("as_order_time", "9999-12-31", None),
        ("as_order_time", "1900-01-01", None),
        ("as_order_time", "0001-01-01", None),
        ("as_order_time", "1990-01-01", "1990-01-01 00:00:00+00"),
        # spellings of one id that went through floats
        ("as_id", " 17 ", "17"),
        ("as_id", "17.0", "17"),
        ("as_id", " 17.00", "17"),
        ("as_id", "-1.0", "-1"),
        ("as_id", "1e+05", "100000"),
        ("as_id", "1.50E+05", "150000"),
        ("as_id", "1.55e+01", "1.55e+01"),
        ("as_id", "17.5", "17.5"),
        ("as_id", "v1.0", "v1.0"),
        ("as_id", "a.b+c@example.org", "a.b+c@example.org"),
        ("as_id", "0017", "0017"),
        # rounded by a spreadsheet: it stands for a million ids
        ("as_id", "4.50001E+11", "4.50001E+11"),
        ("is_rounded_id", "4.50001E+11", "true"),
        ("is_rounded_id", "1.5e+01", "false"),
        ("is_rounded_id", "450001000000", "false"),
        ("as_customer_id", "13085.0", "13085"),
        ("as_customer_id", "NULL", None),
        ("as_customer_id", "\\N", None),
        ("as_customer_id", " nan ", None),
        ("as_customer_id", "NA", None),
        ("as_customer_id", "<NA>", None),
        ("as_customer_id", "0", "0"),
        ("as_customer_id", "Nana", "Nana"),
        ("is_guest_code", "0", "true"),
        ("is_guest_code", "0.0", "true"),
        ("is_guest_code", "-1", "true"),
        ("is_guest_code", "Guest", "true"),
        ("is_guest_code", "00000000-0000-0000-0000-000000000000", "true"),
        ("is_guest_code", "01", "false"),
        ("is_guest_code", "-", "false"),
        ("is_guest_code", "guest7", "false"),
        ("as_text", " France ", "France"),
        ("as_text", "\\N", None),
        ("as_text", "NaN", None),
        ("as_text", "NA", "NA"),
    ],
)
def test_a_text_is_the_value_that_a_reader_would_see(
    canonical_home: Settings, cast: str, text: str, value: str | None
) -> None:
    assert ask(canonical_home, cast, [text]) == [value]


@pytest.mark.parametrize("cast", CASTS)
def test_no_text_makes_a_cast_fail(canonical_home: Settings, cast: str) -> None:
    texts = [text for text in [*NUMBERS, *TIMES, *KEYS, *TEXTS] if "\0" not in text]
    # each alone, and joined with its neighbours, for patterns that match only a part
    texts += [a + b for a in texts[:120] for b in texts[::7]]
    assert len(ask(canonical_home, cast, texts)) == len(texts) > 3_000


def test_python_reads_an_id_as_staging_does(canonical_home: Settings) -> None:
    # texts that Postgres cannot store never land
    texts = [text for text in [*NUMBERS, *TIMES, *KEYS, *TEXTS] if "\0" not in text]
    parts = (
        "",
        " ",
        "-",
        "0",
        "17",
        "00",
        ".",
        ".0",
        "5",
        "e+",
        "E+0",
        "1e+1",
        "NULL",
        "\\N",
        "guest",
    )
    texts += ["".join(three) for three in product(parts, repeat=3)]
    for cast, twin in {"as_id": plain_id, "as_customer_id": plain_customer_id}.items():
        given = ask(canonical_home, cast, texts)
        assert dict(zip(texts, [value or "" for value in given], strict=True)) == {
            text: twin(text) for text in texts
        }
    codes = dict(zip(texts, ask(canonical_home, "is_guest_code", texts), strict=True))
    for text in texts:
        assert is_nobody(text) == (plain_customer_id(text) == "" or codes[text] == "true"), text


def estimates(home: Settings, texts: list[str]) -> list[str | None]:
    """Results of `estimated_number` for the texts."""
    macros = (DBT_PROJECT / "macros" / "estimates.sql").read_text()
    estimate = Environment(autoescape=False).from_string(macros).module.estimated_number("text")
    return answers(home, estimate, texts)


def test_an_estimate_reads_a_number_as_a_person_would(canonical_home: Settings) -> None:
    """A single point is a decimal point, as in staging: 2.500 kg are 2.5 kg."""
    meant = {
        "2.500 kg": "2.5",
        "1.899,00 EUR": "1899",
        "1,899.00": "1899",
        "1.234.567": "1234567",
        "EUR 12,5": "12.5",
        "n/a": None,
    }
    found = estimates(canonical_home, list(meant))
    assert [guess and Decimal(guess) for guess in found] == [
        number and Decimal(number) for number in meant.values()
    ]


def test_whatever_number_staging_reads_the_estimate_of_it_is_the_same(
    canonical_home: Settings,
) -> None:
    """A lower estimate would stop the build, because the marts would have more money than raw.

    A former fault: a decimal comma with more than 20 decimals, as a spreadsheet writes a third.
    """
    signs, ends = ("", "-", "+", " ", "\t-"), ("", " ", "\r\n")
    wholes = ("0", "7", "000", "12", "123", "1234", "123456789012345", "1,234", "1,234,567")
    wholes += ("1.234", "12.345.678", "1 234", "1'234", "1\u2009234", "123,456,789,012,345", "")
    decimals = ("", ".", ",", ".5", ",5", ".75", ",750", ".0000", ",3333", "e3", "e+09", "e-17")
    decimals += tuple(point + "3" * count for point in ".," for count in (18, 20, 21, 40, 60, 75))
    texts = ["".join(parts) for parts in product(signs, wholes, decimals, ends)]
    texts += [text for text in NUMBERS if "\0" not in text]
    read = ask(canonical_home, "as_number", texts)
    estimated = estimates(canonical_home, texts)
    differing = {
        text: (number, guess)
        for text, number, guess in zip(texts, read, estimated, strict=True)
        if number is not None
        and (guess is None or abs(Decimal(number) - Decimal(guess)) > Decimal("1e-17"))
    }
    assert differing == {}
    assert sum(number is not None for number in read) > 2_000
