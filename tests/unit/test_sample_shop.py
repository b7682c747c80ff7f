"""The sample shop: always the same, point in time, and with its planted truth.

The expected numbers come from ingest/sample_shop/README.md, or are closed forms of it.
"""

import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.sample_shop import (
    OtherShopError,
    Plan,
    generate,
    make_files,
    months,
    write,
    write_next_day,
    write_plan,
)
from ingest.sample_shop.seasons import black_friday
from perennial.settings import Settings

DAYS = 730


@pytest.fixture(scope="module")
def shop():
    return generate(seed=11, customers=8_000, days=DAYS)


@pytest.fixture(scope="module")
def sold(shop):
    """Order lines joined with their order's columns."""
    return shop.order_items.merge(shop.orders, on="order_id")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# Always the same -------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes_in_another_process(tmp_path):
    write(generate(seed=3, customers=200, days=100), tmp_path / "here")
    command = [sys.executable, "-m", "command", "sample-shop", str(tmp_path / "there")]
    command += ["--customers", "200", "--days", "100", "--seed", "3"]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert len(files_of(tmp_path / "here")) == 4 * 3 + 1
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_another_seed_gives_another_shop(tmp_path):
    write(generate(seed=3, customers=200, days=60), tmp_path / "a")
    write(generate(seed=4, customers=200, days=60), tmp_path / "b")
    name = "orders_2023-01.csv"
    assert files_of(tmp_path / "a")[name] != files_of(tmp_path / "b")[name]


@pytest.mark.parametrize("days", [1, 31, 32, 75, 120])
def test_a_longer_shop_begins_with_the_shorter_one(tmp_path, days):
    write_plan(Plan(5, 2_000, days), tmp_path / "short")
    write_plan(Plan(5, 2_000, 160), tmp_path / "long")
    short, long = files_of(tmp_path / "short"), files_of(tmp_path / "long")
    monthly = [name for name in short if name != "products.csv"]
    assert len(monthly) == 3 * pd.Timestamp(Plan(5, 2_000, days - 1 or 1).end).month
    for name in monthly:
        assert long[name].startswith(short[name]), name


def test_cutting_at_a_date_equals_never_having_gone_further(tmp_path):
    write(generate(seed=5, customers=500, days=300), tmp_path / "cut", until=date(2023, 5, 17))
    write(generate(seed=5, customers=500, days=136), tmp_path / "short")
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "short")


def test_files_of_the_settings_are_those_of_the_command(tmp_path):
    settings = Settings(home=tmp_path, sample_customers=300, sample_days=40, sample_seed=9)
    paths = make_files(settings, tmp_path / "sample_shop")
    write_plan(Plan(9, 300, 40), tmp_path / "command")
    assert [path.name for path in paths] == list(files_of(tmp_path / "command"))
    assert files_of(tmp_path / "sample_shop") == files_of(tmp_path / "command")


def test_next_day_adds_exactly_that_day(tmp_path):
    write_plan(Plan(5, 2_000, 31), tmp_path / "daily")
    assert write_next_day(tmp_path / "daily", seed=5, customers=2_000) == date(2023, 2, 2)
    assert write_next_day(tmp_path / "daily", seed=5, customers=2_000) == date(2023, 2, 3)
    write_plan(Plan(5, 2_000, 33), tmp_path / "at_once")
    assert files_of(tmp_path / "daily") == files_of(tmp_path / "at_once")


def test_campaigns_continue_day_by_day(tmp_path):
    """Across the day of a campaign, and the orders that it brings in two months."""
    days = (date(2023, 6, 5) - date(2023, 1, 1)).days
    write_plan(Plan(5, 2_000, days), tmp_path / "daily")
    for _ in range(3):
        day = write_next_day(tmp_path / "daily", seed=5, customers=2_000)
        write(generate(5, 2_000, 220), tmp_path / str(day), until=day)
        assert files_of(tmp_path / "daily") == files_of(tmp_path / str(day))
    names = files_of(tmp_path / "daily")
    assert [name for name in names if name.startswith("contacts")] == ["contacts_2023-06.csv"]


