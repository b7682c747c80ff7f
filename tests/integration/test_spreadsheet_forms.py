"""Files of spreadsheets, databases and manual exports: read, or reported with the line.

Forms from public bug reports, each applied to a sound file of a hundred invoice lines.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from expectations.raw import gate_raw
from expectations.results import GateFailed
from ingest.files import LandingError
from ingest.land import land
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.steps import build, land_files

CASES = Path(__file__).parent.parent / "cases"
DAY = date(2024, 6, 1)
HEADER = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
LINES = [
    f"60{n:04},1000{n % 10},MUG,2,2024-05-{n % 28 + 1:02} 10:00:00,2.50,{n},Austria"
    for n in range(100)
]
Spoil = Callable[[list[str]], list[str] | bytes]


def some(share: float, change: Callable[[str], str]) -> Spoil:
    """Change a share of the lines, from the third line of the file on; never the header."""
    every = round(1 / share)
    return lambda lines: [
        change(line) if number and number % every == 1 % every + (every > 1) else line
        for number, line in enumerate(lines)
    ]


def cp1252(share: float) -> Spoil:
    def spoil(lines: list[str]) -> bytes:
        spoilt = some(share, lambda line: line.replace("Austria", "Österreich"))(lines)
        return "\r\n".join(spoilt).encode("cp1252")

    return spoil


@pytest.fixture(autouse=True)
def empty(online_retail_home: Settings) -> None:
    with connect(online_retail_home, "perennial") as connection:
        connection.execute("truncate raw.online_retail_invoice_lines")
        connection.execute("truncate ops.landed_files cascade")


def through_the_door(settings: Settings, folder: Path, spoil: Spoil) -> list[str]:
    """Land the file and run the raw gate; return the warnings."""
    content = spoil([HEADER, *LINES])
    if not isinstance(content, bytes):
        content = "\r\n".join(content).encode()
    (folder / "lines.csv").write_bytes(content)
    landing = land(settings, DAY, str(folder / "lines.csv"), "test")
    return gate_raw(settings, landing.batch_id, DAY, "test")["warnings"]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda lines: ["sep=,", *lines], id="a line that names the delimiter"),
        pytest.param(lambda lines: ["sep=;", *(s.replace(",", ";") for s in lines)], id="sep=;"),
        pytest.param(
            lambda lines: b"\xef\xbb\xbf" + "\n".join(lines).replace(",", ";").encode(),
            id="a byte order mark and semicolons",
        ),
        pytest.param(lambda lines: [f"{line},Note" for line in lines], id="one more column"),
    ],
)
def test_a_form_is_read_like_the_sound_file(online_retail_home, tmp_path, spoil):
    assert through_the_door(online_retail_home, tmp_path, spoil) == []
    with connect(online_retail_home, "loader") as connection:
        found = connection.execute(
            "select concat_ws(',', invoice, stock_code, description, quantity, invoice_date, price,"
            " customer_id, country) from raw.online_retail_invoice_lines order by _line"
        ).fetchall()
    assert [line for (line,) in found] == LINES


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            cp1252(0.2),
            r"Of 100 records of \S+/lines\.csv, 20 can't be read: not UTF-8 \(20, first on line 3"
            r"\): have the file written in UTF-8",
            id="a fifth in cp1252",
        ),
        pytest.param(
            some(0.1, lambda line: line.replace("MUG", r'"12\" RULER, WOOD"')),
            r"10 can't be read: a quote written as \\\", which CSV writes as \"\" \(10, first on "
            r"line 3\): have quotes inside a text doubled",
            id="backslash quotes",
        ),
        pytest.param(
            some(0.1, lambda line: line.removesuffix(",Austria")),
            r"10 can't be read: 7 fields, expected 8 \(10, first on line 3\)",
            id="short rows",
        ),
        pytest.param(
            some(1, lambda line: f"{line},"),
            r"100 can't be read: a delimiter at the end of the line, which the header has not "
            r"\(100, first on line 2\): have the header end like the lines",
            id="a comma at the end",
        ),
        pytest.param(
            some(1, lambda line: line.replace("2024-05-", "453").replace(" 10:00:00", ".4166667")),
            r"100 .100\.0%. are no timestamp that staging reads; their forms: '99999\.9999999' "
            r".100.; the first is on line 2 of \S+/lines\.csv: have times as 2024-05-31 22:00:00",
            id="a spreadsheet's serial days",
        ),
        pytest.param(
            some(1, lambda line: line.replace("2024-05-01", "5/1/2024").replace("2024-05-", "5/")),
            "are no timestamp that staging reads; their forms: '9/99 99:99:99'",
            id="American dates",
        ),
        pytest.param(
            some(0.1, lambda line: line.replace("2.50", "£2.50")),
            r"10 .10\.0%. are no number that staging reads; their forms: '£9\.99' .10.; the first "
            r"is on line 3 of \S+/lines\.csv: have numbers as 1234\.50 \(1,234",
            id="pound signs",
        ),
    ],
)
def test_a_form_that_is_not_read_is_held_with_its_file_line_and_reason(
    online_retail_home, tmp_path, spoil, message
):
    with pytest.raises(GateFailed, match=rf"batch \d+ is held: .*{message}"):
        through_the_door(online_retail_home, tmp_path, spoil)


def test_a_few_lines_of_another_encoding_are_reported_by_their_reason(online_retail_home, tmp_path):
    _, message = through_the_door(online_retail_home, tmp_path, cp1252(0.02))
    assert "2 can't be read: not UTF-8 (2, first on line 3): have the file written in" in message


def test_titles_above_the_header_and_utf_16_are_refused_in_a_sentence(online_retail_home, tmp_path):
    with pytest.raises(LandingError, match="The columns stand on line 3: delete the lines above"):
        through_the_door(online_retail_home, tmp_path, lambda lines: ["Orders", "", *lines])
    with pytest.raises(LandingError, match="is UTF-16: have it saved as UTF-8"):
        through_the_door(online_retail_home, tmp_path, lambda s: "\n".join(s).encode("utf-16"))


def test_headers_only_are_no_first_load(online_retail_home):
    """StarRocks/starrocks#70225, microsoft/finops-toolkit#2042."""
    case = CASES / "20-header-only" / "2024-12-25.csv"
    with pytest.raises(GateFailed, match=r"records_so_far.*The files hold headers only"):
        land_files(online_retail_home, DAY, case)


def test_a_day_without_orders_is_built_for_like_any_other(start_home, tmp_path):
    """Header-only files after a sound shop's: no order is lost, no gate stops the date."""
    home = start_home("canonical")
    land_files(home, date(2024, 12, 31), CASES / "00-base")
    build(home, date(2024, 12, 31))
    for name in ("customers", "orders", "order_items", "products"):
        header = (CASES / "00-base" / f"{name}.csv").read_text().splitlines()[0]
        (tmp_path / f"{name}_2025-01-01.csv").write_text(f"{header}\n")
    landing = land_files(home, date(2025, 1, 1), tmp_path)
    assert (landing["given"], len(landing["files"])) == (0, 4)
    build(home, date(2025, 1, 1))
    with connect(home, "transformer") as connection:
        counted = connection.execute("select count(*) from marts.fct_orders").fetchone()
        customers = connection.execute(
            "select as_of_date, count(*) from features.customer_snapshots"
            " where as_of_date in ('2024-12-31', '2025-01-01') group by 1 order by 1"
        ).fetchall()
    assert counted == (1_942,)
    assert [day for day, _ in customers] == [date(2024, 12, 31), date(2025, 1, 1)]
    assert customers[0][1] == customers[1][1]
