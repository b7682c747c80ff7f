"""Each role tries everything on everything: what works is what design's table of roles says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta

import psycopg
import pytest
from psycopg import errors, sql

from perennial.bootstrap import OWNER, ROLES, SUPERUSER
from perennial.dbt import dbt
from perennial.reader_limit import end_overdue
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome

READ, READ_DELETE = {"select"}, {"select", "delete"}
ALL = {
    "select", "insert", "update", "delete", "truncate", "trigger", "maintain", "alter", "drop",
    "comment",
}  # fmt: skip
STEPS = ("loader", "transformer", "scorer", "eraser", "watcher")
BUILT = ("staging", "intermediate", "marts", "features")

# By hand, from the table of roles: what a role may do with each table of a schema ...
SCHEMAS: dict[str, dict[str, set[str]]] = {
    "loader": {"raw": {"select", "insert"}},
    "transformer": {
        "raw": READ, **dict.fromkeys(BUILT, ALL), "scores": READ, "reporting": ALL, "ops": READ,
    },
    "scorer": {
        **dict.fromkeys(BUILT, READ), "scores": {"select", "insert", "delete", "maintain"},
    },
    "eraser": {
        "raw": {"select", "update"}, **dict.fromkeys(BUILT, READ), "features": READ_DELETE,
        "scores": READ_DELETE, "ops": READ,
    },
    "bi_reader": {"reporting": READ},
    "watcher": {},
    "reader_limit": {"reporting": READ},  # may end the reader's sessions by being one
    "airflow": {},
    "mlflow": {},
}  # fmt: skip
# ... and, beyond that, with single tables.
TABLES: dict[str, dict[str, set[str]]] = {
    "loader": {
        "ops.landed_files": {"select", "insert", "update"},
        "ops.rejected_lines": {"select", "insert"},
        "ops.gate_results": {"select", "insert"},
        "ops.erasures": {"select"},
        "vault.originals": {"insert"},
    },
    "transformer": {
        "ops.late_dates": {"insert", "update", "delete"},
        "ops.built_files": {"insert", "update", "delete"},
        "ops.judged_days": {"insert", "update"},
    },
    "scorer": {
        "ops.publications": {"select", "insert", "update"},
        "ops.gate_results": {"select", "insert"},
        "ops.champions": {"select", "insert"},
        "ops.late_dates": {"select", "delete"},
        "ops.drift": {"select", "insert", "delete"},
        "ops.score_parts": {"select", "insert", "update", "delete"},
        "ops.erasures": {"select"},
    },
    "eraser": {
        "ops.erasures": {"insert", "update"},
        "ops.publications": {"update"},
        "ops.rejected_lines": {"update"},
        "ops.score_parts": {"delete"},
        "vault.originals": {"select", "delete"},
    },
    "watcher": {  # and a few columns of landed_files and publications, by name
        "ops.incidents": {"select", "insert", "update"},
        "ops.alerts": {"insert"},
    },
}
SEQUENCES = {("loader", "ops.batch_id_seq"), ("scorer", "ops.publication_id_seq")}
FUNCTIONS = {
    ("scorer", "scores.ensure_month"),
    ("scorer", "scores.expire"),
    ("scorer", "ops.expire"),
    ("loader", "vault.ensure_month"),
    ("eraser", "vault.expire"),
    ("watcher", "ops.count_known_customers"),
}
CREATES_IN = {("transformer", schema) for schema in (*BUILT, "reporting")}
CONNECTS = {
    **{role: {"warehouse"} for role in (OWNER, *STEPS, "bi_reader", "reader_limit")},
    "airflow": {"airflow"},
    "mlflow": {"mlflow"},
}
TRIED = tuple(role for role in SCHEMAS if CONNECTS[role] == {"warehouse"})


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    """Every table of every layer, without a row, and a partition where there are any."""
    settings = start_home("canonical")
    dbt(settings, date(2024, 1, 1), "run")
    with connect(settings, "perennial") as connection:
        connection.execute(
            "select scores.ensure_month(relname, '2024-01-01') from pg_class"
            " where relnamespace = 'scores'::regnamespace and relkind = 'p'"
        )
        connection.execute("select vault.ensure_month()")
    return settings


class Tables:
    """The warehouse's relations as the catalogue lists them, and a statement for each verb."""

    def __init__(self, settings: Settings) -> None:
        with connect(settings, OWNER) as connection:
            self.found = connection.execute(
                "select nspname, relname, relkind, (select attname from pg_attribute"
                " where attrelid = pg_class.oid and attnum > 0 and attidentity = ''"
                " and attgenerated = '' and not attisdropped order by attnum limit 1)"
                " from pg_class join pg_namespace on pg_namespace.oid = relnamespace"
                " where relkind in ('r', 'p', 'v', 'm', 'f', 'S')"
                " and nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1, 2"
            ).fetchall()

    def of(self, *kinds: str) -> Iterator[tuple[str, str, str, str]]:
        return ((s, name, kind, column) for s, name, kind, column in self.found if kind in kinds)