def test_a_folder_from_before_there_were_campaigns_goes_on(tmp_path):
    """Its past months stay as they are; the next campaign takes place."""
    days = (date(2023, 7, 2) - date(2023, 1, 1)).days
    old = Plan(5, 2_000, days, without_campaigns=frozenset(range(12)))
    write_plan(old, tmp_path)
    before = files_of(tmp_path)
    write_next_day(tmp_path, seed=5, customers=2_000)
    after = files_of(tmp_path)
    assert set(after) == set(before)
    assert all(after[name].startswith(text) for name, text in before.items() if "-" in name)
    write_plan(Plan(5, 2_000, 250, without_campaigns=frozenset(range(8))), tmp_path, 7)
    write_next_day(tmp_path, seed=5, customers=2_000)
    assert "contacts_2023-09.csv" in files_of(tmp_path)


def test_next_day_passes_over_days_without_orders(tmp_path):
    write_plan(Plan(5, 5, 20), tmp_path)
    before = sum(len(text) for name, text in files_of(tmp_path).items() if "orders" in name)
    write_next_day(tmp_path, seed=5, customers=5)
    after = sum(len(text) for name, text in files_of(tmp_path).items() if "orders" in name)
    assert after > before


def test_next_day_refuses_the_files_of_another_shop(tmp_path):
    write_plan(Plan(5, 500, 40), tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(OtherShopError, match="not the beginning of this shop"):
        write_next_day(tmp_path, seed=6, customers=500)
    assert files_of(tmp_path) == before


def test_next_day_without_a_shop_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="write the shop there first"):
        write_next_day(tmp_path)


@pytest.mark.parametrize("wrong", [{"customers": 0}, {"days": 0}, {"seed": -1}])
def test_impossible_shops_are_refused(wrong):
    with pytest.raises(ValueError, match="are needed"):
        Plan(**wrong)


# Sound -----------------------------------------------------------------------------------------


def test_keys_are_unique_and_lines_have_orders(shop):
    assert shop.orders.order_id.is_unique
    assert shop.order_items.order_item_id.is_unique
    assert shop.customers.customer_id.is_unique
    assert shop.products.product_id.is_unique
    assert set(shop.order_items.order_id) == set(shop.orders.order_id)
    assert set(shop.orders.customer_id.dropna()) <= set(shop.customers.customer_id)


def test_as_many_customers_as_asked_for(shop):
    assert len(shop.customers) == 8_000


def test_orders_are_in_order_of_time_and_within_the_plan(shop):
    assert shop.orders.ordered_at.is_monotonic_increasing
    assert shop.orders.ordered_at.min() >= pd.Timestamp("2023-01-01")
    assert shop.orders.ordered_at.max() < pd.Timestamp("2023-01-01") + pd.Timedelta(days=DAYS)


def test_nobody_orders_before_registering_or_after_leaving(shop):
    sales = shop.orders[shop.orders.order_type == "sale"].dropna(subset="customer_id")
    known = sales.merge(shop.customers, on="customer_id").merge(
        shop.truth_customers, on="customer_id"
    )
    assert len(known) == len(sales) > 20_000
    assert (known.registered_at < known.ordered_at).all()
    assert (known.ordered_at <= known.left_at).all()


def test_no_time_falls_into_a_change_of_the_clock(shop):
    assert not shop.orders.ordered_at.dt.hour.between(1, 5).any()


def test_products_sell_only_between_introduction_and_end(shop, sold):
    lines = sold[(sold.line_type == "product") & (sold.order_type == "sale")]
    known = lines.merge(shop.truth_products, on="product_id")
    assert len(known) == len(lines)
    assert (known.ordered_at >= known.introduced_date).all()
    ends = known.dropna(subset="discontinued_date")
    assert len(ends) > 1_000
    assert (ends.ordered_at < ends.discontinued_date).all()


def test_catalogue_does_not_know_the_future(shop):
    then = shop.products_before(date(2024, 1, 1))
    assert then.introduced_date.max() < pd.Timestamp("2024-01-01")
    assert then.discontinued_date.max() < pd.Timestamp("2024-01-01")
    assert len(then) < len(shop.products)
    assert then.discontinued_date.notna().sum() < shop.products.discontinued_date.notna().sum()


