"""An absurd order causes a warning on a shop's first load; true orders, however large, do not."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from expectations.days import gate_days
from ingest.batches import close_build
from perennial.amounts import largest_believable
from tests.conftest import StartHome
from tests.steps import dbt, land_files

BASE = Path(__file__).parent.parent / "cases" / "00-base"
AS_OF = date(2024, 12, 31)
MARTS = ("run", "--select", "staging", "+marts", "int_changed_files")
# fivetran/dbt_shopify#166: price times quantity times quantity
SOUND = "O202403-0000001-1,O202403-0000001,P00125,"
GIANT = "129248000.00"


def first_load(settings, folder: Path) -> list[str]:
    land_files(settings, AS_OF, folder)
    dbt(settings, AS_OF, *MARTS)
    close_build(settings)
    return gate_days(settings, AS_OF, "test")["warnings"]


def test_a_giant_order_of_a_first_load_warns_and_a_sound_shop_does_not(
    start_home: StartHome, tmp_path: Path
) -> None:
    assert first_load(start_home("canonical"), BASE) == []
    folder = tmp_path / "13-one-giant-order"
    shutil.copytree(BASE, folder)
    items = (folder / "order_items.csv").read_text().splitlines()
    (place,) = (k for k, line in enumerate(items) if line.startswith(SOUND))
    items[place] = f"{SOUND}1,{GIANT},product"
    (folder / "order_items.csv").write_text("\n".join(items) + "\n")
    home = start_home("canonical")
    (warning,) = first_load(home, folder)
    assert warning.startswith("1 of 1,942 orders of marts.fct_orders can't be true beside the 37.4")
    assert "(O20...001 of 2024-03-01: 129,248,000.00)" in warning
    assert "land it corrected" in warning
    # repeated as long as the order is there: an incident closes once a gate no longer warns of it
    assert gate_days(home, AS_OF, "again")["warnings"] == [warning]
    assert gate_days(home, date(2024, 3, 1), "before it")["warnings"] == []
    land_files(home, AS_OF, BASE / "order_items.csv")
    dbt(home, AS_OF, *MARTS)
    close_build(home)
    assert gate_days(home, AS_OF, "corrected")["warnings"] == []


@pytest.mark.parametrize(
    ("median", "deviation", "amount", "is_believed"),
    [
        # Online Retail II: both were true, and cancelled within minutes
        (301.23, 0.587, 168_469.60, True),
        (301.23, 0.587, 77_183.60, True),
        (37.44, 0.607, 129_248_000.0, False),
        pytest.param(10.0, 0.0, 9_999.0, True, id="one price: up to a thousand times"),
        pytest.param(10.0, 0.0, 10_001.0, False, id="one price: more than that"),
    ],
)
def test_what_is_beyond_doubt(median, deviation, amount, is_believed):
    assert (amount <= largest_believable(median, deviation)) == is_believed
    in_pence = largest_believable(median * 100, deviation)
    assert (amount * 100 <= in_pence) == is_believed
