"""Reporting views: what bi_reader sees follows the publication pointer and never disappears."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import psycopg
import pytest
from psycopg import sql

from oncall.delivery import DeliveryError, check_delivery
from perennial import contracts, feature_models
from perennial.bootstrap import bootstrap
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import dbt

AS_OF = date(2024, 3, 1)
EARLIER = date(2024, 2, 1)
TABLES = [table for question in contracts.questions() for table in contracts.load(question).tables]
VIEWS = [
    *contracts.ONE_ROW_VIEWS,
    "model_health",
    "questions",
    "model_health_history",
    "scores_freshness",
    *(f"{table.name}{suffix}" for table in TABLES for suffix in ("", "_history")),
]
# Columns that a score row needs beside its key.
VALUES = {"text": "x", "date": date(2024, 3, 4), "integer": 1, "double precision": 0.5}


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Settings:
    """A warehouse with empty marts and all views."""
    settings = start_home("canonical")
    dbt(settings, AS_OF, "run")
    return settings


@pytest.fixture(autouse=True)
def nothing_published(home: Settings) -> Iterator[None]:
    yield
    with connect(home, "perennial") as connection:
        connection.execute("truncate ops.publications")
        connection.execute("truncate features.customer_snapshots")
        for table in TABLES:
            connection.execute(sql.SQL("truncate {}").format(table.relation))


def put(home: Settings, question: str, day: date, publication_id: int, entity: str) -> None:
    """Insert rows of a publication, one per table, without a pointer."""
    with connect(home, "scorer") as connection:
        for table in contracts.load(question).tables:
            connection.execute("select scores.ensure_month(%s, %s)", [table.name, day])
            row = {
                column.name: column.values[0] if column.values else VALUES.get(column.data_type)
                for column in table.columns
            }
            row |= {"as_of_date": day, "publication_id": publication_id, table.key[0]: entity}
            connection.execute(
                sql.SQL("insert into {} ({}) values ({})").format(
                    table.relation,
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join(sql.Placeholder() * len(row)),
                ),
                list(row.values()),
            )


def know(home: Settings, day: date, customer_id: str) -> None:
    """Insert a customer who is known on a date."""
    (model,) = [one for one in feature_models.load() if one.name == "customer_snapshots"]
    values = {"boolean": False, "numeric": 0}
    row = {
        column.name: values.get(column.data_type, VALUES.get(column.data_type, 0))
        for column in model.columns
    }
    row |= {"as_of_date": day, "customer_id": customer_id}
    with connect(home, "perennial") as connection:
        connection.execute(
            sql.SQL("insert into features.customer_snapshots ({}) values ({})").format(
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )


def point(home: Settings, question: str, day: date, publication_id: int) -> None:
    with connect(home, "scorer") as connection:
        connection.execute(
            "insert into ops.publications (question, as_of_date, publication_id, run_id,"
            " model_name, model_version, training_date, row_count, row_counts, checksum)"
            " values (%s, %s, %s, 'r', 'm', 'v', %s, 1, '{}', 'c')"
            " on conflict (question, as_of_date) do update"
            " set publication_id = excluded.publication_id",
            [question, day, publication_id, day],
        )


def seen(home: Settings, view: str, columns: str) -> list[tuple]:
    with connect(home, "bi_reader") as connection:
        query = f"select {columns} from reporting.{view} order by 1"
        return connection.execute(query).fetchall()


def test_every_view_is_there_and_empty_before_anything_is_published(home: Settings) -> None:
    assert {"customer_360", "churn", "churn_history"} < set(VIEWS)
    for view in VIEWS:
        count = len(contracts.questions()) if view == "questions" else 0
        assert seen(home, view, "count(*)") == [(count,)], view


def test_every_column_of_every_view_has_a_comment(home: Settings) -> None:
    with connect(home, "bi_reader") as connection:
        comments = connection.execute(
            "select attrelid::regclass, attname, col_description(attrelid, attnum)"
            " from pg_attribute join pg_class on pg_class.oid = attrelid"
            " where relnamespace = 'reporting'::regnamespace and attnum > 0 and relkind = 'v'"
        ).fetchall()
    assert len({view for view, _, _ in comments}) == len(VIEWS)
    assert [(view, column) for view, column, comment in comments if not comment] == []


@pytest.mark.parametrize("question", contracts.questions())
def test_only_the_publication_that_is_pointed_at_is_seen(home: Settings, question: str) -> None:
    put(home, question, AS_OF, 1, "superseded")
    put(home, question, AS_OF, 2, "in force")
    put(home, question, AS_OF, 3, "not yet")
    put(home, question, EARLIER, 4, "earlier")
    point(home, question, AS_OF, 2)
    point(home, question, EARLIER, 4)
    for table in contracts.load(question).tables:
        columns = f"as_of_date, {table.key[0]}"
        assert seen(home, table.name, columns) == [(AS_OF, "in force")]
        history = seen(home, f"{table.name}_history", columns)
        assert history == [(EARLIER, "earlier"), (AS_OF, "in force")]
    ((_, freshest, dates),) = seen(
        home, "scores_freshness", "question, as_of_date, count_published_dates"
    )
    assert (freshest, dates) == (AS_OF, 2)


def test_customer_360_waits_for_the_last_question(home: Settings) -> None:
    for day in (EARLIER, AS_OF):
        know(home, day, "one customer")
    for number, question in enumerate(contracts.questions()):
        for day in (EARLIER, AS_OF):
            put(home, question, day, 10 * number + day.month, "one customer")
            if day == EARLIER or question != "survival":
                point(home, question, day, 10 * number + day.month)
    assert seen(home, "customer_360", "as_of_date, customer_id") == [(EARLIER, "one customer")]
    point(home, "survival", AS_OF, 10 * contracts.questions().index("survival") + AS_OF.month)
    assert seen(home, "customer_360", "as_of_date, customer_id") == [(AS_OF, "one customer")]


def test_product_outlook_has_a_products_weeks_in_one_row(home: Settings) -> None:
    for number, question in enumerate(("products", "demand"), start=1):
        put(home, question, AS_OF, number, "a")
        point(home, question, AS_OF, number)
    with connect(home, "scorer") as connection:
        connection.execute(
            "insert into scores.demand (as_of_date, publication_id, product_id, week_start_date,"
            " horizon_weeks, demand_units_p50, demand_units_mean, method, score_status, model_name,"
            " model_version, run_id, scored_at)"
            " select as_of_date, publication_id, product_id, week_start_date + 7, 2, 7, 3, method,"
            " score_status, model_name, model_version, run_id, scored_at from scores.demand"
        )
    shown = "product_id, demand_units_p50_next_week, demand_units_mean_8w, sales_state"
    assert seen(home, "product_outlook", shown) == [("a", 0.5, 3.5, "discontinued")]


def test_product_outlook_waits_for_demand(home: Settings) -> None:
    for day, number in ((EARLIER, 1), (AS_OF, 2)):
        for question in ("products", "demand"):
            put(home, question, day, number, "a")
            if (question, day) != ("demand", AS_OF):
                point(home, question, day, number)
    assert seen(home, "product_outlook", "as_of_date") == [(EARLIER,)]
    point(home, "demand", AS_OF, 2)
    assert seen(home, "product_outlook", "as_of_date") == [(AS_OF,)]


def test_a_date_is_delivered_when_every_view_has_it(home: Settings) -> None:
    # nothing was landed, so what needs an optional table is not offered, and not waited for
    questions = [name for name in contracts.questions() if not contracts.load(name).needs]
    for day in (EARLIER, AS_OF):
        know(home, day, "x")
    for question in questions:
        put(home, question, EARLIER, 1, "x")
        point(home, question, EARLIER, 1)
    of_a_date = {table.name: 1 for name in questions for table in contracts.load(name).tables}
    assert check_delivery(home, EARLIER) == of_a_date | dict.fromkeys(contracts.ONE_ROW_VIEWS, 1)
    for question in questions:
        put(home, question, AS_OF, 2, "x")
    for question in questions[:-1]:
        point(home, question, AS_OF, 2)
    with pytest.raises(DeliveryError, match=f"no rows of {AS_OF} in reporting.{questions[-1]}"):
        check_delivery(home, AS_OF)
    point(home, questions[-1], AS_OF, 2)
    assert check_delivery(home, AS_OF)["customer_360"] == 1
    # customer_360 and product_outlook do not show earlier dates
    assert check_delivery(home, EARLIER) == of_a_date


def test_model_health_shows_the_newest_comparison(home: Settings) -> None:
    """The newest scored date of each question and horizon, whenever it was compared."""
    with connect(home, "scorer") as connection:
        for day, scored_date, days in (
            (EARLIER, date(2023, 11, 1), 90),
            (EARLIER, date(2023, 12, 1), 30),
            (AS_OF, date(2023, 12, 1), 90),
        ):
            connection.execute("select scores.ensure_month('lookback', %s)", [day])
            connection.execute(
                "insert into scores.lookback (as_of_date, publication_id, question, scored_date,"
                " horizon_days, metric, slice, score_status)"
                " values (%s, %s, 'churn', %s, %s, 'auc', 'all', 'scored')",
                [day, 1 + (day == AS_OF), scored_date, days],
            )
    point(home, "lookback", EARLIER, 1)
    point(home, "lookback", AS_OF, 2)
    assert seen(home, "model_health", "horizon_days, scored_date") == [
        (30, date(2023, 12, 1)),
        (90, date(2023, 12, 1)),
    ]
    assert seen(home, "model_health_history", "count(*)") == [(3,)]
    with connect(home, "perennial") as connection:
        connection.execute("truncate scores.lookback")


def test_readers_get_no_error_while_everything_is_built_again(home: Settings) -> None:
    """Not even in a full refresh; and an analyst's view on top of ours survives."""
    with connect(home, "perennial") as connection:
        connection.execute(
            "create or replace view public.of_an_analyst as"
            " select customer_id from reporting.customer_360"
        )
    done = threading.Event()
    errors: list[psycopg.Error] = []
    polls = 0

    def poll() -> None:
        nonlocal polls
        with connect(home, "bi_reader", autocommit=True) as connection:
            while not done.is_set():
                try:
                    for view in VIEWS:
                        connection.execute(
                            sql.SQL("select count(*) from {}").format(
                                sql.Identifier("reporting", view)
                            )
                        )
                except psycopg.Error as error:
                    errors.append(error)
                polls += 1

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        dbt(home, AS_OF, "run", "--full-refresh")
    finally:
        done.set()
        reader.join()
    assert errors == []
    assert polls > 20
    with connect(home, "perennial") as connection:
        connection.execute("select * from public.of_an_analyst")


