"""Each role tries every verb on every table: exactly the rights in the table of roles work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import date, timedelta

import psutil
import psycopg
import pytest
from psycopg import errors, sql

from local import postgres
from perennial.bootstrap import OWNER, ROLES, SUPERUSER, bootstrap
from perennial.dbt import dbt
from perennial.reader_limit import end_largest, end_overdue, make_room, mend_roles, own_memory
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.commands import wait_until
from tests.conftest import StartHome

READ, READ_DELETE = {"select"}, {"select", "delete"}
ALL = {
    "select", "insert", "update", "delete", "truncate", "trigger", "maintain", "alter", "drop",
    "comment",
}  # fmt: skip
STEPS = ("loader", "transformer", "scorer", "eraser", "watcher")
BUILT = ("staging", "intermediate", "marts", "features")

# By hand, from the table of roles: a role's rights on all tables of a schema ...
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
    "reader_limit": {"reporting": READ},  # membership lets it end the reader's sessions
    "reader_check": {"reporting": READ},
    "airflow": {},
    "mlflow": {},
}  # fmt: skip
# ... and additional rights on single tables.
TABLES: dict[str, dict[str, set[str]]] = {
    "loader": {
        "ops.landed_files": {"select", "insert", "update"},
        "ops.rejected_lines": {"select", "insert"},
        "ops.gate_results": {"select", "insert"},
        "ops.erasures": {"select"},
        "ops.offers": READ,
        "vault.originals": {"insert"},
    },
    "transformer": {
        "ops.late_dates": {"insert", "update", "delete"},
        "ops.built_files": {"insert", "update", "delete"},
        "ops.judged_days": {"insert", "update"},
        "ops.reject_levels": {"insert", "delete"},
        "ops.reconciliations": {"insert", "delete"},
    },
    "scorer": {
        "ops.publications": {"select", "insert", "update"},
        "ops.gate_results": {"select", "insert"},
        "ops.champions": {"select", "insert"},
        "ops.late_dates": {"select", "delete"},
        "ops.drift": {"select", "insert", "delete"},
        "ops.score_parts": {"select", "insert", "update", "delete"},
        "ops.erasures": {"select"},
        "ops.offers": READ,
        "ops.shop": READ,
    },
    "eraser": {
        "ops.erasures": {"insert", "update"},
        "ops.publications": {"update"},
        "ops.rejected_lines": {"update"},
        "ops.score_parts": {"delete"},
        "vault.originals": {"select", "delete"},
    },
    "watcher": {  # and a few named columns of landed_files and publications
        "ops.incidents": {"select", "insert", "update"},
        "ops.alerts": {"insert"},
        "ops.offers": READ,
        "warden.mended_roles": READ,
    },
}
SEQUENCES = {("loader", "ops.batch_id_seq"), ("scorer", "ops.publication_id_seq")}
FUNCTIONS = {
    ("scorer", "scores.ensure_month"),
    ("scorer", "scores.expire"),
    ("scorer", "scores.thin"),
    ("scorer", "ops.expire"),
    ("loader", "vault.ensure_month"),
    ("eraser", "vault.expire"),
    ("watcher", "ops.count_known_customers"),
    ("watcher", "warden.looked_at"),
    ("reader_limit", "warden.mend"),
}
CREATES_IN = {("transformer", schema) for schema in (*BUILT, "reporting")}
CONNECTS = {
    **{
        role: {"warehouse"} for role in (OWNER, *STEPS, "bi_reader", "reader_limit", "reader_check")
    },
    "airflow": {"airflow"},
    "mlflow": {"mlflow"},
}
TRIED = tuple(role for role in SCHEMAS if CONNECTS[role] == {"warehouse"})


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    """Every table of every layer, empty, and one partition of each partitioned table."""
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
    """The warehouse's relations from the catalogue, and a statement for each verb."""

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
    """Whether the role lacks the right; an allowed statement is rolled back, also if it fails."""
    notices: list[str] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    try:
        with connection.transaction(force_rollback=True):
            # a reader's sessions are read-only by default, but any session may change that
            connection.execute("set transaction read write")
            connection.execute(statement)
    except errors.InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False  # the role has the right; the statement fails for another reason
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
    # a foreign key needs a table of its own: query the right instead of trying it
    with psycopg.connect(home.dsn(SUPERUSER)) as owner:
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
        # no right names the schema of temporary tables
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
    assert sorted(members) == [
        ("bi_reader", "reader_check"),
        ("bi_reader", "reader_limit"),
        ("pg_use_reserved_connections", "reader_check"),
        ("pg_use_reserved_connections", "reader_limit"),
        ("pg_use_reserved_connections", "watcher"),
        ("transformer", OWNER),
    ]


