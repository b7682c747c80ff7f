"""Personal data on a real Postgres: hashed when it lands, kept in the vault for a limited time."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import jinja2
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from expectations.raw import gate_raw
from ingest.land import land
from ingest.personal import hashed
from local.postgres import data_folder
from perennial import sources
from perennial.ids import plain_customer_id
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from privacy.erasure import erase
from privacy.persons import PrivacyError
from privacy.search import as_bytes_pattern, as_pattern
from privacy.vault import expire_vault

DAY = date(2024, 6, 1)
MARKED = "Marked.Person-7f3a@example.org"
CUSTOMERS = [("c1", "France", MARKED), ("c2", "Spain", ""), ("c3", "Spain", "other@example.org")]
COLUMNS = ["customer_id", "country", "email"]


@pytest.fixture(scope="module")
def home(start_home: Callable[..., Settings]) -> Settings:
    return start_home("canonical")


@pytest.fixture(autouse=True)
def empty(home: Settings) -> Iterator[None]:
    yield
    with connect(home, "perennial") as connection:
        connection.execute("truncate raw.canonical_customers, ops.landed_files cascade")
        connection.execute("truncate vault.originals; drop schema if exists shop cascade")


def rows(settings: Settings, query: str, role: str = "eraser") -> list[tuple]:
    with connect(settings, role) as connection:
        return connection.execute(query).fetchall()


def places_of(settings: Settings, text: str) -> list[str]:
    """Tables of the whole cluster with rows that contain the text, bytes read as Latin-1."""
    found = []
    with connect(settings, "postgres", autocommit=True) as connection:
        databases = connection.execute("select datname from pg_database where datallowconn")
        names = [name for (name,) in databases.fetchall() if name != "template0"]
    for database in names:
        with psycopg.connect(settings.dsn("postgres", database)) as connection:
            connection.execute("set bytea_output = 'escape'")
            tables = connection.execute(
                "select oid::regclass::text, relname from pg_class where relkind in ('r', 'm')"
            ).fetchall()
            for name, _ in tables:
                query = sql.SQL("select count(*) from {} as t where t::text ilike %s").format(
                    sql.SQL(name)
                )
                (count,) = connection.execute(query, [f"%{text}%"]).fetchone()
                found += [f"{database}.{name}"] if count else []
    return found


def as_csv(folder: Path) -> str:
    lines = [",".join(COLUMNS), *(",".join(row) for row in CUSTOMERS)]
    (folder / "customers.csv.gz").write_bytes(gzip.compress("\r\n".join(lines).encode()))
    return str(folder)


def as_json(folder: Path) -> str:
    records = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in CUSTOMERS]
    (folder / "customers.jsonl").write_text("\n".join(records))
    return str(folder)


def as_parquet(folder: Path) -> str:
    columns = [pa.array(values) for values in zip(*CUSTOMERS, strict=True)]
    columns[2] = columns[2].dictionary_encode()
    pq.write_table(pa.table(columns, names=COLUMNS), folder / "customers.parquet")
    return str(folder)


@pytest.mark.parametrize("write", [as_csv, as_json, as_parquet])
def test_whatever_the_reader_raw_has_the_hash_and_the_vault_the_original(
    home: Settings, tmp_path: Path, write: Callable[[Path], str]
) -> None:
    land(home, DAY, write(tmp_path), "test")
    check_landed(home)


def test_rows_of_tables_are_hashed_outside_the_database(home: Settings) -> None:
    with connect(home, "perennial") as connection:
        connection.execute("create schema shop; grant usage on schema shop to loader")
        for table in ("orders", "order_items", "products"):
            connection.execute(f"create view shop.{table} as select * from raw.canonical_{table}")
        connection.execute(
            "create table shop.customers (customer_id text, country text, email text)"
        )
        connection.cursor().executemany("insert into shop.customers values (%s, %s, %s)", CUSTOMERS)
        connection.execute("grant select on all tables in schema shop to loader")
    land(home, DAY, "table:shop", "test")
    check_landed(home, "shop.customers")


def check_landed(home: Settings, *originals: str) -> None:
    landed = rows(
        home, "select customer_id, country, email from raw.canonical_customers order by 1"
    )
    digest, other = hashed(home.pii_key, MARKED), hashed(home.pii_key, "other@example.org")
    blank = landed[1][2] or ""
    assert landed == [
        ("c1", "France", digest),
        ("c2", "Spain", landed[1][2]),
        ("c3", "Spain", other),
    ]
    assert blank == ""
    kept = rows(
        home, "select keyed_hash, convert_from(value, 'UTF8') from vault.originals order by 2"
    )
    assert kept == [(digest, MARKED), (other, "other@example.org")]
    (name,) = rows(
        home, "select 'originals_' || to_char(landed_at, 'YYYY_MM') from vault.originals limit 1"
    )
    expected = {f"warehouse.vault.{name[0]}", *(f"warehouse.{name}" for name in originals)}
    assert set(places_of(home, "marked.person-7f3a")) == expected


def test_what_is_sent_again_is_kept_once_a_month(home: Settings, tmp_path: Path) -> None:
    for country in ("Italy", "Malta"):
        (tmp_path / "customers.csv").write_text(
            f"customer_id,country,email\nc1,{country},{MARKED}\n"
        )
        land(home, DAY, str(tmp_path), "test")
    assert rows(home, "select count(distinct email), count(*) from raw.canonical_customers") == [
        (1, 2)
    ]
    assert rows(home, "select count(*) from vault.originals") == [(1,)]


def test_a_record_that_cannot_be_read_stands_in_the_vault_alone(
    home: Settings, tmp_path: Path
) -> None:
    content = f"customer_id,country,email\nc1,France\nc2,too,many,{MARKED}\n".encode()
    (tmp_path / "customers.csv").write_bytes(content + b"c3,Spain,marked.person-7f3a\xe9\n")
    summary = land(home, DAY, str(tmp_path), "test").summary()
    assert (summary["given"], summary["landed"], summary["rejected"]) == (3, 0, 3)
    assert len(places_of(home, "marked.person-7f3a")) == 1
    pairs = rows(
        home,
        "select value from ops.rejected_lines join vault.originals"
        " on convert_from(content, 'UTF8') = 'in the vault: ' || keyed_hash order by line_number",
    )
    assert [value for (value,) in pairs] == [
        b"c1,France",
        f"c2,too,many,{MARKED}".encode(),
        b"c3,Spain,marked.person-7f3a\xe9",
    ]


def test_the_original_is_in_no_file_of_the_database_but_the_vaults_and_the_journal(
    home: Settings, tmp_path: Path
) -> None:
    land(home, DAY, as_csv(tmp_path), "test")
    with connect(home, "postgres", autocommit=True) as connection:
        connection.execute("checkpoint")
        (vault,) = connection.execute(
            "select array_agg(pg_relation_filepath(inhrelid)) from pg_inherits"
            " where inhparent = 'vault.originals'::regclass"
        ).fetchone()
    folder = data_folder(home)
    names = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and MARKED.encode() in path.read_bytes()
    }
    assert {name for name in names if not name.startswith("pg_wal/")} == set(vault)


def test_expired_months_go_and_the_others_stay(home: Settings, tmp_path: Path) -> None:
    land(home, DAY, as_csv(tmp_path), "test")
    with connect(home, "perennial") as connection:
        (months,) = connection.execute(
            "select array_agg((date_trunc('month', now()) - n * interval '1 month')::date"
            " order by n) from unnest(array[1, 5, 6]) as n"
        ).fetchone()
        for month in months:
            name = sql.Identifier("vault", f"originals_{month:%Y_%m}")
            connection.execute(
                sql.SQL(
                    "create table {} partition of vault.originals for values from ({}) to ({})"
                ).format(
                    name,
                    str(month),
                    str(date(month.year + month.month // 12, month.month % 12 + 1, 1)),
                )
            )
            connection.execute(
                "insert into vault.originals (landed_month, table_name, column_name, keyed_hash,"
                " value, file_id) values (%s, 't', 'c', 'h', 'v', 1)",
                [month],
            )
    # the month before last ended less than 90 days ago, whatever day it is
    expired = expire_vault(home)["expired_months"]
    assert expired == [f"{month:%Y-%m}" for month in reversed(months[1:])]
    kept = rows(home, "select distinct landed_month from vault.originals order by 1")
    assert [month for (month,) in kept][:-1] == months[:1]
    assert expire_vault(home)["expired_months"] == []


def test_the_vault_is_open_to_nobody_but_the_eraser(home: Settings) -> None:
    for role in ("loader", "transformer", "scorer", "bi_reader"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(home, "select * from vault.originals", role)
    for statement in ("delete from vault.originals", "select vault.expire(1)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(home, statement, "loader")
    for statement in ("insert into raw.canonical_customers default values",
                      "update scores.churn set run_id = ''"):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(home, statement)


def test_the_gate_warns_of_an_untagged_column_and_shows_no_value(
    home: Settings, tmp_path: Path
) -> None:
    lines = [f"{number},person{number}@example.org,2024-05-01,sale" for number in range(50)]
    header = "order_id,customer_id,ordered_at,order_type"
    (tmp_path / "orders.csv").write_text("\n".join([header, *lines]))
    landing = land(home, DAY, str(tmp_path), "test")
    warnings = gate_raw(home, landing.batch_id, DAY, "an address for a key")["warnings"]
    (warning,) = (text for text in warnings if "personal" in text or "pii" in text)
    assert "raw.canonical_orders.customer_id" in warning
    assert "100.0% of 50 values looked at are e-mail addresses" in warning
    assert "person" not in warning.replace("personal", "")
    with connect(home, "perennial") as connection:
        connection.execute("truncate raw.canonical_orders")


def test_the_key_is_nowhere_but_in_its_file(home: Settings) -> None:
    key = home.pii_key.decode()
    assert places_of(home, key) == []
    assert key not in str(os.environ)
    holders = [
        path
        for path in home.home.rglob("*")
        if path.is_file() and key.encode() in path.read_bytes()
    ]
    assert holders == [home.secrets_dir / "pii_key"]


def test_a_number_is_erased_as_a_key_and_not_as_another_number(
    start_home: Callable[..., Settings], tmp_path: Path
) -> None:
    shop = start_home("online_retail")
    header = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    keys = ["13085.0", "13085", " 13085.0 ", "13086.0", "", "113085", "13085.5"]
    lines = [f"{n},17003,13085,17003,2011-01-01,2,{key},France" for n, key in enumerate(keys)]
    (tmp_path / "lines.csv").write_text("\n".join([header, *lines, "7,13085,too few"]))
    land(shop, DAY, str(tmp_path), "test")  # held, so staging lacks it; it must count all the same
    assert keys_in_staging(shop) == [plain_customer_id(key) for key in keys]
    result = erase(shop, "13085.0", "me", "asked for it")
    assert result["counts"] == {
        "raw.online_retail_invoice_lines": 3,
        "rejected: ops.rejected_lines": 1,
    }
    table = "raw.online_retail_invoice_lines"
    left = rows(shop, f"select customer_id, stock_code, description from {table} order by _line")
    emptied = [key if index > 2 and key else None for index, key in enumerate(keys)]
    assert left == [(key, "17003", "13085") for key in emptied]
    assert rows(shop, "select content from ops.rejected_lines") == [(b"erased",)]
    assert rows(shop, "select verified_at is not null from ops.erasures") == [(True,)]
    with pytest.raises(PrivacyError, match="was erased on"):
        erase(shop, "13085", "me", "asked for it")
    with pytest.raises(PrivacyError, match="no customer has that key"):
        erase(shop, "17003", "me", "asked for it")


def keys_in_staging(settings: Settings) -> list[str]:
    """Customer keys of raw as the staging model writes them: its SQL applied to the raw table."""
    macros = [sources.DBT_PROJECT / "macros" / name for name in ("casts.sql", "online_retail.sql")]
    text = "".join(path.read_text() for path in macros)
    keys = jinja2.Template(text + "{{ online_retail_keys() }}").render()
    query = f"select {keys}, _line from raw.online_retail_invoice_lines order by _line"
    return [customer_id or "" for _, _, customer_id, _ in rows(settings, query)]


HOLDS_AND_DIES = """
import os, pathlib, signal, subprocess, sys
from perennial.settings import Settings
from privacy.erasure import _locked
with _locked(Settings(home=pathlib.Path(sys.argv[1]))) as lock:
    print(subprocess.Popen(["sleep", "60"], pass_fds=[lock], stdout=2).pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_build_of_a_killed_erasure_is_waited_for(home: Settings) -> None:
    command = [sys.executable, "-c", HOLDS_AND_DIES, str(home.home)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    try:
        with pytest.raises(PrivacyError, match="the build of one that broke off"):
            erase(home, "anybody", "me", "asked for it")
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


@pytest.mark.parametrize("word", ["C0000001", "zoë.müller@example.org", "a\\b.c*d", "17"])
def test_a_word_is_found_where_it_stands_alone(home: Settings, word: str) -> None:
    for text, is_found in {
        word: True,
        f"x,{word.upper() if word.isascii() else word},y": True,
        f'"{word}"': True,
        f"0{word}": False,
        f"{word}0": False,
        word[:-1]: False,
        word.replace(".", "-"): "." not in word,
    }.items():
        with connect(home, "eraser") as connection:
            found = connection.execute(
                "select %(text)s ~* %(pattern)s, encode(%(bytes)s, 'escape') ~* %(bytes_pattern)s",
                {
                    "text": text,
                    "bytes": text.encode(),
                    "pattern": as_pattern([word]),
                    "bytes_pattern": as_bytes_pattern([word]),
                },
            ).fetchone()
        assert found == (is_found, is_found), text


def test_what_is_left_is_reported_with_its_place(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(f"customer_id,country,email\nleft-1,X,{MARKED}\n")
    land(home, DAY, str(tmp_path), "test")
    with connect(home, "perennial") as connection:
        connection.execute(
            "insert into ops.alerts (dag_id, task_id, run_id, subject, is_delivered)"
            " values ('d', 't', 'r', 'customer left-1 has failed', true)"
        )
    log = home.home / "logs" / "planted.log"
    log.write_text(f"INFO {MARKED.upper()} logged in\nleft-11 is somebody else\n")
    with pytest.raises(PrivacyError, match=r"is still in ops\.alerts\.subject, .*planted\.log"):
        erase(home, "left-1", "me", "asked for it")
    assert rows(home, "select verified_at from ops.erasures") == [(None,)]
    log.unlink()
    with connect(home, "perennial") as connection:
        connection.execute("truncate ops.alerts")
    erase(home, "left-1", "me", "asked for it")
    assert rows(home, "select verified_at is not null from ops.erasures") == [(True,)]
