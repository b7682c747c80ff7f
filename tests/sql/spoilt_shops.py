"""Small shops in both forms with randomly spoilt rows, and an independent count of what is sent.

The count knows each row's money from before it was spoilt (or that it is unreadable), so it parses
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

COUNTRIES = ("France", "Germany", "Portugal")
# Spellings of a price p, and the amount that a person would read.
PRICES: tuple[tuple[Callable[[Decimal], str], Callable[[Decimal], Decimal | None]], ...] = (
    (lambda p: f"{p}", lambda p: p),
    (lambda p: f"{p + 1000:,}", lambda p: p + 1000),
    (lambda p: f"{p}000000000000000000", lambda p: p),
    (lambda p: f"GBP {p}", lambda p: p),
    (lambda p: f"{p}".replace(".", ","), lambda p: p),
    (lambda p: "n/a", lambda p: None),
    (lambda p: "", lambda p: None),
    (lambda p: f"-{p}", lambda p: p),
    (lambda p: "0", lambda p: Decimal(0)),
    (lambda p: "9999999999999", lambda p: None),  # no line of a shop
)


@dataclass
class Sent:
    """The contents of one batch of files.

    Attributes:
        texts: Files by name without ending; bytes, since some are not UTF-8.
        rows: Number of records of orders and their lines.
        orders: Ids of the orders.
        amount: Money of the lines, without sign.
    """

    texts: dict[str, bytes] = field(default_factory=dict)
    rows: int = 0
    orders: set[str] = field(default_factory=set)
    amount: Decimal = Decimal(0)

    def __add__(self, other: Sent) -> Sent:
        return Sent(
            {},
            self.rows + other.rows,
            self.orders | other.orders,
            self.amount + other.amount,
        )


def _price(rng: Random) -> tuple[str, Decimal | None]:
    price = Decimal(rng.randrange(101, 9_900)) / 100
    write, read = PRICES[0] if rng.random() < 0.7 else rng.choice(PRICES)
    return write(price.quantize(Decimal("0.01"))), read(price)


def _quantity(rng: Random) -> tuple[str, int | None]:
    if rng.random() < 0.9:
        quantity = rng.randrange(1, 9)
        return str(quantity), quantity
    return rng.choice([("0", 0), ("-2", 2), ("two", None), ("", None)])


def _money(quantity: int | None, price: Decimal | None) -> Decimal:
    return Decimal(0) if quantity is None or price is None else quantity * price


def canonical(seed: int, ids: range) -> Sent:
    """Orders o<id>, some without lines or customers or with spoilt values; lines without orders."""
    rng, sent = Random(seed), Sent()
    orders = [b"order_id,customer_id,ordered_at,country,order_type,refunded_order_id"]
    items = [b"order_item_id,order_id,product_id,quantity,unit_price_amount,line_type"]
    for number in ids:
        order = f"o{number}"
        customer = rng.choice(["", "c1", "c2", "c3", "c99"])
        time = rng.choice(["2024-05-01 10:00:00"] * 8 + ["soon", "9999-12-31"])
        kind = rng.choice(["sale"] * 7 + ["refund"] * 2 + ["gift"])
        row = f"{order},{customer},{time},{rng.choice(COUNTRIES)},{kind},".encode()
        if rng.random() < 0.1:
            row = row.replace(b"France", b"Fran\xe7aise")  # Latin-1: landing cannot read it
        if rng.random() < 0.95:
            orders += [row] * (2 if rng.random() < 0.1 else 1)
            sent.orders.add(order)
        for line in range(rng.randrange(4)):
            (quantity, units), (price, amount) = _quantity(rng), _price(rng)
            kind = rng.choice(["product", "product", "charge", "thing"])
            quoted = f'"{price}"' if "," in price else price
            item = f"{line},{order},p{rng.randrange(9)},{quantity},{quoted},{kind}".encode()
            copies = 2 if rng.random() < 0.1 else 1
            items += [item] * copies
            sent.amount += copies * _money(units, amount)
            sent.orders.add(order)
    items += [b"cut off"]
    sent.rows = len(orders) + len(items) - 2
    sent.texts = {
        f"customers_{ids.start}": b"customer_id,registered_at,country\nc1,,\nc2,,\nc3,,\n"
        + f"c{ids.start},,\n".encode(),
        f"orders_{ids.start}": b"\n".join(orders) + b"\n",
        f"order_items_{ids.start}": b"\n".join(items) + b"\n",
    }
    return sent


def online_retail(seed: int, ids: range) -> Sent:
    """Invoices and cancellations with some spoilt lines."""
    rng, sent = Random(seed), Sent()
    lines = [b"Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"]
    for number in ids:
        invoice = f"{rng.choice(['', '', 'C', 'A', 'X'])}{100_000 + number}"
        time = rng.choice(["2024-05-01 10:00:00"] * 8 + ["soon"])
        for _ in range(rng.randrange(1, 4)):
            (quantity, units), (price, amount) = _quantity(rng), _price(rng)
            if invoice.startswith("C") and quantity.isdigit():
                quantity = f"-{quantity}"
            quoted = f'"{price}"' if "," in price else price
            code = rng.choice([f"{10_000 + rng.randrange(9)}", "POST", "TEST01", ""])
            where = rng.choice(COUNTRIES)
            line = f"{invoice},{code},MUG,{quantity},{time},{quoted},17.0,{where}".encode()
            copies = 2 if rng.random() < 0.1 else 1
            lines += [line] * copies
            sent.orders.add(invoice)
            sent.amount += copies * _money(units, amount)
    lines += [b"cut off"]
    sent.rows = len(lines) - 1
    sent.orders.add("CUT OFF")  # the first field of a record that can't be read
    sent.texts = {f"lines_{ids.start}": b"\n".join(lines) + b"\n"}
    return sent
