"""How past lists turned out, once 90 days have passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from psycopg import sql

from ml_tasks.evaluation.customer_groups import Group, by_group
from ml_tasks.features.store import FeatureStore
from ml_tasks.lookback import happened
from ml_tasks.recommendations import figures
from ml_tasks.recommendations.purchases import KNOWN_DAYS
from ml_tasks.recommendations.ranking import places
from ml_tasks.recommendations.state import MAX_CUSTOMERS

if TYPE_CHECKING:
    import psycopg

    from ml_tasks.lookback.happened import Due

NEW = "new"
# Of more customers than MAX_CUSTOMERS those with the smallest hashes of their ids are compared: as
# many as in the evaluation, since coverage grows with the number of lists.


def compared(connection: psycopg.Connection[Any], due: Due) -> list[Group]:
    """Figures as of the evaluation, of the customers who ordered within the horizon, by group.

    Args:
        connection: Role scorer.
        due: The past date and horizon.
    """
    store = FeatureStore(connection)
    listed, ordered = (store.read(query, _params(due)) for query in (LISTS, ORDERED))
    products = store.features("purchase_products", due.scored_date)
    numbers = pd.Index(products["product_id"])
    is_known = ordered["product_id"].isin(numbers)
    rows = customers(listed, ordered[is_known], numbers)
    shown = _flat(listed, numbers)
    is_sold = (products["count_customers_90d"] > 0).to_numpy()
    ((known,),) = connection.execute(KNOWN, _params(due)).fetchall()
    share = products["count_customers_365d"].to_numpy() / max(known, 1)
    whole = {}
    for prefix, some in (("", shown), ("new_", shown[shown["list_kind"] == NEW])):
        best = _best(some)
        whole[f"{prefix}coverage"] = figures.coverage(best, is_sold)
        if prefix:
            whole |= {"novelty": figures.novelty(best, share)}
            whole |= {"popularity_bias": figures.popularity_bias(best, share)}
    found = by_group(rows, means)
    first = found[0]
    return [Group(first.name, first.count, {**first.values, **whole}, first.errors), *found[1:]]


def means(rows: pd.DataFrame) -> dict[str, float]:
    """Mean over customers of each figure; customers without a new product count in none of new."""
    names = ("recall", "ndcg", "hit", "new_recall", "new_ndcg", "new_hit")
    return {name: float(rows[name].mean()) for name in names}


def customers(listed: pd.DataFrame, ordered: pd.DataFrame, numbers: pd.Index) -> pd.DataFrame:
    """Figures of each customer who ordered, with the columns that groups are made of.

    Args:
        listed: Columns customer_id, list_kind, product_ids, product_scores, and those of groups.
        ordered: Columns customer_id, product_id, is_new.
        numbers: Ids of the products known on the scored date.
    """
    about = listed.drop_duplicates("customer_id").drop(columns=["list_kind", "product_ids"])
    about = about.drop(columns="product_scores").reset_index(drop=True)
    place = pd.Index(about["customer_id"])
    flat = _flat(listed, numbers)
    row = place.get_indexer(pd.Index(ordered["customer_id"]))
    product = numbers.get_indexer(pd.Index(ordered["product_id"]))
    is_new = ordered["is_new"].to_numpy(dtype=bool)
    for prefix, keep, some in (
        ("", np.ones(len(ordered), dtype=bool), flat),
        ("new_", is_new, flat[flat["list_kind"] == NEW]),
    ):
        best = _best(some)
        values = figures.of_lists(best, row[keep], product[keep])
        who = np.unique(row[keep])
        for name, of_customers in values.items():
            about[f"{prefix}{name}"] = np.nan
            about.loc[who, f"{prefix}{name}"] = of_customers
    return about


def _flat(listed: pd.DataFrame, numbers: pd.Index) -> pd.DataFrame:
    """A row per customer and product of a list, as shown: row, product, score, list_kind."""
    place = pd.Index(listed["customer_id"].unique())
    some = listed[["customer_id", "list_kind", "product_ids", "product_scores"]]
    long = some.explode(["product_ids", "product_scores"]).dropna(subset="product_ids")
    return pd.DataFrame(
        {
            "row": place.get_indexer(pd.Index(long["customer_id"])),
            "product": numbers.get_indexer(pd.Index(long["product_ids"])),
            "score": long["product_scores"].to_numpy(dtype=float),
            "list_kind": long["list_kind"].to_numpy(),
        }
    )


def _best(flat: pd.DataFrame) -> figures.Lists:
    """The first products by score; scores are rounded, so ties stay as they were shown."""
    flat = flat.sort_values(["row", "score"], ascending=[True, False], kind="stable")
    place = places(flat["row"].to_numpy())
    first = flat[place < figures.LENGTH]
    return figures.Lists(
        first["row"].to_numpy(), first["product"].to_numpy(), place[place < figures.LENGTH]
    )


WHO = (
    "with who as (select customer_id from marts.fct_order_items"
    " where ordered_date >= %(scored_date)s and ordered_date < %(known_on_date)s"
    " and customer_id in (select customer_id from scores.recommendations"
    " where as_of_date = %(scored_date)s and publication_id = %(publication_id)s)"
    " group by customer_id order by md5(customer_id), customer_id limit %(most)s) "
)
KNOWN = "select count(*) from features.customer_snapshots where as_of_date = %(scored_date)s"
LISTS = sql.Composed(
    [
        sql.SQL(
            "select lists.customer_id, lists.list_kind, lists.product_ids, lists.product_scores,"
            " snapshots.country, snapshots.days_since_first_order, snapshots.count_order_days"
            " from scores.recommendations as lists"
            f" inner join ({WHO} select customer_id from who) as who using (customer_id)"
            " left join features.customer_snapshots as snapshots using (as_of_date, customer_id)"
            " where lists.as_of_date = %(scored_date)s"
            " and lists.publication_id = %(publication_id)s"
            ' order by lists.customer_id collate "C", lists.list_kind'
        )
    ]
)
ORDERED = sql.Composed(
    [
        sql.SQL(
            f"{WHO} select distinct items.customer_id, items.product_id,"
            " not exists (select from marts.fct_order_items as earlier"
            " where earlier.customer_id = items.customer_id"
            " and earlier.product_id = items.product_id"
            " and earlier.ordered_date < %(scored_date)s"
            " and earlier.ordered_date >= %(scored_date)s::date - %(known_days)s::integer"
            ") as is_new"
            " from marts.fct_order_items as items inner join who using (customer_id)"
            " where items.ordered_date >= %(scored_date)s"
            " and items.ordered_date < %(known_on_date)s"
            " order by 1, 2"
        )
    ]
)


def _params(due: Due) -> dict[str, Any]:
    return {**happened.params(due), "most": MAX_CUSTOMERS, "known_days": KNOWN_DAYS}
