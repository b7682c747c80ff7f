"""A synthetic shop: orders from known parameters, of any size, reproducible from a seed."""

from ingest.sample_shop.files import OtherShopError, make_files, write, write_next_day, write_plan
from ingest.sample_shop.plan import START, Plan
from ingest.sample_shop.shop import Month, Shop, generate, months

__all__ = [
    "START",
    "Month",
    "OtherShopError",
    "Plan",
    "Shop",
    "generate",
    "make_files",
    "months",
    "write",
    "write_next_day",
    "write_plan",
]
