"""Code where data is expected: in names, headers, values, dates, ids, settings. None runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jinja2.sandbox import SandboxedEnvironment
from psycopg import sql
from pydantic import ValidationError

from command.batches import batch_number
from dags.shared.dbt import PARTITION_DATE
from ingest.land import land
from ml_tasks.models.serving import roll_back
from perennial import contracts, sources
from perennial.bootstrap import SUPERUSER
from perennial.days import read_day
from perennial.dbt import DbtError, dbt
from perennial.settings import Settings, SettingsError
from perennial.warehouse import connect
from privacy.export import export_customer
from privacy.persons import PrivacyError
from tests.conftest import StartHome
from tests.faults.ledger import record

DAY = date(2011, 9, 10)
HEADER = [
    *("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price"),
    *("Customer ID", "Country"),
]
LINE = ["536365", "85123A", "a lamp", "6", "2010-12-01 08:26:00", "2.55", "17850", "France"]

PAYLOADS = [
    "'; drop table ops.canary; --",
    "\"; drop table ops.canary; --",
    "x'); drop table ops.canary; --",
    "x\"); drop table ops.canary; --",
    "'||(select string_agg(value, '') from ops.canary)||'",
    "$$; drop table ops.canary; $$",
    "\\'; drop table ops.canary; --",
    "x' or '1'='1",
    "ops.canary; drop table ops.canary",
    "{{ 7 * 191 }}",
    "{% raw %}{{ self.__init__.__globals__ }}",
    "{as_of_date.__class__.__mro__}",
    "%s %(role)s %n",
    "$(touch ran) `touch ran`",
    "; touch ran ;",
    "| touch ran",
    "\\copy ops.canary to program 'touch ran'",
    "../../../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "=cmd|'/c calc'!A1",
    "@SUM(1+1)",
    "<script>alert(1)</script>",
    "[red]rich[/red] \x1b[31m",
    "-- \\g\\q",
    "O'Brien \"the\" \\ back",
    "\u202eexe.vsc",
]  # fmt: skip


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    """A home with a table that an injection could drop."""
    settings = start_home("online_retail")
    with psycopg.connect(settings.dsn(SUPERUSER)) as connection:
        connection.execute(
            "create table ops.canary (value text);"
            " grant all on ops.canary to loader, transformer, scorer, eraser;"
            " insert into ops.canary values ('alive')"
        )
    return settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where a shell would `touch ran`


class Attempts:
    """The payloads tried, and whether any of them ran."""

    def __init__(self, settings: Settings, where: str) -> None:
        self.settings, self.where, self.count = settings, where, 0
        self.relations = self.relations_now()

    def relations_now(self) -> list[tuple[str]]:
        with psycopg.connect(self.settings.dsn(SUPERUSER)) as connection:
            return connection.execute(
                "select oid::regclass::text from pg_class where relkind in ('r', 'v', 'p')"
                " and relnamespace::regnamespace::text !~ '^pg_(temp|toast)' order by 1"
            ).fetchall()

    def end(self) -> None:
        """Assert that nothing was created or dropped, in the warehouse or in the folder."""
        with psycopg.connect(self.settings.dsn(SUPERUSER)) as connection:
            canary = connection.execute("select value from ops.canary").fetchall()
        ran = int(canary != [("alive",)]) + int(self.relations_now() != self.relations)
        ran += int(Path("ran").exists())
        record(
            "nobody in",
            f"code in {self.where}",
            f"{self.count} attempts, {ran} ran",
            injections=self.count,
            lost=ran,
        )
        assert ran == 0


def landed(settings: Settings, path: Path, run_id: str = "a run") -> None:
    land(settings, DAY, str(path), run_id)


def written(path: Path, header: list[str], line: list[str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, line])
    return path


def raw_rows(settings: Settings, column: str) -> list[str]:
    with connect(settings, "loader") as connection:
        query = sql.SQL("select {} from raw.online_retail_invoice_lines order by _file_id, _line")
        return [value for (value,) in connection.execute(query.format(sql.Identifier(column)))]


def known_names(settings: Settings) -> list[str]:
    with connect(settings, "loader") as connection:
        return [name for (name,) in connection.execute("select file_name from ops.landed_files")]


def test_file_names(home: Settings, tmp_path: Path) -> None:
    attempts = Attempts(home, "names of files")
    for number, payload in enumerate(PAYLOADS):
        base = "a" + payload.replace("/", "_")  # names that begin with . are skipped
        folder = tmp_path / str(number)
        folder.mkdir()
        written(folder / f"{base}.csv", HEADER, [f"name {number}", *LINE[1:]])
        landed(home, folder)
        assert str(folder / f"{base}.csv") in known_names(home)  # unchanged
        attempts.count += 1
    attempts.end()


def test_headers_of_every_format(home: Settings, tmp_path: Path) -> None:
    attempts = Attempts(home, "column names of CSV, JSON lines and Parquet")
    for number, payload in enumerate(PAYLOADS):
        own = dict(zip(HEADER, [f"header {number}", *LINE[1:]], strict=True)) | {payload: payload}
        written(tmp_path / f"{number}.csv", list(own), list(own.values()))
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(own | {"Invoice": "j"}) + "\n")
        pq.write_table(
            pa.table({name: [value] for name, value in own.items()}), tmp_path / f"{number}.parquet"
        )
        for kind in ("csv", "jsonl", "parquet"):
            landed(home, tmp_path / f"{number}.{kind}")
            attempts.count += 1
    with connect(home, "loader") as connection:
        columns = connection.execute("select * from raw.online_retail_invoice_lines limit 0")
        names = [column.name for column in columns.description or ()]
    assert len(names) == len(HEADER) + 4  # no header became a column
    attempts.end()


def test_values_of_every_field(home: Settings, tmp_path: Path) -> None:
    attempts = Attempts(home, "values of each text field")
    for number, payload in enumerate(PAYLOADS):
        line = [payload] * len(HEADER)
        landed(home, written(tmp_path / f"{number}.csv", HEADER, line))
        attempts.count += len(HEADER)
    for column in ("description", "invoice", "country"):
        assert set(PAYLOADS) <= set(raw_rows(home, column))
    attempts.end()


@pytest.mark.whole
def test_what_staging_and_marts_make_of_them(home: Settings, tmp_path: Path) -> None:
    """dbt reads the landed rows; file names are data, too."""
    attempts = Attempts(home, "rows that dbt builds from")
    rows = [[f"9{number:05}", "85123A", payload, *LINE[3:7], payload]
            for number, payload in enumerate(PAYLOADS)]  # fmt: skip
    with (tmp_path / "sound.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    landed(home, tmp_path / "sound.csv")
    with connect(home, "loader") as connection:
        connection.execute("update ops.landed_files set status = 'accepted'")
    dbt(home, DAY, "run", "--select", "staging")
    attempts.relations = attempts.relations_now()
    with connect(home, "transformer") as connection:
        (staged,) = connection.execute(
            "select count(*) from staging.stg_online_retail__order_items"
        ).fetchone() or (0,)
    assert staged >= len(PAYLOADS)
    attempts.count += 2 * len(PAYLOADS)
    attempts.end()


TYPED: dict[str, tuple[Callable[[Settings, str], object], tuple[type[Exception], ...]]] = {
    "SOURCE": (lambda s, text: sources.load(text), (SettingsError,)),
    "QUESTION": (lambda s, text: contracts.load(text), (SettingsError,)),
    "a question to roll back": (
        lambda s, text: roll_back(s, text, "why"), (SettingsError, RuntimeError, ValueError),
    ),
    "FILES=table:": (lambda s, text: land(s, DAY, f"table:{text}", "a run"), (ValueError,)),
    "FILES": (lambda s, text: land(s, DAY, text, "a run"), (ValueError,)),
    "AS_OF": (lambda s, text: read_day(text, "AS_OF"), (SettingsError,)),
    "BATCH": (lambda s, text: batch_number(text), (ValueError,)),
    "PERENNIAL_CURRENCY": (lambda s, text: Settings(currency=text), (ValidationError,)),
    "PERENNIAL_TIME_ZONE": (lambda s, text: Settings(time_zone=text), (ValidationError,)),
    "a run's partition key, on its way to dbt": (
        lambda s, text: rendered(text), (ValueError,),
    ),
}  # fmt: skip


def rendered(key: str) -> str:
    """The date that Airflow passes to dbt, as rendered."""
    import datetime as module
    from types import SimpleNamespace

    context = {
        "macros": SimpleNamespace(datetime=module.datetime),
        "dag_run": SimpleNamespace(partition_key=key),
    }
    return SandboxedEnvironment().from_string(PARTITION_DATE).render(context)


@pytest.mark.parametrize("where", TYPED)
def test_what_is_typed(home: Settings, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERENNIAL_HOME", str(home.home))
    monkeypatch.setenv("PERENNIAL_PG_PORT", str(home.pg_port))
    monkeypatch.setenv("PERENNIAL_SOURCE", home.source)
    call, refusals = TYPED[where]
    attempts = Attempts(home, where)
    for payload in PAYLOADS:
        for text in (payload, f"2011-09-10{payload}"):
            with pytest.raises(refusals):
                call(home, text)
            attempts.count += 1
    attempts.end()


def test_ids_of_customers(home: Settings) -> None:
    """An export of one customer's rows contains no other customer's."""
    attempts = Attempts(home, "ids of customers")
    for payload in PAYLOADS:
        for text in (payload, f"17850{payload}", f"{payload}17850"):
            with suppress(PrivacyError):  # no customer has that key
                assert "a lamp" not in json.dumps(export_customer(home, text))  # 17850 bought it
            attempts.count += 1
    assert "a lamp" in json.dumps(export_customer(home, "17850"))
    attempts.end()


def test_a_date_is_rendered_as_it_is() -> None:
    assert rendered("2011-09-10") == "2011-09-10"


def test_ids_of_runs(home: Settings, tmp_path: Path) -> None:
    attempts = Attempts(home, "ids of runs")
    for number, payload in enumerate(PAYLOADS):
        path = written(tmp_path / f"{number}.csv", HEADER, [f"run {number}", *LINE[1:]])
        landed(home, path, run_id=payload)
        attempts.count += 1
    with connect(home, "loader") as connection:
        run_ids = connection.execute("select run_id from ops.landed_files").fetchall()
    assert {(payload,) for payload in PAYLOADS} <= set(run_ids)
    attempts.end()


@pytest.mark.whole
def test_a_date_that_is_code_stops_dbt(home: Settings) -> None:
    """A person who calls dbt with it by hand has the rights of transformer only."""
    attempts = Attempts(home, "dbt's as_of_date")
    with psycopg.connect(home.dsn(SUPERUSER)) as connection:
        connection.execute("revoke all on ops.canary from transformer")
    day = "2011-09-10'; drop table ops.canary; --"
    with pytest.raises(DbtError):
        dbt(home, day, "run", "--select", "int_snapshot_dates")  # type: ignore[arg-type]
    attempts.count += 1
    attempts.end()
