"""Forms of real exports, applied to a sound shop: read as intended or reported, never lost.

A readable form must give the sound shop's orders, units and money. An unreadable one must be
refused, held, or cause a warning with the reason. In all cases rows, orders and money add up; this
file counts the money sent independently, from the files only.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pandas as pd
import pytest

from expectations.raw import gate_raw
from expectations.reconciliation import reconciliation
from expectations.rejects import gate_rejects
from expectations.results import GateFailed
from ingest.batches import accept, close_build
from ingest.files import LandingError
from ingest.land import land
from perennial.dbt import dbt
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.faults import ledger
from tests.sql.shops import MARTS

AS_OF = date(2025, 1, 1)
BASE = REPOSITORY / "tests" / "cases" / "00-base"
TABLES = ("customers", "order_items", "orders", "products")
# Orders with a product line, their units and money, guests' orders, from the case's page.
SOUND = (1_942, Decimal("93936.94"), 217)

Frames = dict[str, pd.DataFrame]
Change = Callable[[Frames, random.Random], None]


@dataclass(frozen=True)
class Form:
    """A form of an export.

    Attributes:
        title: What is odd, and who reported it.
        change: Applies the form to the sound shop's tables, in place.
        is_read: The form means the same as the sound shop, so it must give the same rows.
        names: Pattern that the message must contain.
        factor: Factor of the sound shop's money.
        encoding: Encoding of the files.
        first_line: Written before the header of each file.
    """

    title: str
    change: Change
    is_read: bool = False
    names: str = ""
    factor: int = 1
    encoding: str = "utf-8"
    first_line: str = ""


def _some(rng: random.Random, frame: pd.DataFrame, share: float) -> pd.Series:
    """A mask of about `share` of the rows, at least one."""
    chosen = set(rng.sample(range(len(frame)), max(1, int(len(frame) * share))))
    return pd.Series([number in chosen for number in range(len(frame))], index=frame.index)


def each(table: str, column: str, change: Callable[[str], str], share: float = 1.0) -> Change:
    """Change the non-empty values of a column, in a share of the rows."""

    def apply(frames: Frames, rng: random.Random) -> None:
        frame = frames[table]
        rows = (frame[column] != "") & _some(rng, frame, share)
        frame.loc[rows, column] = frame.loc[rows, column].map(change)

    return apply


def guests_are(word: str) -> Change:
    def apply(frames: Frames, rng: random.Random) -> None:
        orders = frames["orders"]
        orders.loc[orders.customer_id == "", "customer_id"] = word

    return apply


def ids_as_floats(frames: Frames, rng: random.Random) -> None:
    """C0000000, which no customers file has, stays unknown: as 0.0 it would be a guest."""
    frames["customers"]["customer_id"] = frames["customers"].customer_id.str[1:].str.lstrip("0")
    orders = frames["orders"]
    orders["customer_id"] = orders.customer_id.map(
        lambda key: f"{int(key[1:]) or 9_999_999}.0" if key else ""
    )


def order_ids_in_science(frames: Frames, rng: random.Random) -> None:
    for table in ("orders", "order_items"):
        frame = frames[table]
        numbers = frame.order_id.str.replace(r"\D", "", regex=True).astype(float)
        frame["order_id"] = numbers.map(lambda number: f"{number:.5E}")


def orders_without_lines(frames: Frames, rng: random.Random) -> None:
    orders, items = frames["orders"], frames["order_items"]
    gone = set(orders.order_id[_some(rng, orders, 0.2)])
    frames["order_items"] = items[~items.order_id.isin(gone)]


def lines_without_orders(frames: Frames, rng: random.Random) -> None:
    orders = frames["orders"]
    frames["orders"] = orders[~_some(rng, orders, 0.1)]


def one_country_unreadable(frames: Frames, rng: random.Random) -> None:
    orders = frames["orders"]
    rows = orders.country == "Netherlands"
    orders.loc[rows, "ordered_at"] = "no time"


def one_product_by_weight(frames: Frames, rng: random.Random) -> None:
    items = frames["order_items"]
    is_product = items.line_type == "product"
    rows = is_product & (items.product_id == items.product_id[is_product].mode()[0])
    items.loc[rows, "quantity"] = items.loc[rows, "quantity"].map(lambda n: f"{n}.500 kg")


def large_prices_grouped(frames: Frames, rng: random.Random) -> None:
    """All prices get a thousands separator, as in a currency with small units."""
    each("order_items", "unit_price_amount", lambda n: f"{Decimal(n) * 1000:,.2f}")(frames, rng)


FORMS = [
    Form(
        "decimals padded to 18 places (apache/spark#26697)",
        each("order_items", "unit_price_amount", lambda n: f"{Decimal(n):.18f}"),
        is_read=True,
    ),
    Form(
        "times with a zone's name (bxparks/bigquery-schema-generator#19)",
        each("orders", "ordered_at", lambda t: t.replace("T", " ") + " UTC"),
        is_read=True,
    ),
    Form("guests are 0 (woocommerce/woocommerce#25992)", guests_are("0"), is_read=True),
    Form("guests are NULL", guests_are("NULL"), is_read=True),
    Form("guests are \\N", guests_are("\\N"), is_read=True),
    Form("ids as floats (pandas-dev/pandas#20717)", ids_as_floats, is_read=True),
    Form(
        "quantities as floats",
        each("order_items", "quantity", lambda n: f"{n}.0"),
        is_read=True,
    ),
    Form(
        "blanks around every value",
        lambda frames, rng: (
            [
                each(table, column, lambda text: f"  {text} ")(frames, rng)
                for table in TABLES
                for column in frames[table].columns
            ]
            and None
        ),
        is_read=True,
    ),
    Form("order ids in scientific notation", order_ids_in_science, names=r"E\+"),
    Form("orders without lines", orders_without_lines, names=r"without a line"),
    Form("lines without orders", lines_without_orders, names=r"order is unknown"),
    Form("one country's times can't be read", one_country_unreadable, names=r"ordered_at"),
    Form("one product is sold by weight, with its unit", one_product_by_weight, names=r"quantity"),
    Form(
        "thousands separators (madbob/GASdottoNG#253)",
        large_prices_grouped,
        is_read=True,
        factor=1000,
    ),
    Form(
        "a decimal comma in all prices",
        each("order_items", "unit_price_amount", lambda n: n.replace(".", ",")),
        is_read=True,
    ),
    Form(
        "a currency sign in some prices",
        each("order_items", "unit_price_amount", lambda n: f"£{n}", share=0.1),
        names="unit_price_amount",
    ),
    Form(
        "American dates",
        each("orders", "ordered_at", lambda t: f"{t[5:7]}/{t[8:10]}/{t[:4]} {t[11:]}"),
        names="ordered_at",
    ),
    Form(
        "some orders of the year 2029 (dreamwidth/dreamwidth#3326)",
        each("orders", "ordered_at", lambda t: f"2029{t[4:]}", share=0.1),
        names="ordered_at",
    ),
    Form(
        "another encoding in some rows",
        each("orders", "country", lambda c: "Österreich", share=0.1),
        encoding="cp1252",
        names="not UTF-8",
    ),
    Form(
        "a spreadsheet's first line", lambda frames, rng: None, first_line="sep=,\n", is_read=True
    ),
]


@dataclass
class Outcome:
    """The outcome of the shop's files."""

    refused: str = ""
    warnings: list[str] = field(default_factory=list)


