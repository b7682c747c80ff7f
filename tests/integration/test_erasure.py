"""Erasing a customer leaves none of their data, changes no other customer, and is permanent."""

from __future__ import annotations

import fcntl
import json
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Json

from ingest.batches import close_build
from ingest.land import land
from ingest.sample_shop import generate, write
from ml_tasks.engine.checksum import checksum_in_force
from ml_tasks.engine.cleanup import clean_superseded
from ml_tasks.engine.publish import publish
from ml_tasks.models import registry
from ml_tasks.trained_model import TrainedModel
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect, read_frame
from privacy import erasure
from privacy.export import export_customer, write_export
from privacy.persons import PrivacyError, person
from privacy.search import places
from tests.conftest import StartHome
from tests.steps import dbt

AS_OF, EARLIER = date(2023, 7, 1), date(2023, 6, 1)
MODELS = ("--select", "staging", "intermediate", "marts", "features", "reporting")
ADDRESS = "Marked.Person-7f3a@example.org"
REASON = "asked for it by letter 17/4"
CHURN = contracts.load("churn")
OLD = TrainedModel("coin", date(2022, 12, 1), {"seed": 7})  # before the shop's first order
MODEL = TrainedModel("coin", date(2023, 6, 1), {"seed": 7})
# Tables of a build's own state, and tables that count customers without naming any.
MEMORY = {"stg_ops__landed_files", "int_changed_files", "int_touched_keys"}
MEMORY |= {"stg_canonical__changed_keys", "shop_days", "int_snapshot_dates"}


class SmallShop:
    """A small shop, built and published on two dates, and one of its customers."""

    def __init__(self, settings: Settings, files: Path, customer: str) -> None:
        self.settings, self.files, self.customer = settings, files, customer

    def query(self, query: str, *values: Any) -> list[tuple]:
        with connect(self.settings, "perennial") as connection:
            return connection.execute(query, values).fetchall()

    def tables(self, *schemas: str) -> dict[str, pd.DataFrame]:
        """Every table of the schemas, rows in a total order."""
        names = self.query(
            "select nspname, relname from pg_class join pg_namespace n on n.oid = relnamespace"
            " where nspname = any(%s) and relkind in ('r', 'p') and not relispartition",
            list(schemas),
        )
        frames = {}
        with connect(self.settings, "perennial") as connection:
            for schema, name in names:
                if name in MEMORY:
                    continue
                query = sql.SQL("select * from {}").format(sql.Identifier(schema, name))
                frame = read_frame(connection, query)
                frames[f"{schema}.{name}"] = ordered(frame)
        return frames

    def publications(self) -> list[tuple]:
        return self.query(
            "select as_of_date, row_count, row_counts, checksum, erased_count"
            " from ops.publications order by 1"
        )


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(
        list(frame.columns), key=lambda column: column.astype(str), ignore_index=True
    )


def equal(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert set(found) == set(expected)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, obj=name, check_dtype=False)


def publish_coin(settings: Settings, day: date, also: Sequence[str] = ()) -> str:
    """Publish constant scores of the customers known on a date, and of `also`; no model needed."""
    with connect(settings, "scorer") as connection:
        known = read_frame(
            connection,
            "select customer_id from features.customer_snapshots where as_of_date = %s order by 1",
            [day],
        )
    known = pd.concat([known, pd.DataFrame({"customer_id": also})], ignore_index=True)
    known["churn_probability_90d"] = 0.25 + known.index / 10_000
    known["churn_percentile_90d"] = 50.0
    known["churn_risk_band"], known["churn_risk_band_rank"] = "low", 3
    known["churn_relative_band"] = "3 middle"
    known[[f"{name}_{rank}" for name in ("reason", "reason_code") for rank in (1, 2, 3)]] = None
    known = known.assign(score_status="scored", score_reason=None)
    reasons = known[["customer_id"]].assign(
        reason_rank=1, reason="r", feature="days_since_last_order", feature_value=3.5
    )
    reasons = reasons.assign(contribution_log_odds=0.1, score_status="scored", score_reason=None)
    reasons = reasons.assign(reason_code="long_silence", usual_value=3.0)
    frames = {"churn": known, "churn_reasons": reasons}
    return publish(settings, [frames], CHURN, day, MODEL, "test")["checksum"]


