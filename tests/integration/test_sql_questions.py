"""Questions in SQL: an erased customer is left out, and the rows in force have the checksum."""

from __future__ import annotations

from datetime import date

import pytest

from ingest.personal import keyed_hash
from ingest.sample_shop import generate, write
from ml_tasks.engine.checksum import checksum_in_force
from ml_tasks.engine.scoring import score_question
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.steps import build, land_files, rows

AS_OF = date(2023, 6, 20)


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = start_home("canonical")
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=3, customers=80, days=200), folder)
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    return settings


def test_the_rows_in_force_have_the_published_checksum(home: Settings) -> None:
    first = score_question(home, "profile", AS_OF, "first")
    again = score_question(home, "profile", AS_OF, "again")
    assert first["checksum"] == again["checksum"]
    with connect(home, "scorer") as connection:
        in_force = checksum_in_force(connection, contracts.load("profile"), AS_OF)
    assert in_force == first["checksum"]
    with connect(home, "perennial") as connection:
        connection.execute("update scores.profile set country = 'Atlantis'")
    with connect(home, "scorer") as connection:
        assert checksum_in_force(connection, contracts.load("profile"), AS_OF) != in_force


def test_who_is_erased_while_the_query_runs_is_left_out(home: Settings) -> None:
    """His orders are still there for the query, as they are in a snapshot from before."""
    customer = rows(home, "features.customer_snapshots", AS_OF)["customer_id"].iloc[0]
    with connect(home, "perennial") as connection:
        connection.execute(
            "insert into ops.erasures (keyed_hash, requested_by, reason, counts, models)"
            " values (%s, 'test', 'test', '{}', '{}')",
            [keyed_hash(home.pii_key, customer.encode())],
        )
        connection.execute(
            "delete from features.customer_snapshots where customer_id = %s", [customer]
        )
    summary = score_question(home, "profile", AS_OF, "erased")
    found = rows(home, "reporting.profile", AS_OF)
    assert customer not in set(found["customer_id"])
    assert len(found) == summary["row_counts"]["profile"] > 10