# The reader: every user of a BI tool has this password --------------------------------------------


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
        "alter role bi_reader set log_min_messages = 'debug5'",
        "alter role bi_reader valid until '2000-01-01'",
        "alter role bi_reader nologin",
        "alter role all set work_mem = '1MB'",
        "alter role loader set work_mem = '1MB'",
        "alter database warehouse set work_mem = '1MB'",
        "comment on role bi_reader is 'tried'",
        "grant bi_reader to loader",
        "set role reader_check",
        "set log_min_messages = 'debug5'",
        "set log_min_error_statement = 'error'",
        "set session_preload_libraries = 'nowhere'",
        "load 'nowhere'",
        "do $$ begin null; end $$",
        "select pg_logical_emit_message(false, 'a', 'b')",
        "select pg_logical_emit_message(false, 'a', 'b'::bytea)",
        "select pg_notify('a', 'b')",
        "select pg_current_xact_id()",
        "select txid_current()",
        "select pg_export_snapshot()",
        "select warden.mend()",
        "select * from warden.held_roles",
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
        # even roles that may read the list see readers' statements only
        (texts,) = warden.execute("select string_agg(query, '\n') from pg_stat_activity").fetchone()
    assert "secret of another reader" in texts
    assert "secret of the scorer" not in texts


def test_a_session_that_sets_its_own_timeout_is_ended_all_the_same(home: Settings) -> None:
    with (
        connect(home, "bi_reader", autocommit=True) as reader,
        connect(home, "reader_limit", autocommit=True) as warden,
        connect(home, "bi_reader", autocommit=True) as quick,
    ):
        reader.execute("set statement_timeout = 0")
        seen: list[BaseException] = []
        thread = threading.Thread(target=_run, args=(reader, "select pg_sleep(100)", seen))
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


def test_connections_of_all_roles_add_up_to_less_than_there_are(home: Settings) -> None:
    with psycopg.connect(home.dsn(SUPERUSER)) as connection:
        limits = dict(
            connection.execute(
                "select rolname, rolconnlimit from pg_roles where rolcanlogin and not rolsuper"
            ).fetchall()
        )
        (free,) = connection.execute(
            "select current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
            " - current_setting('reserved_connections')::int"
        ).fetchone()
    assert limits.keys() == set(ROLES)
    assert min(limits.values()) >= 3
    assert sum(limits.values()) <= free
    assert limits["bi_reader"] < free / 3


# A role may change itself; a start and the warden revert that -------------------------------------

CHANGES = {
    "a library that is not there": "alter role {role} in database warehouse"
    " set local_preload_libraries = 'nowhere'",
    "a library in all databases": "alter role {role} set local_preload_libraries = 'nowhere'",
    "no timeout": "alter role {role} set statement_timeout = 0",
    "a timeout that ends everything": "alter role {role} in database warehouse"
    " set statement_timeout = '1ms'",
    "another search path": "alter role {role} set search_path = 'pg_catalog'",
    "memory without end": "alter role {role} in database warehouse set work_mem = '64GB'",
    "its settings reset": "alter role {role} reset search_path",
    "a password of its own": "alter role {role} password 'of its own'",
    "no rights on views to come": "drop owned by {role}",
}