def test_refunds_never_exceed_what_was_sold(shop, sold):
    product = sold[sold.line_type == "product"]
    amount = product.quantity * product.unit_price_amount
    refunds = product[product.order_type == "refund"].assign(amount=amount)
    sales = product[product.order_type == "sale"].assign(amount=amount)
    back = refunds.groupby(["refunded_order_id", "product_id"])[["quantity", "amount"]].sum()
    given = sales.groupby(["order_id", "product_id"])[["quantity", "amount"]].sum()
    given = given.reindex(back.index.set_names(["order_id", "product_id"]))
    assert len(back) > 1_000
    assert (back.quantity.to_numpy() <= given.quantity.to_numpy()).all()
    assert (back.amount.to_numpy() <= given.amount.to_numpy() + 1e-9).all()


def test_refunds_come_2_to_45_days_after_and_to_the_same_customer(shop):
    refunds = shop.orders[shop.orders.order_type == "refund"]
    pairs = refunds.merge(
        shop.orders, left_on="refunded_order_id", right_on="order_id", suffixes=("", "_sale")
    )
    assert len(pairs) == len(refunds) > 1_000
    days = (pairs.ordered_at.dt.normalize() - pairs.ordered_at_sale.dt.normalize()).dt.days
    assert days.between(2, 45).all()
    assert pairs.customer_id.equals(pairs.customer_id_sale)


def test_postage_is_charged_below_40_and_only_then(sold):
    sales = sold[sold.order_type == "sale"]
    amount = (sales.quantity * sales.unit_price_amount).where(sales.line_type == "product", 0.0)
    goods = amount.groupby(sales.order_id).sum().round(2)
    postage = sales[sales.line_type == "charge"].set_index("order_id").unit_price_amount
    assert set(postage) == {3.95}
    assert set(postage.index) == set(goods[goods < 40].index)


# The planted truth is there ----------------------------------------------------------------------


def test_buying_rates_are_gamma_with_mean_one_order_in_45_days(shop):
    rate = shop.truth_customers.orders_per_day
    assert rate.mean() == pytest.approx(1 / 45, rel=0.04)
    assert rate.var() == pytest.approx((1 / 45) ** 2 / 1.2, rel=0.15)


def test_customers_buy_at_their_own_rate_while_they_are_there(shop):
    truth = shop.truth_customers[shop.truth_customers.is_buyer].set_index("customer_id")
    end = pd.Timestamp("2023-01-01") + pd.Timedelta(days=DAYS)
    sales = shop.orders[(shop.orders.order_type == "sale")].groupby("customer_id").size()
    repeat = sales.reindex(truth.index) - 1
    alive_days = (truth.left_at.clip(upper=end) - truth.arrived_at).dt.total_seconds() / 86_400
    expected = truth.orders_per_day * alive_days
    # Promotions, and two Christmas seasons for most customers, lift it above the average day.
    assert repeat.sum() / expected.sum() == pytest.approx(1.06, abs=0.06)
    busy = truth.orders_per_day > truth.orders_per_day.median()
    assert repeat[busy].sum() / expected[busy].sum() == pytest.approx(1.06, abs=0.06)
    assert repeat[~busy].sum() / expected[~busy].sum() == pytest.approx(1.06, abs=0.08)


@pytest.mark.parametrize("after_days", [30, 172, 600])
def test_customers_leave_as_the_pareto_law_says(shop, after_days):
    truth = shop.truth_customers
    lifetime = (truth.left_at - truth.arrived_at).dt.total_seconds() / 86_400
    alive = (220 / (220 + after_days)) ** 1.2  # the gamma mixture of exponentials, in closed form
    assert (lifetime > after_days).mean() == pytest.approx(alive, abs=0.02)


def test_two_in_a_hundred_never_order(shop):
    never = 1 - shop.customers.customer_id.isin(shop.orders.customer_id).mean()
    assert never == pytest.approx(0.02, abs=0.005)


