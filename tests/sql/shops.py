"""Two small shops, file by file: files that land, are refused, come late or change.

The expected rows after each step were computed by hand from the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from textwrap import dedent

from ingest.batches import accept, close_build, refuse
from ingest.land import land
from perennial.settings import Settings
from tests.steps import dbt

DAY = date(2024, 6, 1)
# Up to the marts; test_features.py tests the features.
MARTS = (
    *("--select", "staging", "+marts", "int_changed_files"),
    *("int_rejected_rows", "int_reduced_orders", "int_sent_rows", "int_sent_files"),
)


@dataclass
class ShopBuilder:
    """Lands files into a home and builds its marts."""

    settings: Settings
    folder: Path
    batches: dict[str, int] = field(default_factory=dict)

    def land(self, batch: str, **files: str) -> None:
        """Write the files (names without .csv, dedented text) and accept them as one batch."""
        for name, text in files.items():
            (self.folder / f"{name}.csv").write_text(dedent(text).lstrip())
        landing = land(self.settings, DAY, str(self.folder), "test")
        assert landing.batch_id is not None
        self.batches[batch] = landing.batch_id
        accept(self.settings, landing.batch_id, "test")

    def refuse(self, batch: str) -> None:
        """Refuse a batch."""
        refuse(self.settings, self.batches[batch], "test")

    def accept(self, batch: str) -> None:
        """Accept a refused batch."""
        accept(self.settings, self.batches[batch], "test")

    def build(self, verb: str = "run") -> None:
        """Run one successful build; with the verb `build`, also dbt's own tests."""
        dbt(self.settings, DAY, verb, *MARTS)
        close_build(self.settings)

    def break_off(self) -> None:
        """Run a build that stops after two of the marts."""
        dbt(self.settings, DAY, "run", "--select", "+fct_order_items", "+fct_orders")

    def rebuild(self) -> None:
        """Run a full build; every incremental build must give the same rows."""
        dbt(self.settings, DAY, "run", "--full-refresh", *MARTS)


@dataclass(frozen=True)
class Step:
    """A change of the shop's files, and the expected rows of the next build."""

    title: str
    happens: Callable[[ShopBuilder], object]
    orders: set[tuple[str, str, str]]  # order_id, ordered_date, product_amount
    first_touched_date: str


INVOICES = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"


def _lines(*lines: str) -> str:
    return "\n".join([INVOICES, *lines]) + "\n"


def _break_off_and_change_the_mind(accepted: str, refused: str) -> Callable[[ShopBuilder], None]:
    def happens(shop: ShopBuilder) -> None:
        shop.accept(accepted)
        shop.break_off()
        shop.refuse(refused)

    return happens


JUNE = _lines(
    "100002,10001,RED MUG,5,2024-05-08 12:00:00,2.40,,United Kingdom",
    "100001,10003,TRAY,1,2024-05-01 10:00:00,8.00,17.0,United Kingdom",
    "099999,10002a,CUP,4,2024-04-02 10:00:00,3.10,18.0,EIRE",
    "100004,10003,TRAY,2,2024-05-28 15:00:00,8.00,18.0,EIRE",
)

