"""The entities that questions are about, one file each: `perennial/entities/<name>.yml`.

A new entity is a new file. The gate of the scores, the shards and the erasure of customers are
derived from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from psycopg import sql

FOLDER = Path(__file__).parent
CUSTOMER = "customer"
KEYS = {"description", "key", "dealt_by", "is_personal", "covered"}


class EntityError(ValueError):
    """An entity's file is not valid; the message names the file and the key."""


@dataclass(frozen=True)
class Entity:
    """What a row of scores is about.

    Attributes:
        name: Name of the file.
        description: Description in a sentence.
        key: Columns that identify an entity.
        dealt_by: Text column; the hash of its value assigns a row to a shard. None: all rows are in
            the first shard.
        is_personal: Whether rows hold data of a customer. Score tables then have `customer_id`, by
            which erasure selects rows.
        covered: Query of the keys that must have a row on a date, with `{as_of_date}` in it; None:
            no key needs a row.
    """

    name: str
    description: str
    key: tuple[str, ...]
    dealt_by: str | None = None
    is_personal: bool = False
    covered: str | None = None

    def covered_on(self, as_of_date: sql.Composable) -> sql.Composed:
        """The query of the keys that must have a row on a date.

        Args:
            as_of_date: Date, quoted for SQL.

        Raises:
            EntityError: If the entity has no such query.
        """
        if self.covered is None:
            raise EntityError(f"entity {self.name}: has no `covered`")
        # the text is from the entity's file, not from users
        return sql.SQL(self.covered).format(as_of_date=as_of_date)


def names() -> list[str]:
    """Names of all entities, ascending."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


@cache
def load(name: str) -> Entity:
    """Read an entity's file.

    Raises:
        EntityError: If the entity does not exist, or its file is not valid.
    """
    path = FOLDER / f"{name}.yml"
    if not path.is_file():
        raise EntityError(
            f"unknown entity {name!r}: choose one of {', '.join(names())}, or add"
            f" perennial/entities/{name}.yml"
        )
    return parse(yaml.safe_load(path.read_text()), name)


def parse(content: dict[str, Any], name: str) -> Entity:
    """Make an entity from a file's content.

    Raises:
        EntityError: If a key is missing or unknown.
    """
    where = f"perennial/entities/{name}.yml"
    if unknown := sorted(content.keys() - KEYS):
        raise EntityError(f"{where}: unknown key {', '.join(unknown)}")
    if missing := sorted({"description", "key"} - content.keys()):
        raise EntityError(f"{where}: lacks {', '.join(missing)}")
    return Entity(
        name=name,
        description=" ".join(content["description"].split()),
        key=tuple(content["key"]),
        dealt_by=content.get("dealt_by"),
        is_personal=bool(content.get("is_personal", False)),
        covered=content.get("covered"),
    )


def counted_by(column: str) -> Entity | None:
    """The entity with this column as its only key and a query `covered`; None if there is none.

    The query counts the values of the column that exist on a date.
    """
    entities = (load(name) for name in names())
    return next((one for one in entities if one.key == (column,) and one.covered), None)
