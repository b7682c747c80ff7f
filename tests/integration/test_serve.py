"""The server: it answers what was published, scores one customer as the batch does, and stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import httpx
import pandas as pd
import psutil
import pytest
from fastapi.testclient import TestClient
from psycopg import sql

from ingest.sample_shop import generate, write
from local import postgres
from perennial.settings import SERVE_TOKEN, Settings
from perennial.warehouse import connect, read_frame
from privacy import erasure
from serve.app import create_app
from serve.fresh import FreshScores, FreshStore, query_of_one
from serve.published_copy import PublishedCopy
from tests.commands import running, wait_until
from tests.conftest import StartHome
from tests.steps import build, land_files, rows, score

AS_OF = date(2024, 1, 20)
SCORED = ("churn", "clv", "survival", "products", "demand", "recommendations")
# Columns of the batch that need all customers of a date.
OF_ALL = {"churn_percentile_90d", "churn_relative_band"}


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop that is scored on one date."""
    settings = start_home("canonical")
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=3, customers=120, days=330), folder)
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    score(settings, AS_OF, *SCORED)
    return settings


@pytest.fixture(scope="module")
def server(home: Settings) -> Iterator[TestClient]:
    token = home.password(SERVE_TOKEN)
    with TestClient(create_app(home), headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.fixture(scope="module")
def fresh(home: Settings) -> FreshScores:
    return FreshScores(home)


def shown(home: Settings, view: str, key: str, value: str) -> list[dict[str, Any]]:
    """Rows of a view as bi_reader sees them, as JSON."""
    query = sql.SQL("select row_to_json(shown) from {} as shown where {} = %s").format(
        sql.Identifier("reporting", view), sql.Identifier(key)
    )
    with connect(home, "bi_reader") as connection:
        return [row for (row,) in connection.execute(query, [value])]


def keys(home: Settings, view: str, key: str) -> list[str]:
    query = sql.SQL("select {key} from {view} order by 1").format(
        key=sql.Identifier(key), view=sql.Identifier("reporting", view)
    )
    with connect(home, "bi_reader") as connection:
        return [value for (value,) in connection.execute(query)]


def test_a_customer_is_answered_as_bi_reads_it(home: Settings, server: TestClient) -> None:
    customers = keys(home, "customer_360", "customer_id")
    assert len(customers) > 40
    for customer in customers[::10]:
        answer = server.get(f"/customers/{customer}").json()
        assert [answer["customer_360"]] == shown(home, "customer_360", "customer_id", customer)
        lists = shown(home, "recommendations", "customer_id", customer)
        by_kind = sorted(lists, key=lambda row: row["list_kind"])
        assert answer["recommendations"] == by_kind
        assert len(by_kind) == 2
        reasons = shown(home, "churn_reasons", "customer_id", customer)
        assert answer["churn_reasons"] == sorted(reasons, key=lambda row: row["reason_rank"])


def test_a_product_is_answered_as_bi_reads_it(home: Settings, server: TestClient) -> None:
    for product in keys(home, "product_outlook", "product_id")[::20]:
        answer = server.get(f"/products/{product}").json()
        assert [answer["product_outlook"]] == shown(home, "product_outlook", "product_id", product)
        (companions,) = shown(home, "product_companions", "product_id", product)
        assert answer["companions"] == companions


def test_whoever_is_new_gets_the_list_of_everybody(home: Settings, server: TestClient) -> None:
    (everybody,) = shown(home, "starting_products", "audience_kind", "all")
    assert server.get("/starting-products").json() == everybody
    nowhere = {"audience_kind": "country", "audience": "Atlantis"}
    assert server.get("/starting-products", params=nowhere).json() == everybody


def test_without_the_token_nothing_is_told(server: TestClient) -> None:
    with TestClient(server.app) as stranger:
        closed = set(stranger.get("/openapi.json").json()["paths"]) - {"/health"}
        assert len(closed) == 5
        for path in closed:
            method = stranger.post if path == "/cart" else stranger.get
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
                answer = method(path.replace("{", "").replace("}", ""), headers=headers)
                assert answer.status_code == 401, path
        assert stranger.get("/health").json()["as_of_date"] == str(AS_OF)
        assert "GET /customers/{customer_id}" in stranger.get("/").text


def test_what_is_unknown_is_not_found(server: TestClient) -> None:
    for path in ("/customers/nobody", "/customers/nobody/scores", "/products/nothing"):
        answer = server.get(path)
        assert answer.status_code == 404
        assert "nobody" in answer.json()["detail"] or "nothing" in answer.json()["detail"]


@pytest.mark.parametrize("question", ["churn", "clv", "survival"])
def test_a_fresh_score_equals_the_batch(home: Settings, fresh: FreshScores, question: str) -> None:
    batch = rows(home, f"reporting.{question}_history", AS_OF).set_index("customer_id")
    compared = 0
    for customer in batch.index:
        answer = fresh.scores(customer)
        assert answer["as_of_date"] == str(AS_OF)
        for column, value in answer[question].items():
            if column not in batch.columns or column in OF_ALL:
                continue
            expected = batch.at[customer, column]
            if isinstance(value, float | int) and not isinstance(value, bool):
                assert float(value) == pytest.approx(float(expected), rel=1e-9), (customer, column)
                compared += 1
            elif value is not None:
                assert str(value) == str(expected), (customer, column)
            else:
                assert pd.isna(expected), (customer, column)
    assert compared >= 12


def test_fresh_features_are_those_of_the_batch_on_each_date(
    home: Settings, fresh: FreshScores
) -> None:
    """One store gives the rows of two dates: value reads those of the training date, too."""
    with connect(home, "scorer") as connection:
        query = "select * from features.customer_snapshots where as_of_date = any(%s)"
        batch = read_frame(connection, query, [[date(2023, 12, 1), AS_OF]])
        batch = batch.set_index(["customer_id", "as_of_date"])
        for customer in batch.index.levels[0][::7]:
            store = FreshStore(connection, fresh.query(), customer)
            for day, expected in batch.loc[customer].iterrows():
                found = store.snapshot(day).iloc[0]
                for column in set(batch.columns) - {"is_in_sample"}:
                    assert same(found[column], expected[column]), (customer, day, column)
        age = timedelta(days=int(batch.loc[(customer, AS_OF), "days_since_first_order"]))
        assert store.snapshot(AS_OF - age).empty
        assert len(store.snapshot(AS_OF - age + timedelta(days=1))) == 1


def same(found: object, expected: object) -> bool:
    if isinstance(expected, str):
        return found == expected
    numbers = [float("nan") if value is None else float(value) for value in (found, expected)]  # type: ignore[arg-type]
    return numbers[0] == pytest.approx(numbers[1], nan_ok=True)


@pytest.mark.parametrize("day", ["2023-12-31", "2025-01-01", "9999-12-31"])
def test_a_day_that_the_models_or_the_marts_do_not_fit_is_refused(
    server: TestClient, home: Settings, day: str
) -> None:
    customer = keys(home, "customer_360", "customer_id")[0]
    answer = server.get(f"/customers/{customer}/scores", params={"as_of_date": day})
    assert answer.status_code == 422
    assert "choose a day from 2024-01-01 to 2024-01-20" in answer.json()["detail"]


def test_a_query_of_more_than_a_customers_days_is_refused() -> None:
    with pytest.raises(ValueError, match="fct_orders"):
        query_of_one('select * from "warehouse"."marts"."fct_orders" as orders')


def test_the_command_answers_a_real_request(home: Settings) -> None:
    with running(home, "serve") as process:
        base = f"http://127.0.0.1:{home.serve_port}"
        wait_until(lambda: process.poll() is not None or is_up(f"{base}/health"), 120)
        customer = keys(home, "customer_360", "customer_id")[0]
        assert httpx.get(f"{base}/customers/{customer}").status_code == 401
        headers = {"Authorization": f"Bearer {home.password(SERVE_TOKEN)}"}
        answer = httpx.get(f"{base}/customers/{customer}", headers=headers).json()
        assert [answer["customer_360"]] == shown(home, "customer_360", "customer_id", customer)
        listening = {c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.laddr}
        assert listening == {"127.0.0.1"}


def is_up(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


def test_whoever_is_erased_is_gone_from_the_copy(home: Settings, server: TestClient) -> None:
    customer = keys(home, "customer_360", "customer_id")[-1]
    assert server.get(f"/customers/{customer}").status_code == 200
    erasure.erase(home, customer, "test", "asked for it")
    wait_until(lambda: server.get(f"/customers/{customer}").status_code == 404, 60)
    assert customer.encode() not in home.served_copy.read_bytes()
    assert not PublishedCopy(home).refresh()  # nothing has changed since


def test_the_copy_answers_while_the_warehouse_is_away(home: Settings, server: TestClient) -> None:
    """The last test of the file: it stops Postgres."""
    customer = keys(home, "customer_360", "customer_id")[0]
    before = server.get(f"/customers/{customer}").json()
    postgres.stop(home)
    try:
        assert server.get(f"/customers/{customer}").json() == before
        with TestClient(create_app(home), headers=server.headers) as started_meanwhile:
            assert started_meanwhile.get(f"/customers/{customer}").json() == before
            assert started_meanwhile.get("/health").json()["refresh_error"]
            assert started_meanwhile.get(f"/customers/{customer}/scores").status_code == 503
        away = server.get(f"/customers/{customer}/scores")
        assert away.status_code == 503
        assert "/customers/" in away.json()["detail"]
    finally:
        postgres.start(home)
    assert server.get(f"/customers/{customer}/scores").status_code == 200