ONLINE_RETAIL = [
    Step(
        "the first files: an invoice that stands in both adds up",
        lambda shop: shop.land(
            "may",
            may_b=_lines("100001,10002A,BLUE MUG,1,2024-05-01 10:00:00,3.00,17,United Kingdom"),
            may=_lines(
                "100001,10001,RED MUG,2,2024-05-01 10:00:00,2.50,17.0,United Kingdom",
                "100001,POST,POSTAGE,1,2024-05-01 10:00:00,4.00,17.0,United Kingdom",
                "100002,10001,RED MUG,5,2024-05-08 12:00:00,2.40,,United Kingdom",
                "C100003,10001,RED MUG,-1,2024-05-09 09:00:00,2.50,17.0,United Kingdom",
            ),
        ),
        {("100001", "2024-05-01", "8.00"), ("100002", "2024-05-08", "12.00")},
        "2024-05-01",
    ),
    Step(
        "a file that repeats an invoice, replaces one, and moves a product's first sale",
        lambda shop: shop.land(
            "june",
            june=JUNE,
        ),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "16.00"),
        },
        "2024-04-02",
    ),
    Step(
        "the first files are refused: their repeated invoice lives on",
        lambda shop: shop.refuse("may"),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "16.00"),
        },
        "2024-05-01",
    ),
    Step(
        "it is back, the build breaks off, it is refused again: nothing of it is left",
        _break_off_and_change_the_mind("may", "may"),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "16.00"),
        },
        "2024-05-01",
    ),
    Step(
        "the first files are let in again: they replace nothing that came later",
        lambda shop: shop.accept("may"),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "16.00"),
        },
        "2024-05-01",
    ),
    Step(
        "a changed file replaces it: a line less, an order more, and one with a charge only",
        lambda shop: shop.land(
            "may again",
            may=_lines(
                "100001,10001,RED MUG,2,2024-05-01 10:00:00,2.50,17.0,United Kingdom",
                "100006,10001,RED MUG,5,2024-06-04 12:00:00,2.40,,United Kingdom",
                "100005,M,Manual,1,2024-05-15 12:30:00,9.99,19.0,Unspecified",
            ),
        ),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "5.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "16.00"),
            ("100005", "2024-05-15", "0"),
            ("100006", "2024-06-04", "12.00"),
        },
        "2024-05-01",
    ),
    Step(
        "the change is refused: the version before it is back, the newest week is gone",
        lambda shop: shop.refuse("may again"),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "16.00"),
        },
        "2024-05-01",
    ),
    Step(
        "a file grows: the invoice that was cut in two adds up",
        lambda shop: shop.land(
            "june grown",
            june=JUNE + "100004,10001,RED MUG,1,2024-05-28 15:00:00,2.50,18.0,EIRE\n",
        ),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "18.50"),
        },
        "2024-05-28",
    ),
    Step(
        "invoices come again: edited, set to 0, and as nobody can read it",
        lambda shop: shop.land(
            "july",
            july=_lines(
                "100002.0,10001,RED MUG,0.5,2024-05-08 12:00:00 UTC,2.40,NULL,United Kingdom",
                "100004,10001,RED MUG,0,2024-05-28 15:00:00,2.50,18.0,EIRE",
                "099999,10002a,CUP,four,2024-04-02 10:00:00,3.10,18.0,EIRE",
            ),
        ),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "1.200"),
        },
        "2024-04-02",
    ),
    Step(
        "that is refused: what was replaced is back",
        lambda shop: shop.refuse("july"),
        {
            ("099999", "2024-04-02", "12.40"),
            ("100001", "2024-05-01", "8.00"),
            ("100002", "2024-05-08", "12.00"),
            ("100004", "2024-05-28", "18.50"),
        },
        "2024-04-02",
    ),
]

ORDERS = "order_id,customer_id,ordered_at,country,order_type,refunded_order_id\n"
ITEMS = "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
CONTACTS = "contact_id,customer_id,contacted_at,campaign,action,is_held_out\n"
CUSTOMERS = "customer_id,registered_at,country\n"
PRODUCTS = (
    "product_id,product_name,product_family,list_price_amount,introduced_date,discontinued_date\n"
)