STATEMENTS = {
    "select": "select * from {table} limit 0",
    "insert": "insert into {table} ({column}) select null where false",
    "update": "update {table} set {column} = null where false",
    "delete": "delete from {table} where false",
    "truncate": "truncate {table}",
    "trigger": "create trigger tried before insert on {table}"
    " for each statement execute function suppress_redundant_updates_trigger()",
    "maintain": "analyze {table}",
    "alter": "alter table {table} add column tried int",
    "drop": "drop table {table} cascade",
    "comment": "comment on table {table} is 'tried'",
}
ON_VIEWS = {
    "select": STATEMENTS["select"],
    "alter": "alter view {table} rename to tried",
    "drop": "drop view {table} cascade",
    "comment": "comment on view {table} is 'tried'",
}


def is_refused(connection: psycopg.Connection, statement: sql.Composable | str) -> bool:
    """Whether the role may not; what it may is rolled back, whatever else is wrong with it."""
    notices: list[str] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    try:
        with connection.transaction(force_rollback=True):
            # a reader's sessions are read-only by default, and anybody may say otherwise
            connection.execute("set transaction read write")
            connection.execute(statement)
    except errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False  # the right is there, the statement is not possible
    return any(notice.startswith("permission denied") for notice in notices)


def allowed(role: str, schema: str, table: str) -> set[str]:
    return SCHEMAS[role].get(schema, set()) | TABLES.get(role, {}).get(f"{schema}.{table}", set())


@pytest.mark.parametrize("role", TRIED)
def test_a_role_may_do_with_each_table_what_the_design_says_and_no_more(
    home: Settings, role: str
) -> None:
    tables = Tables(home)
    wrong, count_tried = [], 0
    with connect(home, role, autocommit=True) as connection:
        for schema, name, kind, column in tables.of("r", "p", "v", "m", "f"):
            statements = ON_VIEWS if kind == "v" else STATEMENTS
            found = set()
            for verb, text in statements.items():
                statement = sql.SQL(text).format(
                    table=sql.Identifier(schema, name), column=sql.Identifier(column)
                )
                found |= set() if is_refused(connection, statement) else {verb}
            count_tried += len(statements)
            expected = allowed(role, schema, name) & set(statements)
            if found != expected:
                wrong.append((f"{schema}.{name}", sorted(found ^ expected)))
    assert wrong == []
    assert count_tried > 600  # 75 tables and views


@pytest.mark.parametrize("role", TRIED)
def test_sequences_and_foreign_keys(home: Settings, role: str) -> None:
    tables = Tables(home)
    with connect(home, role, autocommit=True) as connection:
        sequences = {
            (role, f"{schema}.{name}", verb)
            for schema, name, *_ in tables.of("S")
            for verb, text in {
                "next": "select nextval('{}.{}')",
                "read": "select * from {}.{}",
                "set": "select setval('{}.{}', 1)",
            }.items()
            if not is_refused(connection, text.format(schema, name))
        }
    with connect(
        home, OWNER
    ) as owner:  # a foreign key takes a table to put it on: asked, not tried
        references = {
            f"{schema}.{name}"
            for schema, name, *_ in tables.of("r", "p")
            if owner.execute(
                "select has_any_column_privilege(%s, %s, 'references')", [role, f"{schema}.{name}"]
            ).fetchone()
            == (True,)
        }
    assert sequences == {(*pair, "next") for pair in SEQUENCES if pair[0] == role}
    built = {f"{s}.{name}" for s, name, *_ in tables.of("r", "p") if s in BUILT}
    assert references == (built if role == "transformer" else set())


