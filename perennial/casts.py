"""The casts of staging (dbt_project/macros/casts.sql), for those who ask what staging would say."""

from __future__ import annotations

from functools import cache
from typing import Any

from perennial.settings import DBT_PROJECT


@cache
def casts(time_zone: str) -> Any:
    """The macros as functions of a column, quoted as SQL wants it; each gives an SQL expression.

    Args:
        time_zone: The shop's, IANA.
    """
    from jinja2 import Environment

    text = (DBT_PROJECT / "macros" / "casts.sql").read_text()
    # SQL, not HTML
    template = Environment(autoescape=False).from_string(text)
    return template.make_module({"var": {"time_zone": time_zone}.__getitem__})