def test_guests_order_once_for_each_two_customers(shop):
    sales = shop.orders[shop.orders.order_type == "sale"]
    assert sales.customer_id.isna().sum() == pytest.approx(8_000 / 2, rel=0.12)


def test_customers_who_spend_more_by_plan_do_so_by_receipt(shop, sold):
    goods = sold[(sold.line_type == "product") & (sold.order_type == "sale")]
    units = goods.groupby("customer_id").quantity.mean()
    count = goods.groupby("customer_id").size()
    factor = shop.truth_customers.set_index("customer_id").spend_factor
    regular = count[count >= 20].index
    assert np.corrcoef(units[regular], factor[regular])[0, 1] > 0.8
    assert factor.mean() == pytest.approx(1.0, abs=0.03)


def test_saturday_is_quiet_and_christmas_is_loud(shop):
    ordered_at = shop.orders[shop.orders.order_type == "sale"].ordered_at
    by_weekday = ordered_at.dt.dayofweek.value_counts(normalize=True) * 7
    assert by_weekday[5] == pytest.approx(0.75, abs=0.06)
    assert by_weekday[6] == pytest.approx(1.15, abs=0.06)
    second_year = ordered_at[ordered_at >= "2024-01-01"].dt.date.value_counts()
    early_december = second_year[[date(2024, 12, day) for day in range(1, 15)]].mean()
    ordinary = second_year[[date(2024, 9, day) for day in range(2, 30)]].mean()
    assert early_december / ordinary == pytest.approx(2.3, abs=0.35)


def test_garden_sells_in_summer_and_decorations_before_christmas(shop, sold):
    goods = sold[(sold.line_type == "product") & (sold.order_type == "sale")]
    goods = goods.merge(shop.truth_products, on="product_id")
    share = pd.crosstab(goods.ordered_at.dt.month, goods.product_family, normalize="index")
    assert share.loc[5, "Garden"] > 2 * share.loc[12, "Garden"]
    assert share.loc[12, "Decorations"] > 2 * share.loc[6, "Decorations"]


def test_promotions_are_cheaper_and_wanted(shop, sold):
    goods = sold[(sold.line_type == "product") & (sold.order_type == "sale")]
    goods = goods.merge(shop.truth_products, on="product_id")
    families = shop.truth_promotions[shop.truth_promotions.family != "all"]
    assert len(families) > 8
    promoted, around = 0.0, 0.0
    for promotion in families.itertuples():
        day = goods.ordered_at.dt.date
        during = (day >= promotion.first_date) & (day <= promotion.last_date)
        before = (day < promotion.first_date) & (day >= promotion.first_date - pd.Timedelta(days=7))
        is_family = goods.product_family == promotion.family
        promoted += is_family[during].mean()
        around += is_family[before].mean()
        month = goods.ordered_at.dt.month == promotion.first_date.month
        month &= goods.ordered_at.dt.year == promotion.first_date.year
        paid = goods[month & is_family].groupby(["product_id", during]).unit_price_amount
        price = paid.max().unstack().dropna()  # the list price changes on firsts of months only
        assert len(price) > 3
        assert np.allclose(price[True], price[False] * (1 - promotion.discount_rate), atol=0.006)
    assert promoted / around > 1.35


@pytest.mark.parametrize(
    ("year", "expected"), [(2023, date(2023, 11, 24)), (2024, date(2024, 11, 29))]
)
def test_black_friday_is_on_its_day(year, expected):
    assert black_friday(year) == expected


@pytest.mark.parametrize(("family", "rate"), [("Clothing", 0.14), ("Stationery", 0.02)])
def test_returns_depend_on_the_family(shop, sold, family, rate):
    product = sold[sold.line_type == "product"].merge(shop.truth_products, on="product_id")
    product = product[product.product_family == family].groupby("order_type").size()
    # Refunds of the last weeks lie beyond the plan.
    assert product["refund"] / product["sale"] == pytest.approx(rate, rel=0.15)