def test_bi_reader_sees_views_and_nothing_under_them(home: Settings) -> None:
    with connect(home, "bi_reader", autocommit=True) as connection:
        for relation in ("scores.churn", "ops.publications", "features.customer_snapshots"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select * from {relation}")


def test_a_start_and_a_build_wait_for_no_reader(home: Settings) -> None:
    """Both used to lock unchanged objects, with every reader waiting behind."""
    with psycopg.connect(home.dsn("bi_reader")) as idle:
        for view in VIEWS:
            idle.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(view)))
        bootstrap(home)  # would wait for ever if it waited for the idle reader
        dbt(home, AS_OF, "run", "--select", "reporting")
        assert idle.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


def test_a_build_writes_only_comments_that_differ(home: Settings) -> None:
    count = (
        "select count(*), count(*) filter (where xmin = %s::text::xid)"
        " from pg_description where objoid::regclass::text in ("
        " 'reporting.scores_freshness', 'staging.stg_ops__landed_files')"
    )
    newest = "select max(xmin::text::bigint) from pg_description"
    with connect(home, "transformer") as connection:
        comment = "comment on column {} is 'edited by hand'"
        connection.execute(comment.format("reporting.scores_freshness.row_count"))
        (before,) = connection.execute(newest).fetchone()
        kept = connection.execute(count, [before]).fetchone()
    assert kept[1] == 1
    dbt(home, AS_OF, "run", "--select", "scores_freshness", "stg_ops__landed_files")
    with connect(home, "transformer") as connection:
        (after,) = connection.execute(newest).fetchone()
        written = connection.execute(count, [after]).fetchone()
        (text,) = connection.execute(
            "select col_description('reporting.scores_freshness'::regclass, attnum)"
            " from pg_attribute where attrelid = 'reporting.scores_freshness'::regclass"
            " and attname = 'row_count'"
        ).fetchone()
    assert after > before
    assert written == kept  # the same comments, of which one is new
    assert text != "edited by hand"


def test_a_view_that_has_changed_is_replaced(home: Settings) -> None:
    with connect(home, "transformer") as connection:
        connection.execute(
            "create or replace view reporting.scores_freshness as"
            " select question, as_of_date, published_at, 0::bigint as row_count, model_name,"
            " model_version, training_date, 7::bigint as count_published_dates,"
            " 7::bigint as count_late_dates from ops.publications"
        )
    dbt(home, AS_OF, "run", "--select", "scores_freshness")
    with connect(home, "transformer") as connection:
        (definition,) = connection.execute(
            "select pg_get_viewdef('reporting.scores_freshness'::regclass)"
        ).fetchone() or ("",)
    assert "ops.late_dates" in definition