def _state(settings: Settings) -> tuple[list[tuple], list[tuple]]:
    """Roles' current settings and default rights on future views."""
    with psycopg.connect(settings.dsn(SUPERUSER)) as connection:
        own = connection.execute(
            "select setrole::regrole::text, setdatabase, setconfig from pg_db_role_setting"
            " order by 1, 2"
        ).fetchall()
        rights = connection.execute(
            "select defaclnamespace::regnamespace::text, defaclacl::text"
            " from pg_default_acl where defaclnamespace = 'reporting'::regnamespace"
        ).fetchall()
    return own, rights


def _is_let_in(settings: Settings, role: str) -> bool:
    with suppress(psycopg.OperationalError):
        connect(settings, role).close()
        return True
    return False


@pytest.fixture
def unwatched(home: Settings) -> Iterator[Settings]:
    """The home without its warden, which is restarted at the end."""
    postgres.end_reader_limit(home)
    yield home
    postgres.start(home)


def _change(settings: Settings, role: str, statement: str) -> None:
    with connect(settings, role, autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        connection.execute(statement.format(role=role))


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_reader_changes_of_itself_is_set_back(unwatched: Settings, change: str) -> None:
    before = _state(unwatched)
    assert before[1] == [("reporting", "{bi_reader=r/transformer}")]
    _change(unwatched, "bi_reader", CHANGES[change])
    with connect(unwatched, "reader_limit", autocommit=True) as warden:
        assert len(mend_roles(warden)) == 1
        assert mend_roles(warden) == []
    assert _is_let_in(unwatched, "bi_reader")
    assert _state(unwatched) == before


@pytest.mark.parametrize("role", sorted(set(TRIED) | {OWNER}))
def test_a_start_sets_every_role_back(unwatched: Settings, role: str) -> None:
    """Without `drop owned by`, which would drop the warehouse for the steps' own roles."""
    before = _state(unwatched)
    for statement in list(CHANGES.values())[:-1]:
        with psycopg.connect(unwatched.dsn(SUPERUSER), autocommit=True) as connection:
            connection.execute("set role " + role)
            connection.execute(statement.format(role=role))
    assert not _is_let_in(unwatched, role)
    bootstrap(unwatched)
    assert _state(unwatched) == before
    assert _is_let_in(unwatched, role)


def test_while_it_runs_the_warden_lets_readers_in_again_within_seconds(home: Settings) -> None:
    postgres.start(home)
    _change(home, "bi_reader", CHANGES["a library that is not there"])
    _change_by = time.monotonic() + 10
    while not _is_let_in(home, "bi_reader"):
        assert time.monotonic() < _change_by
        time.sleep(0.2)
    with connect(home, "watcher") as watcher:
        mended = watcher.execute(
            "select changed from warden.mended_roles where role_name = 'bi_reader'"
        )
        assert ("its settings in database warehouse",) in mended.fetchall()


# Limits of a session ------------------------------------------------------------------------------


def test_a_session_of_boundless_work_mem_gets_an_error_and_the_others_go_on(
    start_home: StartHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine where a session may use half a gigabyte."""
    monkeypatch.setattr(postgres, "READERS_MEMORY_PART", 10**9)
    monkeypatch.setattr(postgres, "LEAST_SESSION_BYTES", 500 * 2**20)
    home = start_home("canonical")
    with (
        connect(home, "bi_reader", autocommit=True) as greedy,
        connect(home, "bi_reader", autocommit=True) as modest,
    ):
        greedy.execute("set work_mem = '64GB'")
        with pytest.raises(errors.OutOfMemory):
            greedy.execute(
                "select count(*) from"
                " (select g, repeat('x', 1000) from generate_series(1, 2000000) as g"
                " order by 2, 1 offset 0) as sorted"
            )
        assert modest.execute("select 1").fetchone() == (1,)
        assert greedy.execute("select 1").fetchone() == (1,)


def test_readers_who_have_too_much_together_lose_the_largest_session(home: Settings) -> None:
    with (
        connect(home, "bi_reader") as large,
        connect(home, "bi_reader") as small,
        connect(home, "reader_limit", autocommit=True) as warden,
    ):
        used = {large.info.backend_pid: 700, small.info.backend_pid: 400}
        assert end_largest(warden, 1_100, lambda pid: used.get(pid, 0)) == 0
        assert end_largest(warden, 1_000, lambda pid: used.get(pid, 0)) == 1
        assert small.execute("select 1").fetchone() == (1,)
        with pytest.raises(errors.AdminShutdown):
            large.execute("select 1")


def test_memory_is_a_process_own_and_not_what_all_share(home: Settings) -> None:
    with connect(home, "bi_reader", autocommit=True) as reader:
        pid = reader.info.backend_pid
        before = own_memory(2**40)(pid)
        reader.execute(
            "select length(string_agg(repeat('x', 1000000), '')) from generate_series(1, 2)"
        )
        assert 0 < before < 40 * 2**20
    assert own_memory(0)(2**22 + 1) == 0  # no process has this id


def test_idle_sessions_end_after_their_time(home: Settings) -> None:
    with (
        connect(home, "bi_reader", autocommit=True) as idle,
        connect(home, "reader_limit", autocommit=True) as warden,
    ):
        idle.execute("set idle_session_timeout = 0")
        time.sleep(0.3)
        assert end_overdue(warden) == 0
        assert end_overdue(warden, idle_limit=timedelta(seconds=0.2)) == 1


def test_where_readers_have_nearly_all_they_may_the_longest_idle_go(home: Settings) -> None:
    with psycopg.connect(home.dsn(SUPERUSER)) as connection:
        (limit,) = connection.execute(
            "select rolconnlimit from pg_roles where rolname = 'bi_reader'"
        ).fetchone()
    with ExitStack() as held, connect(home, "reader_limit", autocommit=True) as warden:
        idle = []
        with suppress(psycopg.OperationalError):
            while True:
                idle.append(held.enter_context(connect(home, "bi_reader", autocommit=True)))
        assert len(idle) <= limit
        # the checking and watching roles can connect all the same
        assert [_is_let_in(home, role) for role in ("bi_reader", "reader_check", "watcher")] == [
            False, True, True,
        ]  # fmt: skip
        assert make_room(warden) == 0  # a minute idle is no abuse
        ended = make_room(warden, idle_limit=timedelta(0))
        assert limit * 0.25 - 1 <= ended <= limit * 0.25 + 1
        time.sleep(0.3)
        assert make_room(warden, idle_limit=timedelta(0)) == 0
        assert _is_let_in(home, "bi_reader")
        assert idle[-1].execute("select 1").fetchone() == (1,)
        with pytest.raises(errors.AdminShutdown):
            idle[0].execute("select 1")


# The two wardens ----------------------------------------------------------------------------------


def _wardens(settings: Settings) -> list[psutil.Process]:
    """The two processes, the parent first."""
    found = postgres.wardens(settings)
    return sorted(found, key=lambda process: process.ppid() in {one.pid for one in found})


def _are_two_again(settings: Settings, killed: int) -> bool:
    now = _wardens(settings)
    with connect(settings, "watcher") as watcher:
        (seconds,) = watcher.execute(
            "select extract(epoch from clock_timestamp() - warden.looked_at())"
        ).fetchone()
    return (
        len(now) == 2
        and killed not in {process.pid for process in now}
        and seconds is not None
        and seconds < 5
    )


@pytest.mark.parametrize("which", [0, 1])
def test_whoever_of_the_two_is_killed_is_started_again(home: Settings, which: int) -> None:
    postgres.start(home)
    wait_until(lambda: _are_two_again(home, 0), 20)
    victim = _wardens(home)[which]
    victim.kill()
    wait_until(lambda: _are_two_again(home, victim.pid), 20)


def test_both_killed_are_missed_and_a_start_brings_them_back(home: Settings) -> None:
    for process in _wardens(home):
        process.suspend()
    for process in _wardens(home):
        process.kill()
    wait_until(lambda: not _wardens(home), 10)
    postgres.start(home)
    wait_until(lambda: _are_two_again(home, 0), 20)
    postgres.start(home)
    assert len(_wardens(home)) == 2
