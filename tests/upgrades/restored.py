"""Open the dump of an earlier version's home, and list what a warehouse's catalogue holds."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from local import postgres, programs
from perennial.bootstrap import OWNER, SUPERUSER
from perennial.settings import WAREHOUSE, Settings
from tests.upgrades.dump import FOLDER, HOME

VERSIONS = sorted(path.parent.name for path in FOLDER.glob("*/home.tar.xz"))
OWNERS = {WAREHOUSE: OWNER, "mlflow": "mlflow"}
# What our code makes; dbt makes the rest at the next build. Partitions are as their tables.
OURS = "('raw', 'vault', 'scores', 'ops')"

CATALOGUE = {
    "schemas": (
        "select nspname, nspowner::regrole::text, array(select acl::text"
        " from aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as acl order by 1)"
        " from pg_namespace where nspname not like 'pg\\_%'"
    ),
    "relations": (
        "select oid::regclass::text, relkind::text, relowner::regrole::text,"
        " pg_get_partkeydef(oid), obj_description(oid, 'pg_class'),"
        " case relkind when 'v' then pg_get_viewdef(oid) end,"
        " array(select acl::text from aclexplode(coalesce(relacl, acldefault("
        " (case relkind when 'S' then 's' else 'r' end)::\"char\", relowner))) as acl order by 1)"
        f" from pg_class where relnamespace::regnamespace::text in {OURS} and not relispartition"
        " and relkind in ('r', 'p', 'v', 'S')"
    ),
    "columns": (
        "select attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod),"
        " attnotnull, attidentity::text, pg_get_expr(adbin, adrelid),"
        " col_description(attrelid, attnum), attacl::text"
        " from pg_attribute join pg_class on pg_class.oid = attrelid"
        " left join pg_attrdef on adrelid = attrelid and adnum = attnum"
        f" where relnamespace::regnamespace::text in {OURS} and not relispartition"
        " and relkind in ('r', 'p', 'v') and attnum > 0 and not attisdropped"
    ),
    "constraints": (
        "select conrelid::regclass::text, conname::text, pg_get_constraintdef(pg_constraint.oid)"
        " from pg_constraint join pg_class on pg_class.oid = conrelid"
        f" where relnamespace::regnamespace::text in {OURS} and not relispartition"
    ),
    "indexes": (
        "select pg_get_indexdef(indexrelid) from pg_index join pg_class on pg_class.oid = indrelid"
        f" where relnamespace::regnamespace::text in {OURS} and not relispartition"
    ),
    "functions": (
        "select pg_get_functiondef(oid), proowner::regrole::text, array(select acl::text"
        " from aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl order by 1)"
        f" from pg_proc where pronamespace::regnamespace::text in {OURS}"
    ),
    "default rights": (
        "select defaclrole::regrole::text, defaclnamespace::regnamespace::text,"
        " defaclobjtype::text, array(select acl::text from aclexplode(defaclacl) as acl order by 1)"
        " from pg_default_acl"
    ),
}


def restore(settings: Settings, version: str) -> None:
    """Put a version's databases and models in the place of the running home's; start nothing."""
    postgres.end_reader_limit(settings)
    with tarfile.open(FOLDER / version / "home.tar.xz") as tar:
        tar.extractall(settings.home)
    for database, owner in OWNERS.items():
        with psycopg.connect(settings.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            for statement in (
                "drop database if exists {database} with (force)",
                "create database {database} owner {owner}",
            ):
                connection.execute(
                    sql.SQL(statement).format(
                        database=sql.Identifier(database), owner=sql.Identifier(owner)
                    )
                )
        script = settings.home / f"{database}.sql"
        script.write_text(script.read_text().replace(HOME, str(settings.home)))
        _run(settings, database, script)


def _run(settings: Settings, database: str, script: Path) -> None:
    command = [programs.binary("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-f", script, database]
    where = {"PGHOST": settings.pg_host, "PGPORT": str(settings.pg_port), "PGUSER": SUPERUSER}
    secret = {"PGPASSWORD": settings.password(SUPERUSER)}
    done = subprocess.run(
        command, env=os.environ | where | secret, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def catalogue(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that our code makes in a warehouse, in no order that a table has."""
    with psycopg.connect(settings.dsn(SUPERUSER)) as connection:
        return {
            kind: sorted(connection.execute(query).fetchall(), key=repr)
            for kind, query in CATALOGUE.items()
        }