def read(folder: Path) -> Frames:
    return {
        table: pd.read_csv(folder / f"{table}.csv", dtype=str, keep_default_na=False)
        for table in TABLES
    }


def write(frames: Frames, form: Form, folder: Path) -> None:
    for table, frame in frames.items():
        text = form.first_line + frame.to_csv(index=False)
        (folder / f"{table}.csv").write_bytes(text.encode(form.encoding))


def run(home: Settings, folder: Path) -> Outcome:
    """Land, build the marts and run the gates, as the DAGs do."""
    outcome = Outcome()
    try:
        landing = land(home, AS_OF, str(folder), "test").summary()
        outcome.warnings += landing.get("warnings", [])
        outcome.warnings += gate_raw(home, landing["batch_id"], AS_OF, "test")["warnings"]
    except (LandingError, GateFailed) as failure:
        outcome.refused = str(failure)
        return outcome
    build(home, outcome)
    return outcome


def build(home: Settings, outcome: Outcome) -> None:
    dbt(home, AS_OF, "run", *MARTS)
    close_build(home)
    try:
        outcome.warnings += gate_rejects(home, AS_OF, "test")["warnings"]
    except GateFailed as failure:
        outcome.refused = str(failure)


def in_the_marts(home: Settings) -> tuple[int, Decimal, int]:
    """Orders, money of their product lines, and guests' orders in the marts."""
    with connect(home, "transformer") as connection:
        found = connection.execute(
            "select count(*), sum(product_amount), count(*) filter (where is_guest)"
            " from marts.fct_orders"
        ).fetchone()
    assert found is not None
    return found


