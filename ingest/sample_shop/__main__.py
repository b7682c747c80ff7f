"""Write the sample shop's files: `python -m ingest.sample_shop FOLDER --customers 5000`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date

from ingest.sample_shop.files import write_next_day, write_plan
from ingest.sample_shop.plan import START, Plan


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, write, and say what was written."""
    default = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m ingest.sample_shop",
        description=(
            f"Write a sample shop that opened on {START} as canonical CSV files: customers_*, "
            "orders_* and order_items_* by month, and products. The same options give the same "
            "bytes; more days continue the same shop."
        ),
    )
    parser.add_argument("folder", help="folder to write to; made if it is not there")
    parser.add_argument(
        "--customers",
        type=int,
        default=default.customers,
        help="customers who arrive in the first 730 days (default: %(default)s)",
    )
    parser.add_argument(
        "--days", type=int, default=default.days, help="days to tell (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="default: %(default)s")
    parser.add_argument(
        "--until",
        type=date.fromisoformat,
        metavar="DATE",
        help="tell the days before this date, in place of --days",
    )
    parser.add_argument(
        "--next-day",
        action="store_true",
        help="add one day to the shop that is in the folder",
    )
    given = parser.parse_args(arguments)
    if given.next_day:
        print(write_next_day(given.folder, given.seed, given.customers))
        return
    days = (given.until - START).days if given.until else given.days
    try:
        plan = Plan(given.seed, given.customers, days)
    except ValueError as error:
        parser.error(str(error))
    paths = write_plan(plan, given.folder)
    print(f"{len(paths)} files in {given.folder}, up to and without {plan.end}")


if __name__ == "__main__":
    main()
