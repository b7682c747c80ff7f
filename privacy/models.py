"""List the stored models that were trained on a customer's orders."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from perennial import contracts
from perennial.contracts import CUSTOMER_KEY

if TYPE_CHECKING:
    from perennial.settings import Settings
    from privacy.persons import Person


def models_of(
    connection: psycopg.Connection[Any], settings: Settings, who: Person
) -> dict[str, list[str]]:
    """Model versions by question that may have been trained on the customer; empty if none.

    A model of customers is trained on all customers with an order before its training date, or on
    a sample of them; so every version with a later training date than the first order counts.
    """
    row = connection.execute("select to_regclass('marts.fct_orders')").fetchone()
    if row == (None,):
        return {}
    first = connection.execute(
        "select min(ordered_date) from marts.fct_orders where customer_id = %s", [who.customer_id]
    ).fetchone()
    if first is None or first[0] is None:
        return {}
    versions: dict[str, list[str]] = {}
    for question, version in _versions(settings, first[0]):
        if question in contracts.questions() and _is_about_customers(question):
            versions.setdefault(question, []).append(version)
    return versions


def _is_about_customers(question: str) -> bool:
    return any(CUSTOMER_KEY in table.column_names for table in contracts.load(question).tables)


def _versions(settings: Settings, after: date) -> list[tuple[str, str]]:
    with psycopg.connect(settings.dsn("mlflow", "mlflow")) as connection:
        row = connection.execute("select to_regclass('public.model_version_tags')").fetchone()
        if row == (None,):
            return []
        return connection.execute(
            "select distinct name, tags ->> 'model_version' from ("
            " select name, version, jsonb_object_agg(key, value) as tags"
            " from model_version_tags group by workspace, name, version) as tagged"
            " where (tags ->> 'training_date')::date > %s order by 1, 2",
            [after],
        ).fetchall()