@pytest.mark.parametrize("role", TRIED)
def test_who_may_create_and_where(home: Settings, role: str) -> None:
    with connect(home, role, autocommit=True) as connection:
        schemas = [name for (name,) in connection.execute("select nspname from pg_namespace")]
        creates = set()
        for schema in schemas:
            for text in (
                "create table {}.tried (a int)",
                "create view {}.tried as select 1",
                "create function {}.tried() returns int language sql as 'select 1'",
                "create type {}.tried as enum ()",
                "create sequence {}.tried",
            ):
                if not is_refused(connection, sql.SQL(text).format(sql.Identifier(schema))):
                    creates.add((role, schema))
        # a temporary table's schema is named by no right of its own
        creates = {pair for pair in creates if not pair[1].startswith("pg_temp")}
        temporary = not is_refused(connection, "create temporary table tried (a int)")
        schema = not is_refused(connection, "create schema tried")
        database = not is_refused(connection, "create extension vector schema ops")
    assert creates == {pair for pair in CREATES_IN if pair[0] == role}
    assert (temporary, schema, database) == (role == "transformer", False, False)


@pytest.mark.parametrize("role", TRIED)
def test_functions_of_ours_run_for_whom_they_are_meant(home: Settings, role: str) -> None:
    with connect(home, role, autocommit=True) as connection:
        may_run = {
            (role, name)
            for name, may in connection.execute(
                "select nspname || '.' || proname, has_function_privilege(pg_proc.oid, 'execute')"
                " and has_schema_privilege(nspname, 'usage')"
                " from pg_proc join pg_namespace on pg_namespace.oid = pronamespace"
                " where nspname not in ('pg_catalog', 'information_schema')"
            )
            if may
        }
    assert may_run == {pair for pair in FUNCTIONS if pair[0] == role}


@pytest.mark.parametrize("role", sorted(CONNECTS))
def test_a_role_reaches_its_own_database_only(home: Settings, role: str) -> None:
    reached = set()
    for database in ("warehouse", "airflow", "mlflow", "postgres", "template1"):
        with suppress(psycopg.OperationalError):
            psycopg.connect(home.dsn(role, database)).close()
            reached.add(database)
    assert reached == CONNECTS[role]


def test_no_role_but_the_superuser_has_more_than_a_login(home: Settings) -> None:
    with psycopg.connect(home.dsn(SUPERUSER)) as connection:
        attributes = connection.execute(
            "select rolname, rolsuper or rolcreaterole or rolcreatedb or rolreplication"
            " or rolbypassrls from pg_roles where rolname !~ '^pg_' order by 1"
        ).fetchall()
        members = connection.execute(
            "select roleid::regrole::text, member::regrole::text from pg_auth_members"
            " where member::regrole::text !~ '^pg_' order by 1"
        ).fetchall()
    assert attributes == [(role, role == SUPERUSER) for role in sorted((*ROLES, SUPERUSER))]
    assert members == [("bi_reader", "reader_limit"), ("transformer", OWNER)]


# The reader: whoever has a BI tool has this password ---------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "select pg_read_file('postgresql.conf')",
        "select pg_ls_dir('.')",
        "select pg_stat_file('PG_VERSION')",
        "select lo_create(0)",
        "select lo_creat(-1)",
        "select lo_from_bytea(0, 'x')",
        "select lo_import('/etc/passwd')",
        "copy (select 1) to '/tried'",
        "copy (select 1) to program 'cat'",
        "create temporary table tried as select 1",
        "create schema tried",
        "create function reporting.tried() returns int language sql as 'select 1'",
        "create role tried",
        "alter role bi_reader superuser",
        "alter role bi_reader connection limit -1",
        "alter role bi_reader reset temp_file_limit",
        "set role transformer",
        "set role perennial",
        "set session authorization postgres",
        "grant transformer to bi_reader",
        "set temp_file_limit = -1",
        "select * from pg_stat_activity",
        "select * from pg_stat_get_activity(null)",
        "select pg_stat_get_backend_activity(1)",
        "select pg_terminate_backend(pg_backend_pid())",
        "select pg_cancel_backend(pg_backend_pid())",
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_lock_shared(1)",
        "select * from pg_authid",
        "select * from pg_shadow",
        "select * from pg_hba_file_rules",
        "select pg_reload_conf()",
        "select pg_switch_wal()",
        "create extension vector",
        "create foreign data wrapper tried",
        "create publication tried for all tables",
        "create event trigger tried on ddl_command_start execute function tried()",
        "lock table reporting.churn in access exclusive mode",
        "comment on view reporting.churn is 'tried'",
        "select setval('ops.publication_id_seq', 1)",
        "select scores.ensure_month('churn', '2030-01-01')",
    ],
)
def test_the_reader_is_refused(home: Settings, statement: str) -> None:
    with connect(home, "bi_reader", autocommit=True) as connection:
        assert is_refused(connection, statement)