def number(text: str) -> Decimal:
    """A number as a person reads it: digits, a sign, and the last separator with two digits."""
    kept = re.sub(r"[^0-9.,eE+-]", "", text)
    if re.search(r",[0-9]{1,2}$", kept):
        kept = kept.replace(".", "").replace(",", ".")
    try:
        return Decimal(kept.replace(",", "") or "0")
    except InvalidOperation:
        return Decimal(0)


def sent_amount(frames: Frames) -> Decimal:
    """Money of all lines in the files, without sign."""
    items = frames["order_items"]
    return sum(
        (
            abs(number(quantity) * number(price))
            for quantity, price in zip(items.quantity, items.unit_price_amount, strict=True)
        ),
        Decimal(0),
    )


def chosen() -> list[Form]:
    """All forms in `make test-faults`; some in `make test`, drawn by the seed."""
    return ledger.draw("real forms").sample(FORMS, ledger.size(1, len(FORMS)))


@pytest.mark.parametrize("form", chosen(), ids=lambda form: form.title.split(" (")[0])
def test_a_real_form_is_read_or_reported(form: Form, start_home: StartHome, tmp_path: Path) -> None:
    frames = read(BASE)
    form.change(frames, ledger.draw(form.title))
    write(frames, form, tmp_path)
    home = start_home("canonical")
    outcome = run(home, tmp_path)
    messages = [outcome.refused] if outcome.refused else outcome.warnings
    if form.is_read:
        assert not outcome.refused, outcome.refused
        orders, amount, guests = SOUND
        assert in_the_marts(home) == (orders, amount * form.factor, guests)
        assert not outcome.warnings
    else:
        assert re.search(form.names, " ".join(messages)), messages or "neither read nor reported"
    _assert_it_adds_up(home, frames)
    ledger.record(
        "real forms",
        form.title,
        "read" if not messages else f"reported: {' | '.join(messages)[:160]}",
    )


def _assert_it_adds_up(home: Settings, frames: Frames) -> None:
    """Accept what was held, as a person might: nothing of it may be lost then."""
    with connect(home, "loader") as connection:
        held = connection.execute(
            "select distinct batch_id from ops.landed_files where status = 'held'"
        ).fetchall()
        (landed,) = connection.execute("select count(*) from ops.landed_files").fetchone() or (0,)
    if not landed:
        return  # refused before a line was landed
    for (batch_id,) in held:
        accept(home, batch_id, "test")
    if held:
        dbt(home, AS_OF, "run", *MARTS)
        close_build(home)
    flows = reconciliation(home)
    residual = flows[-1]
    assert (residual.count_rows, residual.count_orders) == (0, 0), flows
    assert abs(residual.amount) < Decimal("0.01"), flows
    assert flows[0].amount == pytest.approx(sent_amount(frames), abs=Decimal("0.01")), flows