CANONICAL = [
    Step(
        "the first files, with an order of nobody the shop knows",
        lambda shop: shop.land(
            "may",
            customers_1=CUSTOMERS + "c1,2024-04-30T08:00:00,GB\nc2,,\n",
            contacts_1=CONTACTS
            + "k1,c1,2024-05-01T10:00:00,spring,letter,false\n"
            + "k2,c2,2024-05-01T10:00:00,spring,,maybe\n",
            products=PRODUCTS + "p1,Mug,kitchen,2.50,2024-01-01,\np2,Tray,,8.00,,\n",
            orders_1=ORDERS
            + "o1,c1,2024-05-01T10:00:00,GB,sale,\n"
            + "o2,,2024-05-08T12:00:00+02:00,FR,sale,\n"
            + "o3,c9,2024-05-08T13:00:00,GB,sale,\n"
            + "r1,c1,2024-05-09T09:00:00,GB,refund,o1\n",
            order_items_1=ITEMS
            + "1,o1,p1,2,2.50,product\n2,o1,post,1,4.00,charge\n"
            + "1,o2,p1,5,2.40,product\n1,o3,p2,1,8.00,product\n"
            + "1,r1,p1,1,2.50,product\n1,nowhere,p1,1,2.50,product\n",
        ),
        {("o1", "2024-05-01", "5.00"), ("o2", "2024-05-08", "12.00")},
        "2024-05-01",
    ),
    Step(
        "the unknown customer arrives, an order changes, a late one comes",
        lambda shop: shop.land(
            "june",
            customers_2=CUSTOMERS + "c9,2024-05-07T00:00:00,GB\n",
            contacts_2=CONTACTS
            + "k1,c1,2024-05-01T10:00:00,spring,letter,true\n"
            + "k3,c9,2024-05-02T10:00:00,spring,letter,false\n",
            orders_2=ORDERS
            + "o2,,2024-05-16T12:00:00+02:00,FR,sale,\n"
            + "o0,c2,2024-04-02T10:00:00,IE,sale,\n",
            order_items_2=ITEMS + "1,o0,p3,4,3.10,product\n2,o0,p2,1,0,product\n",
        ),
        {
            ("o0", "2024-04-02", "12.40"),
            ("o1", "2024-05-01", "5.00"),
            ("o2", "2024-05-16", "12.00"),
            ("o3", "2024-05-08", "8.00"),
        },
        "2024-04-02",
    ),
    Step(
        "the second batch is refused, its customer too",
        lambda shop: shop.refuse("june"),
        {("o1", "2024-05-01", "5.00"), ("o2", "2024-05-08", "12.00")},
        "2024-04-02",
    ),
    Step(
        "it is back, the build breaks off, the first is refused: no order has customer and lines",
        _break_off_and_change_the_mind("june", "may"),
        set(),
        "2024-04-02",
    ),
    Step(
        "the first files are let in again",
        lambda shop: shop.accept("may"),
        {
            ("o0", "2024-04-02", "12.40"),
            ("o1", "2024-05-01", "5.00"),
            ("o2", "2024-05-16", "12.00"),
            ("o3", "2024-05-08", "8.00"),
        },
        "2024-04-02",
    ),
    Step(
        "the orders change: one is gone and leaves its lines behind, one is sent again",
        lambda shop: shop.land(
            "may again",
            orders_1=ORDERS
            + "o2,c1,2024-05-08T12:00:00+02:00,FR,sale,\n"
            + "o3,c9,2024-05-08T13:00:00,GB,sale,\n"
            + "r1,c1,2024-05-09T09:00:00,GB,refund,o1\n",
            products=PRODUCTS + "p1,Mug,table,2.75,2024-01-01,\np3,Spoon,,1.00,,\n",
        ),
        {
            ("o0", "2024-04-02", "12.40"),
            ("o2", "2024-05-08", "12.00"),
            ("o3", "2024-05-08", "8.00"),
        },
        "2024-05-01",
    ),
    Step(
        "an order is cancelled, a line set to 0, another unreadable; a guest 0 buys by weight",
        lambda shop: shop.land(
            "july",
            orders_3=ORDERS
            + "o0,c2,2024-04-02T10:00:00,IE,Cancelled,\n"
            + "g1,0.0,2024-05-20 10:00:00 PM,GB,sale,\n",
            order_items_3=ITEMS
            + "1,o2,p1,0,2.40,product\n1,o3,p2,one,8.00,product\n1,g1,p1,0.5,2.50,product\n",
        ),
        {("o3", "2024-05-08", "8.00"), ("g1", "2024-05-20", "1.250")},
        "2024-04-02",
    ),
    Step(
        "the guest's 0 turns out to be a customer",
        lambda shop: shop.land("a customer 0", customers_4=CUSTOMERS + "0,,\n"),
        {("o3", "2024-05-08", "8.00"), ("g1", "2024-05-20", "1.250")},
        "2024-05-20",
    ),
    Step(
        "and is none after all",
        lambda shop: shop.refuse("a customer 0"),
        {("o3", "2024-05-08", "8.00"), ("g1", "2024-05-20", "1.250")},
        "2024-05-20",
    ),
    Step(
        "what was taken away is back",
        lambda shop: shop.refuse("july"),
        {
            ("o0", "2024-04-02", "12.40"),
            ("o2", "2024-05-08", "12.00"),
            ("o3", "2024-05-08", "8.00"),
        },
        "2024-04-02",
    ),
    Step(
        "two orders arrive; the customer of one nobody can read",
        lambda shop: shop.land(
            "august",
            customers_8=CUSTOMERS + "c8,soon,GB\n",
            orders_8=ORDERS
            + "o8,c8,2024-05-25T10:00:00,GB,sale,\n"
            + "o9,c1,2024-05-26T10:00:00,GB,sale,\n",
            order_items_8=ITEMS + "1,o8,p1,2,2.50,product\n1,o9,p1,1,2.50,product\n",
        ),
        {
            ("o0", "2024-04-02", "12.40"),
            ("o2", "2024-05-08", "12.00"),
            ("o3", "2024-05-08", "8.00"),
            ("o9", "2024-05-26", "2.50"),
        },
        "2024-05-26",
    ),
    Step(
        "the customer's row is corrected, in a file without orders",
        lambda shop: shop.land(
            "august corrected", customers_9=CUSTOMERS + "c8,2024-05-20T00:00:00,GB\n"
        ),
        {
            ("o0", "2024-04-02", "12.40"),
            ("o2", "2024-05-08", "12.00"),
            ("o3", "2024-05-08", "8.00"),
            ("o8", "2024-05-25", "5.00"),
            ("o9", "2024-05-26", "2.50"),
        },
        "2024-05-25",
    ),
]
