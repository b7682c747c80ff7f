"""Erasure while readers read, killed in the middle, and requested and approved in real Airflow."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from local import airflow
from oncall.airflow_api import Api
from perennial.settings import REPOSITORY, Settings
from perennial.warehouse import connect
from privacy import erasure
from privacy.persons import person
from privacy.search import places
from tests.commands import succeed, wait_for_question, wait_until
from tests.faults.ledger import draw, record, size
from tests.integration.test_erasure import REASON, SmallShop, shop  # noqa: F401

pytestmark = pytest.mark.whole

ERASE = """
import json, sys
from perennial.settings import Settings
from privacy.erasure import erase
settings = Settings(**json.loads(sys.argv[1]))
erase(settings, sys.argv[2], "me", sys.argv[3])
"""
EVERY_SECONDS = 0.02


@contextmanager
def reader(settings: Settings, views: list[str]) -> Iterator[dict[str, int]]:
    """Read the views continuously in a thread; an error there fails the test."""
    seen = {"polls": 0}
    errors: list[BaseException] = []
    ended = threading.Event()

    def read() -> None:
        try:
            with connect(settings, "bi_reader", autocommit=True) as connection:
                while not ended.is_set():
                    for view in views:
                        query = sql.SQL("select count(*) from {}").format(sql.SQL(view))
                        (count,) = connection.execute(query).fetchone() or (0,)
                        assert count, f"{view} is empty"
                        seen["polls"] += 1
                    time.sleep(EVERY_SECONDS)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    assert errors == []


def misfits(small: SmallShop) -> list[tuple]:
    """Publications with counts or checksums that differ from the tables."""
    return small.query(
        "with found as (select as_of_date, publication_id, count(*) as n from scores.churn"
        "  group by 1, 2 union all"
        "  select as_of_date, publication_id, count(*) from scores.churn_reasons group by 1, 2)"
        " select as_of_date, row_count, sum(n) from ops.publications"
        " join found using (as_of_date, publication_id) where question = 'churn'"
        " group by 1, 2 having row_count <> sum(n)"
    )


def test_a_killed_erasure_is_completed_by_a_second_request(shop: SmallShop) -> None:  # noqa: F811
    """Each kill hits a different customer's erasure, at a random moment."""
    random = draw("erasures killed")
    customers = scored_customers(shop)
    random.shuffle(customers)
    fields = json.dumps(
        {"home": str(shop.settings.home), "source": "canonical", "pg_port": shop.settings.pg_port}
    )
    erase = [sys.executable, "-c", ERASE, fields]
    started = time.monotonic()
    subprocess.run([*erase, customers[0], REASON], cwd=REPOSITORY, check=True)
    whole_seconds = time.monotonic() - started
    kills, views = size(1, 3), ["reporting.churn", "reporting.churn_history"]
    before = len(scored_customers(shop))
    with reader(shop.settings, views) as seen:
        for customer in customers[1 : kills + 1]:
            process = subprocess.Popen([*erase, customer, REASON], cwd=REPOSITORY)
            time.sleep(random.uniform(0.5, whole_seconds))
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert misfits(shop) == []
            wait_until(partial(erased, shop.settings, customer), 120)
            assert misfits(shop) == []
            assert places(shop.settings, person(shop.settings, customer)) == []
    assert len(scored_customers(shop)) == before - kills
    (unverified,) = shop.query("select count(*) from ops.erasures where verified_at is null")[0]
    assert unverified == 0
    record(
        "personal data",
        f"erasures killed (SIGKILL) at a random moment of their {whole_seconds:.0f} s, a reader on",
        "each ended when asked for again; nobody found anywhere, counts true, no reader's error",
        kills=kills,
        polls=seen["polls"],
        lost=len(misfits(shop)),
    )


def scored_customers(small: SmallShop) -> list[str]:
    return [
        customer
        for (customer,) in small.query("select distinct customer_id from scores.churn order by 1")
    ]