def test_campaigns_add_few_orders_and_change_no_other(shop):
    plan = Plan(11, 8_000, DAYS, without_campaigns=frozenset(range(24)))
    without = pd.concat([month.orders for month in months(plan)], ignore_index=True)
    brought = shop.orders.order_id.str.startswith("V")
    assert 0 < brought.sum() < 0.01 * (shop.orders.order_type == "sale").sum()
    pd.testing.assert_frame_equal(
        shop.orders[~brought].reset_index(drop=True), without, check_dtype=False
    )


def test_campaigns_draw_from_those_who_came_before_and_hold_four_in_ten_out(shop):
    drawn = shop.contacts.merge(shop.truth_customers, on="customer_id")
    assert set(shop.contacts.campaign) == {
        f"{name}_{year}" for name in ("voucher", "letter") for year in (2023, 2024)
    }
    assert not drawn.duplicated(["campaign", "customer_id"]).any()
    assert shop.contacts.contact_id.is_unique
    assert (drawn.arrived_at < drawn.contacted_at).all()
    assert (drawn.is_held_out == "true").mean() == pytest.approx(0.4, abs=0.04)


def test_only_the_contacted_of_the_voucher_get_orders_by_it(shop):
    orders = shop.orders[shop.orders.order_id.str.startswith("V")]
    pairs = orders.merge(shop.contacts, on="customer_id")
    days = (pairs.ordered_at.dt.normalize() - pairs.contacted_at.dt.normalize()).dt.days
    pairs = pairs[days.between(1, 42)]
    assert set(orders.order_id) == set(pairs.order_id)
    assert set(pairs.action) == {"voucher"}
    assert set(pairs.is_held_out) == {"false"}
    contacted = (shop.contacts.action == "voucher") & (shop.contacts.is_held_out == "false")
    # 7 in 10, less those who leave before the order
    assert 0.6 < len(pairs) / contacted.sum() < 0.72


# The oddities are in the files, and only there ------------------------------------------------


def test_files_hold_the_frames_and_the_planted_oddities(tmp_path):
    shop = generate(seed=2, customers=2_000, days=59)
    write(shop, tmp_path)
    lines = (tmp_path / "order_items_2023-02.csv").read_text().splitlines()
    sound = shop.months[1].order_items.order_item_id
    assert len(lines) == 1 + len(sound) + 4
    assert lines[40] == lines[41]
    assert sum(line.count(",") == 0 for line in lines) == 1
    assert sum(",n/a," in line for line in lines) == 1
    orders = pd.read_csv(tmp_path / "orders_2023-02.csv")
    strange = orders[~orders.order_id.isin(shop.orders.order_id)]
    assert list(strange.customer_id) == ["C0000000"]
    assert sum(f",{strange.order_id.item()}," in line for line in lines) == 1
    customers = pd.read_csv(tmp_path / "customers_2023-02.csv")
    numbers = customers.customer_id.str[1:].astype(int)
    assert customers.registered_at.isna().equals(numbers % 50 == 0)


def test_written_amounts_add_up_to_the_frames(tmp_path):
    shop = generate(seed=2, customers=2_000, days=59)
    write(shop, tmp_path)
    lines = pd.concat([pd.read_csv(path, dtype=str) for path in tmp_path.glob("order_items_*.csv")])
    lines = lines[lines.order_item_id.isin(shop.order_items.order_item_id)].drop_duplicates()
    pence = lines.quantity.astype(int) * (lines.unit_price_amount.astype(float) * 100).round()
    truth = shop.order_items.quantity * (shop.order_items.unit_price_amount * 100).round()
    assert pence.sum() == truth.sum()


def test_truth_is_not_written(tmp_path):
    write(generate(seed=2, customers=50, days=40), tmp_path)
    headers = {name: text.split(b"\n")[0] for name, text in files_of(tmp_path).items()}
    assert headers["products.csv"].decode() == (
        "product_id,product_name,product_family,list_price_amount,introduced_date,discontinued_date"
    )
    assert headers["customers_2023-01.csv"].decode() == "customer_id,registered_at,country"
    assert headers["orders_2023-01.csv"].decode() == (
        "order_id,customer_id,ordered_at,country,order_type,refunded_order_id"
    )
    assert headers["order_items_2023-01.csv"].decode() == (
        "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type"
    )
