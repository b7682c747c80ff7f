"""Homes of earlier versions open with this one: the schema of a fresh home, and nothing lost."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ml_tasks.models import registry
from perennial import contracts, schema
from perennial.bootstrap import OWNER, SUPERUSER, bootstrap
from perennial.settings import Settings, SettingsError
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import build, dbt, score
from tests.upgrades.dump import DATES, QUESTIONS
from tests.upgrades.restored import VERSIONS, catalogue, restore

NEWEST = schema.upgrades()[-1]
KEPT = "('ops', 'raw', 'reporting', 'scores', 'vault')"
STAMPS = (*contracts.STATUS_COLUMNS, *contracts.STAMPED_COLUMNS[1:])
Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Opened:
    """A home of an earlier version, started with this one.

    Attributes:
        before: Its rows by relation, as they were before the start.
    """

    settings: Settings
    version: str
    before: Rows


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    return start_home("sample")


@pytest.fixture(scope="module")
def fresh(home: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """The catalogue of a home that this version made."""
    return catalogue(home)


@pytest.fixture(scope="module", params=VERSIONS)
def opened(request: pytest.FixtureRequest, home: Settings, fresh: object) -> Opened:
    restore(home, request.param)
    before = rows(home)
    bootstrap(home)
    return Opened(home, request.param, before)


def rows(settings: Settings, schemas: str = KEPT) -> Rows:
    """All rows of each relation, in a total order; of which upgrades there were, none."""
    with psycopg.connect(settings.dsn(SUPERUSER), row_factory=psycopg.rows.dict_row) as connection:
        found = connection.execute(
            "select oid::regclass::text as name from pg_class"
            f" where relnamespace::regnamespace::text in {schemas} and not relispartition"
            " and relkind in ('r', 'p', 'v') and relname <> 'schema_upgrades'"
        ).fetchall()
        return {
            row["name"]: connection.execute(
                f"select * from {row['name']} as r order by r::text"
            ).fetchall()
            for row in found
        }


def assert_kept(before: Rows, after: Rows) -> None:
    """Each row is there with the values that it had, each column where it was."""
    for relation, was in before.items():
        names = list(was[0]) if was else []
        now = [{name: row[name] for name in names} for row in after[relation]]
        assert sorted(now, key=repr) == sorted(was, key=repr), relation
        if was:
            assert list(after[relation][0])[: len(names)] == names, relation


def columns(settings: Settings, relation: str) -> list[str]:
    with connect(settings, OWNER) as connection:
        found = connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
            " and not attisdropped order by attnum",
            [relation],
        ).fetchall()
    return [name for (name,) in found]


def applied(settings: Settings) -> list[tuple[Any, ...]]:
    with connect(settings, OWNER) as connection:
        return connection.execute("select * from ops.schema_upgrades order by number").fetchall()


def test_upgrades_are_numbered_without_a_gap() -> None:
    names = [upgrade.file_name for upgrade in schema.upgrades()]
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in names)


def test_a_fresh_home_has_the_contracts_columns_numbers_before_stamps(
    home: Settings, fresh: object
) -> None:
    for question in contracts.published():
        for table in contracts.load(question).tables:
            found = columns(home, f"scores.{table.name}")
            assert found == list(table.column_names)
            assert tuple(found[-len(STAMPS) :]) == STAMPS, table.name


def test_a_fresh_home_is_stamped_and_runs_no_upgrade(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "0001_fails.sql").write_text("select 1 / 0")
    (tmp_path / "0002_fails.sql").write_text("select 1 / 0")
    with psycopg.connect(home.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
        connection.execute(f"create database fresh owner {OWNER}")
    with psycopg.connect(home.dsn(OWNER, "fresh"), autocommit=True) as connection:
        schema.bring_up_to_date(connection, tmp_path)
        assert schema.missing(connection, schema.upgrades(tmp_path)) == []
        stamped = "select array_agg(number order by number) from ops.schema_upgrades"
        assert connection.execute(stamped).fetchone() == ([1, 2],)


def test_an_opened_home_has_the_schema_of_a_fresh_one(
    opened: Opened, fresh: dict[str, list[tuple[Any, ...]]]
) -> None:
    found = catalogue(opened.settings)
    assert fresh["columns"]
    for kind, expected in fresh.items():
        assert found[kind] == expected, kind


def test_an_opened_home_keeps_its_rows(opened: Opened) -> None:
    assert len(opened.before["ops.publications"]) >= 8  # two dates of the four questions of then
    assert opened.before["ops.late_dates"]
    assert_kept(opened.before, rows(opened.settings))


def test_new_columns_stand_behind_those_that_a_home_had(opened: Opened) -> None:
    for relation, was in opened.before.items():
        if was:
            found = columns(opened.settings, relation)
            assert found[: len(was[0])] == list(was[0]), relation


def test_an_opened_home_finds_its_models(opened: Opened) -> None:
    found = []
    for row in opened.before["ops.publications"]:
        if row["question"] in QUESTIONS:
            model = registry.find(
                opened.settings, row["question"], row["training_date"], row["model_version"]
            )
            found.append(model and model.model_version == row["model_version"])
    assert found == [True] * len(DATES) * len(QUESTIONS)


def test_a_second_start_changes_nothing(opened: Opened) -> None:
    catalogued, kept, had = (
        catalogue(opened.settings),
        rows(opened.settings),
        applied(opened.settings),
    )
    bootstrap(opened.settings)
    assert applied(opened.settings) == had
    assert catalogue(opened.settings) == catalogued
    assert rows(opened.settings) == kept


@pytest.fixture
def upgrades(opened: Opened, tmp_path: Path) -> Iterator[Path]:
    """A folder of upgrades to add to; the home forgets them afterwards."""
    folder = tmp_path / "upgrades"
    shutil.copytree(schema.UPGRADES, folder)
    yield folder
    with connect(opened.settings, OWNER) as connection:
        connection.execute("delete from ops.schema_upgrades where number > %s", [NEWEST.number])
        connection.execute("drop table if exists ops.first, ops.second")


def upgrade(settings: Settings, folder: Path) -> None:
    with connect(settings, OWNER, autocommit=True) as connection:
        schema.bring_up_to_date(connection, folder)


def numbers(settings: Settings) -> list[int]:
    return [row[0] for row in applied(settings)]


def test_a_start_goes_on_where_an_upgrade_broke_off(opened: Opened, upgrades: Path) -> None:
    had, next_number = numbers(opened.settings), NEWEST.number + 1
    (upgrades / f"{next_number:04}_first.sql").write_text("create table ops.first ()")
    second = upgrades / f"{next_number + 1:04}_second.sql"
    table = "create table ops.second ();"
    second.write_text(f"{table} select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(psycopg.OperationalError) as broken_off:
        upgrade(opened.settings, upgrades)
    assert second.name in broken_off.value.__notes__[0]
    assert numbers(opened.settings) == [*had, next_number]
    second.write_text(table)
    upgrade(opened.settings, upgrades)  # neither table is made twice
    assert numbers(opened.settings) == [*had, next_number, next_number + 1]


def test_an_edited_upgrade_is_refused_by_name(opened: Opened, upgrades: Path) -> None:
    with (upgrades / NEWEST.file_name).open("a") as file:
        file.write("-- a thought that came later\n")
    with pytest.raises(SettingsError, match=f"{NEWEST.file_name} was changed after"):
        upgrade(opened.settings, upgrades)


def test_a_newer_home_is_refused_and_left_alone(opened: Opened, upgrades: Path) -> None:
    number = NEWEST.number + 1
    (upgrades / f"{number:04}_first.sql").write_text("create table ops.first ()")
    upgrade(opened.settings, upgrades)
    with psycopg.connect(opened.settings.dsn(SUPERUSER), autocommit=True) as connection:
        connection.execute("alter role scorer connection limit 99")
        with pytest.raises(SettingsError, match=f"has schema version {number}"):
            bootstrap(opened.settings)
        limit = "select rolconnlimit from pg_roles where rolname = 'scorer'"
        assert connection.execute(limit).fetchone() == (99,)


def test_an_upgrade_waits_for_no_reader_for_long(
    opened: Opened, upgrades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "ATTEMPTS", 2)
    number = NEWEST.number + 1
    path = upgrades / f"{number:04}_first.sql"
    path.write_text("create table ops.first (); alter table ops.publications add column x text")
    with psycopg.connect(opened.settings.dsn(SUPERUSER)) as idle:
        idle.execute("select from ops.publications")
        with pytest.raises(SettingsError, match=f"{path.name} found its tables in use"):
            upgrade(opened.settings, upgrades)
    assert number not in numbers(opened.settings)


@pytest.mark.parametrize("opened", [VERSIONS[0], VERSIONS[-1]], indirect=True)
def test_readers_find_what_they_found(opened: Opened) -> None:
    """In views of their own columns, in their order; what the contract has since is behind."""
    before = {name: was for name, was in opened.before.items() if name.startswith("reporting.")}
    dbt(opened.settings, DATES[1], "run", "--select", "reporting")
    assert_kept(before, rows(opened.settings, "('reporting')"))
    for question in contracts.published():
        for table in contracts.load(question).tables:
            name = "model_health" if question == contracts.LOOKBACK else table.name
            found = columns(opened.settings, f"reporting.{name}_history")
            names = {"product_name", "product_family"} if name == "demand" else set()
            assert sorted(found) == sorted({*table.column_names, *names})


@pytest.mark.whole
def test_an_opened_home_builds_and_scores(opened: Opened) -> None:
    """And a build of views that are as they should be replaces none, whatever their order."""
    build(opened.settings, DATES[1])
    score(opened.settings, DATES[1], *QUESTIONS)
    made = rewritten(opened.settings)
    dbt(opened.settings, DATES[1], "run", "--select", "reporting")
    assert rewritten(opened.settings) == made


def rewritten(settings: Settings) -> list[tuple[Any, ...]]:
    """Which transaction made each reporting view as it is."""
    with connect(settings, OWNER) as connection:
        return connection.execute(
            "select ev_class::regclass::text, pg_rewrite.xmin from pg_rewrite"
            " join pg_class on pg_class.oid = ev_class"
            " where relnamespace = 'reporting'::regnamespace order by 1"
        ).fetchall()