def erased(settings: Settings, customer: str) -> bool:
    """Erase; return False while a killed erasure's dbt still holds the lock."""
    try:
        erasure.erase(settings, customer, "me", REASON)
    except erasure.PrivacyError as error:
        if "another erasure is under way" in str(error):
            return False
        assert "was erased on" in str(error)  # the kill came too late  # noqa: PT017
    return True


@pytest.fixture(scope="module")
def running(shop: SmallShop) -> Iterator[Settings]:  # noqa: F811
    """The shop's home with Airflow running."""
    succeed(shop.settings, "start", f"--files={shop.files}")
    yield shop.settings
    airflow.stop(shop.settings)


class Request:
    """A run of erase_customer."""

    def __init__(self, settings: Settings, **conf: Any) -> None:
        self.api = Api(settings)
        body = {"logical_date": None, "conf": {"reason": REASON, **conf}}
        run = self.api.post("/dags/erase_customer/dagRuns", body)
        self.run_id = run["dag_run_id"]
        self.path = f"/dags/erase_customer/dagRuns/{quote(self.run_id, safe='')}"
        self.question = f"{self.path}/taskInstances/approve/-1/hitlDetails"

    def ended(self) -> str:
        wait_until(lambda: self.api.get(self.path)["state"] in ("success", "failed"), 400)
        return self.api.get(self.path)["state"]


def test_requested_and_approved_in_airflow(shop: SmallShop, running: Settings) -> None:  # noqa: F811
    customer, other = scored_customers(shop)[-2:]
    assert Request(running, customer_id="C9999999").ended() == "failed"
    dry = Request(running, customer_id=f" {customer}", dry_run=True)
    assert dry.ended() == "success"
    rejected = Request(running, customer_id=other)
    wait_for_question(running, rejected.run_id)
    answer(rejected, "Reject")
    assert rejected.ended() == "success"
    assert {customer, other} <= set(scored_customers(shop))

    third = scored_customers(shop)[-3]
    passed_by = Request(running, customer_id=third)
    wait_for_question(running, passed_by.run_id)
    assert len(metadata_with(running, third)) > 1
    erasure.erase(running, third, "me", REASON)  # `make erase` while a run waits for an answer
    assert metadata_with(running, third) == []
    answer(passed_by, "Approve")
    assert passed_by.ended() == "success"

    request = Request(running, customer_id=customer)
    wait_for_question(running, request.run_id)
    assert "| marts.fct_orders |" in request.api.get(request.question)["body"]
    assert len(metadata_with(running, customer)) > 1  # there is something to erase
    with reader(running, ["reporting.churn", "reporting.churn_history"]) as seen:
        answer(request, "Approve")
        assert request.ended() == "success"
    assert other in scored_customers(shop)
    who = person(running, customer)
    proof = shop.query(
        "select requested_by, verified_at is not null from ops.erasures where keyed_hash = %s",
        who.keyed_hash,
    )
    assert proof == [("admin", True)]
    assert places(running, who) == []
    assert metadata_with(running, customer) == []
    record(
        "personal data",
        "erase_customer in a real Airflow: wrong key, dry run, rejected, approved; a reader on",
        "only the approved one erased; the key in no table, file, or Airflow's own database; no"
        " reader's error",
        polls=seen["polls"],
        lost=0,
    )


def answer(request: Request, option: str) -> None:
    chosen = {"chosen_options": [option], "params_input": {"why": ""}}
    request.api.request("PATCH", request.question, json=chosen)


def metadata_with(settings: Settings, word: str) -> list[str]:
    """Columns of Airflow's own database that contain the word."""
    found = []
    with psycopg.connect(settings.dsn("airflow", "airflow")) as connection:
        tables = connection.execute(
            "select relname from pg_class where relkind = 'r'"
            " and relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (name,) in tables:
            query = sql.SQL("select t::text from {} as t").format(sql.Identifier(name))
            texts = connection.execute(query)
            found += [f"{name}: {text}" for (text,) in texts if re.search(rf"\b{word}\b", text)]
    return found