def test_the_reader_cannot_change_the_server(home: Settings) -> None:
    with (
        connect(home, "bi_reader", autocommit=True) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute("alter system set log_statement = 'all'")


def test_the_reader_sees_no_statement_of_anybody(home: Settings) -> None:
    with (
        connect(home, "scorer") as scorer,
        connect(home, "bi_reader") as other,
        connect(home, "reader_limit") as warden,
    ):
        scorer.execute("select 'a secret of the scorer'")
        other.execute("select 'a secret of another reader'")
        # even who may look at the list sees readers' statements only
        (texts,) = warden.execute("select string_agg(query, '\n') from pg_stat_activity").fetchone()
    assert "secret of another reader" in texts
    assert "secret of the scorer" not in texts


def test_a_session_that_sets_its_own_timeout_is_ended_all_the_same(home: Settings) -> None:
    """Nor does it help to catch the cancellation: the session itself ends."""
    stubborn = """do $$ begin loop begin
        perform pg_sleep(100); exception when query_canceled then null; end; end loop; end $$"""
    for statement in ("select pg_sleep(100)", stubborn):
        with (
            connect(home, "bi_reader", autocommit=True) as reader,
            connect(home, "reader_limit", autocommit=True) as warden,
            connect(home, "bi_reader", autocommit=True) as quick,
        ):
            reader.execute("set statement_timeout = 0")
            seen: list[BaseException] = []
            thread = threading.Thread(target=_run, args=(reader, statement, seen))
            thread.start()
            time.sleep(0.6)
            assert end_overdue(warden) == 0
            assert end_overdue(warden, statement_limit=timedelta(seconds=0.5)) == 1
            thread.join(timeout=10)
            assert [type(error) for error in seen] == [errors.AdminShutdown]
            assert quick.execute("select 1").fetchone() == (1,)


def _run(connection: psycopg.Connection, statement: str, seen: list[BaseException]) -> None:
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        seen.append(error)


def test_a_transaction_kept_open_is_ended(home: Settings) -> None:
    with connect(home, "bi_reader") as reader, connect(home, "reader_limit") as warden:
        reader.execute("select 1")
        time.sleep(0.3)
        assert end_overdue(warden, transaction_limit=timedelta(seconds=0.2)) == 1
        with pytest.raises(errors.AdminShutdown):
            reader.execute("select 1")


def test_somebody_looks_on_as_long_as_the_server_runs(home: Settings) -> None:
    with psycopg.connect(home.dsn(SUPERUSER)) as connection:
        found = connection.execute(
            "select query from pg_stat_activity where usename = 'reader_limit'"
        ).fetchall()
    assert len(found) == 1
    assert "pg_terminate_backend" in found[0][0]


def test_a_build_that_is_stopped_can_end_its_own_sessions_and_no_others(home: Settings) -> None:
    with (
        connect(home, "transformer", autocommit=True) as dbt,
        connect(home, "transformer") as stuck,
        connect(home, "loader") as other,
    ):
        dbt.execute("select pg_terminate_backend(%s)", [stuck.info.backend_pid])
        with pytest.raises(errors.AdminShutdown):
            stuck.execute("select 1")
        with pytest.raises(errors.InsufficientPrivilege):
            dbt.execute("select pg_terminate_backend(%s)", [other.info.backend_pid])


def test_readers_leave_connections_to_the_steps(home: Settings) -> None:
    with psycopg.connect(home.dsn(SUPERUSER)) as connection:
        (limit, of_server) = connection.execute(
            "select rolconnlimit, current_setting('max_connections')::int"
            " from pg_roles where rolname = 'bi_reader'"
        ).fetchone()
    assert 0 < limit <= of_server / 2