def write_files(folder: Path) -> str:
    """Write the sample shop's files, with addresses and one unreadable line of orders."""
    made = generate(seed=5, customers=1_500, days=181)
    write(made, folder)
    before = made.orders[made.orders.ordered_at < str(EARLIER)]
    refunded = before[(before.order_type == "refund") & before.customer_id.notna()]
    customer = sorted(set(refunded.customer_id))[0]
    for path in folder.glob("customers*"):
        header, *lines = path.read_text().splitlines()
        keys = [line.split(",")[0] for line in lines]
        addresses = [ADDRESS if key == customer else f"{key}@example.org".lower() for key in keys]
        pairs = zip(lines, addresses, strict=True)
        path.write_text("\n".join([f"{header},email", *(f"{a},{b}" for a, b in pairs)]) + "\n")
    with (folder / "customers_2023-02.csv").open("a") as file:
        file.write(f"{ADDRESS}\nsomebody@example.org\n")
    with (folder / "orders_2023-02.csv").open("a") as file:
        file.write(f"O1,{customer}\nO2,X{customer}\n")
    return customer


@pytest.fixture(scope="module")
def shop(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> SmallShop:
    settings, files = start_home("canonical"), tmp_path_factory.mktemp("files")
    customer = write_files(files)
    land(settings, AS_OF, str(files), "test")
    with connect(settings, "loader") as connection:
        connection.execute("update ops.landed_files set status = 'accepted'")
    dbt(settings, AS_OF, "run", *MODELS)
    close_build(settings)
    for day in (EARLIER, AS_OF, EARLIER):  # the first publication is superseded by the last
        publish_coin(settings, day)
    of_a_day = settings.home / "logs" / "dag_processor" / str(AS_OF)
    of_a_day.mkdir(parents=True)
    of_a_day.with_name("latest").symlink_to(of_a_day)  # as Airflow has it
    registry.initialise(settings)
    for question, model in (("churn", OLD), ("churn", MODEL), ("demand", MODEL)):
        registry.add(settings, question, model)
    return SmallShop(settings, files, customer)


def test_nobody_is_found_before_anything_is_done(shop: SmallShop) -> None:
    before = shop.tables("raw", "vault", "marts", "features", "scores", "ops")
    for given, message in {
        "C9999999": "no customer has that key",
        shop.customer.lower(): "no customer has that key",
        "": "CUSTOMER is empty",
        "' or true --": "no customer has that key",
    }.items():
        for query in (
            lambda key: erasure.erase(shop.settings, key, "me", REASON),
            lambda key: erasure.preview(shop.settings, key, REASON, is_dry_run=True),
            lambda key: export_customer(shop.settings, key),
        ):
            with pytest.raises(PrivacyError, match=message) as caught:
                query(given)
            assert not given or given not in str(caught.value)
    for reason, message in {
        " ": "no reason",
        f"{shop.customer} wants it": "names the customer",
        "it was ann@example.org": "names the customer",
    }.items():
        with pytest.raises(PrivacyError, match=message):
            erasure.erase(shop.settings, shop.customer, "me", reason)
    equal(shop.tables("raw", "vault", "marts", "features", "scores", "ops"), before)


def test_a_dry_run_counts_and_changes_nothing(shop: SmallShop) -> None:
    before = shop.tables("raw", "vault", "marts", "features", "scores", "ops")
    result = erasure.preview(shop.settings, shop.customer, "", is_dry_run=True)
    equal(shop.tables("raw", "vault", "marts", "features", "scores", "ops"), before)
    mine = {name: count_of(frame, shop.customer) for name, frame in before.items()}
    expected = {name: count for name, count in mine.items() if count}
    found = {n: c for n, c in result["counts"].items() if n in before}
    assert found == expected
    assert min(found[name] for name in ("marts.fct_refunds", "scores.churn_reasons")) > 0
    assert found["scores.churn"] == 3  # two dates, one of them twice
    assert result["counts"]["rejected: ops.rejected_lines"] == 1
    assert result["counts"]["rejected: vault.originals"] == 1
    assert result["models"] == {"churn": [MODEL.model_version]}  # demand learns from no customer
    assert shop.customer not in json.dumps(result)
    answer: dict[str, Any] = {}
    assert erasure.erase_if_approved(shop.settings, {}, result, answer) == {"erased": False}


def count_of(frame: pd.DataFrame, customer: str) -> int:
    return int((frame["customer_id"] == customer).sum()) if "customer_id" in frame else 0


def test_the_export_has_every_row_and_the_address(shop: SmallShop, tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    count = write_export(shop.settings, shop.customer, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tables = json.loads(path.read_text())["tables"]
    assert count == sum(map(len, tables.values()))
    (original,) = tables.pop("vault.originals")
    assert original["value"] == ADDRESS
    assert original["keyed_hash"] == tables["raw.canonical_customers"][0]["email"]
    for name, frame in shop.tables(
        "raw", "staging", "intermediate", "marts", "features", "scores"
    ).items():
        assert len(tables.get(name, [])) == count_of(frame, shop.customer), name
    assert {row["customer_id"] for rows in tables.values() for row in rows} == {shop.customer}
    with pytest.raises(PrivacyError, match="name a new file"):
        write_export(shop.settings, shop.customer, path)


def test_a_build_under_way_is_waited_for(shop: SmallShop) -> None:
    with (
        connect(shop.settings, "transformer"),
        pytest.raises(PrivacyError, match="under way"),
    ):
        erasure.erase(shop.settings, shop.customer, "me", REASON)
    with (shop.settings.home / "run" / "erasure.lock").open("a") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(PrivacyError, match="another erasure is under way"):
            erasure.erase(shop.settings, shop.customer, "me", REASON)
    assert shop.query("select count(*) from ops.erasures") == [(0,)]


@pytest.fixture(scope="module")
def before(shop: SmallShop) -> dict[str, pd.DataFrame]:
    """All tables before the erasure."""
    clean_superseded(shop.settings)  # too young to go
    return shop.tables("raw", "marts", "features", "scores")


@pytest.fixture(scope="module")
def waiting(shop: SmallShop) -> Iterator[psycopg.Connection]:
    """Airflow's tables with parameters of two runs: one waits, one is about another customer."""
    mine, other = f" {shop.customer}", "C9999998"
    with psycopg.connect(shop.settings.dsn("airflow", "airflow"), autocommit=True) as connection:
        connection.execute("create table dag_run (dag_id varchar, state varchar, conf json)")
        connection.execute("create table log (dag_id varchar, event varchar, extra text)")
        connection.execute("create table hitl_detail (subject text, body text, params json)")
        for key in (mine, other):
            conf = {"customer_id": key, "reason": REASON}
            connection.execute(
                "insert into dag_run values ('erase_customer', 'running', %s)", [Json(conf)]
            )
            connection.execute(
                "insert into log values ('erase_customer', 'trigger_dag_run', %s),"
                " ('erase_customer', 'cli', 'no JSON')",
                [json.dumps({"conf": conf, "logical_date": None})],
            )
        yield connection


@pytest.fixture(scope="module")
def erased(shop: SmallShop, before: dict[str, pd.DataFrame], waiting: object) -> dict[str, Any]:
    return erasure.erase(shop.settings, shop.customer, "me", REASON)


def test_nobody_else_has_changed(
    shop: SmallShop, before: dict[str, pd.DataFrame], erased: dict[str, Any]
) -> None:
    after = shop.tables("raw", "marts", "features", "scores")
    for name, frame in before.items():
        if "customer_id" not in frame:
            expected = frame
        elif name.startswith(("features.", "scores.")) or name == "marts.dim_customers":
            expected = frame[frame.customer_id != shop.customer]
            assert len(frame) - len(expected) == erased["counts"].get(name, 0)
        else:
            expected = frame.copy()
            theirs = frame.customer_id == shop.customer
            emptied = {"customer_id", "email", "registered_at", "country"} & set(frame)
            if name != "raw.canonical_customers":
                emptied = {"customer_id"}
            expected.loc[theirs, sorted(emptied)] = None
            if "is_guest" in frame:
                expected.loc[theirs, "is_guest"] = True
        pd.testing.assert_frame_equal(after[name], ordered(expected), obj=name, check_dtype=False)


def test_publications_say_what_is_left(shop: SmallShop, erased: dict[str, Any]) -> None:
    with connect(shop.settings, "scorer") as connection:
        for as_of_date, row_count, row_counts, checksum, erased_count in shop.publications():
            left = {
                table: connection.execute(
                    f"select count(*) from scores.{table} join ops.publications"
                    " using (as_of_date, publication_id) where as_of_date = %s",
                    [as_of_date],
                ).fetchone()[0]
                for table in ("churn", "churn_reasons")
            }
            assert row_counts == left
            assert row_count == sum(left.values())
            assert erased_count == 2
            assert checksum == checksum_in_force(connection, CHURN, as_of_date)


def test_the_proof_names_nobody(shop: SmallShop, erased: dict[str, Any]) -> None:
    ((proof, reason, who, counts, models, is_verified),) = shop.query(
        "select to_jsonb(e)::text, reason, requested_by, counts, models, verified_at is not null"
        " from ops.erasures as e"
    )
    assert (reason, who, is_verified) == (REASON, "me", True)
    assert counts == erased["counts"]
    assert models == erased["models"] == {"churn": [MODEL.model_version]}
    assert shop.customer not in proof
    assert "@" not in proof


def test_a_run_that_waits_for_an_answer_forgets_the_customer(
    shop: SmallShop, erased: dict[str, Any], waiting: psycopg.Connection
) -> None:
    """Also when `make erase` erases the customer outside of any run."""
    keys = waiting.execute("select conf ->> 'customer_id' from dag_run order by 1").fetchall()
    logged = waiting.execute(
        "select extra::json #>> '{conf,customer_id}' from log where event <> 'cli' order by 1"
    ).fetchall()
    assert keys == logged == [("C9999998",), ("erased",)]
    answer = {"is_approved": True, "who": "me"}
    params = {"customer_id": "erased", "reason": REASON}
    assert erasure.erase_if_approved(shop.settings, params, {}, answer) == {"erased": False}
    who = person(shop.settings, shop.customer)
    assert places(shop.settings, who) == []
    waiting.execute(
        "insert into hitl_detail values ('Erase?', %s, %s)",
        [f"of {shop.customer}, really", Json({"key": shop.customer})],
    )
    assert sorted(places(shop.settings, who)) == [
        "airflow.public.hitl_detail.body",
        "airflow.public.hitl_detail.params",
    ]
    waiting.execute("delete from hitl_detail")


def test_nothing_is_found_by_looking_everywhere(shop: SmallShop, erased: dict[str, Any]) -> None:
    schemas = "raw", "vault", "staging", "intermediate", "marts", "features", "scores", "ops"
    pattern = re.compile(rf"\b{shop.customer}\b|{ADDRESS}", re.IGNORECASE)
    for name, frame in shop.tables(*schemas).items():
        for row in frame.itertuples(index=False):
            assert not pattern.search(str(row)), name
    for path in shop.settings.home.rglob("*"):
        if path.is_file() and "postgres" not in path.parts:
            assert shop.customer.encode() not in path.read_bytes(), path
    # a similar record is still there
    assert shop.query(
        "select count(*) from ops.rejected_lines where encode(content, 'escape') = %s",
        f"O2,X{shop.customer}",
    ) == [(1,)]
    kept = shop.query(
        "select convert_from(value, 'UTF8') from vault.originals where column_name='*'"
    )
    assert kept == [("somebody@example.org",)]


def test_no_build_brings_them_back(shop: SmallShop, erased: dict[str, Any]) -> None:
    after = shop.tables("marts")
    # incremental, with dbt's own tests: the erasure itself was a full build
    dbt(shop.settings, AS_OF, "build", *MODELS, "--exclude", "resource_type:unit_test")
    close_build(shop.settings)
    equal(shop.tables("marts"), after)


def test_a_scoring_that_had_begun_before_does_not_publish_them(
    shop: SmallShop, erased: dict[str, Any]
) -> None:
    checksum = publish_coin(shop.settings, AS_OF)
    assert publish_coin(shop.settings, AS_OF, also=[shop.customer]) == checksum


def test_the_shop_may_send_them_again(shop: SmallShop, erased: dict[str, Any]) -> None:
    customers = shop.query("select count(*) from marts.dim_customers")
    for path in shop.files.glob("*_2023-02.csv"):
        path.write_text(path.read_text().replace(",France", ",Spain"))
    assert land(shop.settings, AS_OF, str(shop.files), "test").batch_id is not None
    assert shop.query(
        "select count(*) from raw.canonical_orders where customer_id = %s", shop.customer
    ) == [(0,)]
    assert customers == shop.query("select count(*) from marts.dim_customers")
