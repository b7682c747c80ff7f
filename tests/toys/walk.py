"""The three toy questions from contract to reporting view; runs in the copy that has them.

tests/integration/test_new_question.py calls it; pytest does not collect it by itself.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ingest.sample_shop import generate, write
from ml_tasks.models.challenge import contend
from oncall.delivery import check_delivery
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.conftest import StartHome
from tests.forked_dbt import dbt
from tests.steps import build, land_files, rows, score

AS_OF = date(2024, 1, 20)
TOYS = ("levels", "repurchase", "visits")
OTHERS = sorted(set(contracts.questions()) - set(TOYS))


@pytest.fixture(scope="module")
def home(start_home: StartHome, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shop without events, scored."""
    settings = start_home("canonical")
    folder = tmp_path_factory.mktemp("shop")
    write(generate(seed=3, customers=150, days=300), folder)
    land_files(settings, AS_OF, folder)
    build(settings, AS_OF)
    score(settings, AS_OF)
    return settings


def seen(home: Settings, query: str) -> list[tuple]:
    with connect(home, "bi_reader") as connection:
        return connection.execute(query).fetchall()


def test_rules_and_a_prediction_are_published_and_shown(home: Settings) -> None:
    levels = rows(home, "reporting.levels_history", AS_OF)
    snapshots = rows(home, "features.customer_snapshots", AS_OF).set_index("customer_id")
    orders = snapshots["count_orders"].reindex(levels["customer_id"]).to_numpy()
    assert list(levels["level"] == "high") == list(orders >= 3)
    assert levels["model_version"].str.startswith("1-").all()
    pairs = rows(home, "reporting.repurchase_history", AS_OF)
    assert len(pairs) == len(rows(home, "features.repurchase_facts", AS_OF)) > 200
    assert pairs["order_probability_30d"].between(0, 1).all()
    assert pairs["order_probability_30d"].nunique() > 1


def test_a_customer_question_is_in_customer_360(home: Settings) -> None:
    query = "select count(*), count(level), count(levels_score_status) from reporting.customer_360"
    ((count, *of_levels),) = seen(home, query)
    assert of_levels == [count, count]
    comment = "select col_description('reporting.customer_360'::regclass, attnum) from pg_attribute"
    comment += " where attrelid = 'reporting.customer_360'::regclass and attname = 'level'"
    ((text,),) = seen(home, comment)
    assert "from three orders on" in text


def test_what_the_shop_has_not_sent_is_not_offered_and_holds_up_nothing(home: Settings) -> None:
    reasons = dict(seen(home, "select question, why_not_offered from reporting.questions"))
    assert reasons == dict.fromkeys((*OTHERS, "levels", "repurchase")) | {
        "visits": "no file of events was landed"
    }
    assert "visits" not in check_delivery(home, AS_OF)
    assert contend(home, "visits")["decision"] == "nothing"


def test_features_pass_a_gate_and_drift_is_watched_on_own_inputs(home: Settings) -> None:
    with connect(home, "transformer") as connection:
        gated = connection.execute(
            "select distinct table_name from ops.gate_results where gate = 'features' and success"
        ).fetchall()
        watched = connection.execute(
            "select distinct column_name from ops.drift where question = 'repurchase'"
            " and kind = 'feature'"
        ).fetchall()
    assert {("features.repurchase_facts",), ("features.repurchase_outcomes",)} <= set(gated)
    assert ("days_since_last_order",) in watched


def test_rows_are_the_same_in_shards(home: Settings) -> None:
    query = "select question, checksum from ops.publications order by question"
    with connect(home, "transformer") as connection:
        whole = connection.execute(query).fetchall()
    score(home.model_copy(update={"shards": 3}), AS_OF, "levels", "repurchase")
    with connect(home, "transformer") as connection:
        assert connection.execute(query).fetchall() == whole


def test_what_predicts_contends_and_what_has_rules_does_not(home: Settings) -> None:
    assert contend(home, "repurchase", date(2024, 1, 1))["decision"] == "nothing"  # the champion
    assert "levels" not in contracts.trained()


def test_features_do_not_see_the_date_itself(home: Settings) -> None:
    names = ["repurchase_facts", "repurchase_outcomes", "visits_facts"]
    dbt(home, AS_OF, "test", "--select", *(f"{name},test_type:unit" for name in names))


def test_once_the_files_come_the_question_is_offered(home: Settings, tmp_path: Path) -> None:
    events = [f"{n},s{n // 3},2024-01-{n % 19 + 1:02d}T10:00:00" for n in range(300)]
    path = tmp_path / "events_2024.csv"
    path.write_text("event_id,session_id,viewed_at\n" + "\n".join(events) + "\n")
    land_files(home, AS_OF, path)
    build(home, AS_OF)
    score(home, AS_OF, "visits")
    assert seen(home, "select count(*) from reporting.visits") == [(100,)]
    query = "select is_offered, as_of_date from reporting.questions where question = 'visits'"
    assert seen(home, query) == [(True, AS_OF)]
    assert "visits" in check_delivery(home, AS_OF)
    ((count,),) = seen(home, "select count(*) from reporting.customer_360")
    assert count > 0
