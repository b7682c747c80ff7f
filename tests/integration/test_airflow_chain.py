"""A real scheduler runs the sample shop from files to reporting, twice, with the same rows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote

import httpx
import psutil
import psycopg
import pytest

from local import airflow, mlflow, postgres
from local.learnt import learnt
from ml_tasks.churn.baselines import RECENCY
from ml_tasks.churn.evaluate import MODEL
from ml_tasks.evaluation.contest import KEPT
from ml_tasks.models import champions, recipe, registry
from ml_tasks.models.champions import Champion
from ml_tasks.trained_model import TrainedModel
from oncall.airflow_api import Api
from perennial import contracts
from perennial.settings import Settings
from perennial.warehouse import connect
from tests.commands import command, wait_for_question, wait_until
from tests.conftest import StartHome
from tests.planted_figures import report_of
from tests.steps import rows, score_relations

AS_OF = date(2024, 2, 10)
LONG_AGO, A_MONTH_LATER = date(2020, 1, 1), date(2020, 2, 1)
OPEN_ROUTES = {
    *("/api/v2/monitor/health", "/api/v2/version"),
    *("/api/v2/auth/login", "/api/v2/auth/logout"),  # lead to the form
}
SMALL_SHOP = {"sample_customers": 600, "sample_days": 404}  # the day before is its last


@pytest.fixture(scope="module")
def home(start_home: StartHome) -> Iterator[Settings]:
    settings = start_home("sample", **SMALL_SHOP)
    yield settings
    command(settings, "down")


@pytest.fixture(scope="module")
def first_run(home: Settings) -> subprocess.CompletedProcess[str]:
    done = command(home, "run", "--as-of", str(AS_OF))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done


def test_the_last_table_is_really_there(
    home: Settings, first_run: subprocess.CompletedProcess[str]
) -> None:
    for relation in score_relations():
        assert len(rows(home, relation, AS_OF)), relation
    known = "select count(*) from features.customer_snapshots where as_of_date = %s"
    with connect(home, "scorer") as connection:
        (count_customers,) = connection.execute(known, [AS_OF]).fetchone() or (0,)
    assert count_customers > 300
    for view in ("churn_history", "clv_history", "survival_history", "customer_360"):
        assert len(rows(home, f"reporting.{view}", AS_OF)) == count_customers


def test_the_watchdog_has_nothing_to_say_and_nothing_broke(
    home: Settings, first_run: subprocess.CompletedProcess[str]
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    done = command(home, "watch", "--now", tomorrow.isoformat())
    # every score table, customer_360, product_outlook, model_health
    views = sum(len(contracts.load(name).tables) for name in contracts.questions())
    well = f"well: {views + 3} reporting views have what is due of {AS_OF}\n"
    assert (done.returncode, done.stdout) == (0, well)
    with connect(home, "watcher") as connection:
        [severities] = connection.execute("select array_agg(severity) from ops.incidents")
    assert "critical" not in (severities[0] or [])


def test_the_run_prints_what_each_step_did(first_run: subprocess.CompletedProcess[str]) -> None:
    text = first_run.stdout
    for step in ("land.land_files", "land.gate_raw", "build_warehouse.gate_features"):
        assert step in text
    assert "reporting.churn" in text
    assert "make dsn ROLE=bi_reader" in text
    steps = [line for line in text.splitlines() if line.startswith(str(AS_OF))]
    assert len(steps) == len(set(steps)) > 15


def test_the_run_ends_with_what_was_learnt(
    home: Settings, first_run: subprocess.CompletedProcess[str]
) -> None:
    heading, *sentences = first_run.stdout.splitlines()[-6:]
    assert heading == f"What was learnt about the shop {home.source}"
    assert sentences == learnt(home)
    assert len(sentences) == 5
    with connect(home, "bi_reader") as connection:
        (known,) = connection.execute("select count(*) from reporting.customer_360").fetchone()
    assert f"On {AS_OF} the shop knows {known:,} customers" in sentences[0]


def test_a_second_run_finds_its_work_done(home: Settings, first_run: object) -> None:
    done = command(home, "run", "--as-of", str(AS_OF))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done already" in done.stdout


@pytest.mark.whole
def test_the_same_date_again_in_two_shards_gives_the_same_rows(
    home: Settings, first_run: object
) -> None:
    with connect(home, "scorer") as connection:
        before = dict(connection.execute("select question, publication_id from ops.publications"))
    kept = {relation: rows(home, relation, AS_OF) for relation in score_relations()}

    command(home, "down")  # the next start parses the DAGs again
    two_shards = {"PERENNIAL_SHARDS": "2"}
    done = command(home, "run", "--as-of", str(AS_OF), "--again=yes", environment=two_shards)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    for question in contracts.questions():
        contract = contracts.load(question)
        if contract.is_in_sql or contract.dealt_by is None:  # one task makes all rows
            continue
        steps = [line for line in done.stdout.splitlines() if f" score_{question}.score " in line]
        assert {shard for line in steps for shard in re.findall(r"shard \d of 2", line)} == {
            "shard 1 of 2",
            "shard 2 of 2",
        }

    with connect(home, "scorer") as connection:
        after = dict(connection.execute("select question, publication_id from ops.publications"))
    assert set(before) == set(contracts.published())
    assert all(after[question] > before[question] for question in before)
    for relation, frame in kept.items():
        assert rows(home, relation, AS_OF).equals(frame), relation


def planted(home: Settings, day: date, recipe: str, *gains: float) -> TrainedModel:
    """A stored model of a day long before the shop's, better than guessing by `gains` per cut."""
    cuts = [
        {"cut_date": f"2019-0{month}-01", "model": model, "auc": 0.5 + own, "log_loss": 0.7 - own}
        for month, gain in enumerate(gains, start=1)
        for model, own in ((MODEL, gain), (RECENCY, 0.0))
    ]
    parameters = {"recipe": recipe, "model": {"clock": {}}, "usual": {}}
    model = TrainedModel(MODEL, day, parameters, report=report_of(cuts))
    return registry.add(home, "churn", model, {registry.RECIPE: recipe})


class Contest:
    """A run of train_churn with two planted models of close figures."""

    def __init__(self, home: Settings, day: date) -> None:
        self.champion = planted(home, day, "another", 0.10, 0.20)
        self.challenger = planted(home, day, recipe.recipe_of("churn"), 0.20, 0.15)
        with connect(home, "scorer") as connection:
            version = self.champion.model_version
            decision = Champion("churn", day, version, day, champions.TRAINED, "planted")
            champions.record(connection, decision)
        self.home, self.day, self.api = home, day, Api(home)
        conf = {"training_date": str(day), "reason": "a try"}
        run = self.api.post("/dags/train_churn/dagRuns", {"logical_date": None, "conf": conf})
        self.run_id = run["dag_run_id"]
        self.path = f"/dags/train_churn/dagRuns/{quote(self.run_id, safe='')}"
        self.question = f"{self.path}/taskInstances/approve/-1/hitlDetails"
        wait_for_question(home, self.run_id)

    def state(self, task_id: str) -> str | None:
        found = self.api.get(f"{self.path}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in found}[task_id]

    def decided(self) -> Champion | None:
        """The recorded decision, once the run has ended."""
        wait_until(lambda: self.state("record_answer") == "success")
        with connect(self.home, "transformer") as connection:
            return champions.decided(connection, "churn", self.day)


def test_a_person_decides_between_two_close_models(home: Settings, first_run: object) -> None:
    contest = Contest(home, LONG_AGO)
    detail = contest.api.get(contest.question)
    assert "| **auc**, higher is better | mean | 0.6500 | 0.6750 | 0.5000 |" in detail["body"]
    answer = {"chosen_options": ["Approve"], "params_input": {"why": "it is newer"}}
    contest.api.request("PATCH", contest.question, json=answer)
    decided = contest.decided()
    with connect(home, "transformer") as connection:
        count = connection.execute(
            "select count(*) from ops.alerts where dag_id = 'train_churn'"
        ).fetchone()
    assert decided is not None
    assert (decided.decision, decided.decided_by) == ("promoted", "admin")
    assert decided.model_version == contest.challenger.model_version
    assert "it is newer" in decided.reason
    assert count == (1,)


def test_nobody_answers_and_the_champion_stays(home: Settings, first_run: object) -> None:
    contest = Contest(home, A_MONTH_LATER)
    with psycopg.connect(home.dsn("airflow", "airflow")) as connection:  # skip the days of waiting
        connection.execute(
            "update task_instance set trigger_timeout = now() - interval '1 second'"
            " where run_id = %s and task_id = 'approve'",
            [contest.run_id],
        )
    decided = contest.decided()
    assert decided is not None
    assert (decided.decision, decided.decided_by) == (KEPT, champions.RULE)
    assert decided.model_version == contest.champion.model_version
    assert "nobody answered" in decided.reason


def test_models_are_shown_to_who_logs_in_and_end_with_the_rest(
    home: Settings, first_run: object
) -> None:
    assert command(home, "ui").returncode == 0
    url = f"{mlflow.base_url(home)}/ajax-api/2.0/mlflow/registered-models/get"
    for guess in (None, ("admin", ""), ("admin", "admin"), ("admin", "password1234")):
        refused = httpx.get(url, params={"name": "churn"}, auth=guess)
        assert refused.status_code == httpx.codes.UNAUTHORIZED
    login = (mlflow.USER, home.password("mlflow_admin"))
    answer = httpx.get(url, params={"name": "churn"}, auth=login).json()
    aliases = {alias["alias"] for alias in answer["registered_model"]["aliases"]}
    assert "champion" in aliases


def test_everything_listens_on_loopback(home: Settings, first_run: object) -> None:
    (postmaster,) = [
        psutil.Process(int((postgres.data_folder(home) / "postmaster.pid").read_text().split()[0]))
    ]
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in [postmaster, *airflow.processes_of(home)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {ip for ip, _ in listening} == {"127.0.0.1"}
    assert {home.pg_port, home.airflow_port, home.mlflow_port} <= {port for _, port in listening}
    assert [c for c in postmaster.net_connections("unix") if c.laddr] == []


# Two transactions that are open at once look for the pending run of one partition.
AT_ONCE = """
import threading
from airflow import settings
from airflow.plugins_manager import ensure_plugins_loaded
ensure_plugins_loaded()
settings.configure_orm()
from airflow.assets.manager import AssetManager
from airflow.models.asset import AssetModel
from airflow.models.dag import DagModel
from sqlalchemy import select
from sqlalchemy.orm import Session

def pending(session, asset):
    return AssetManager._get_or_create_apdr(
        target_key="2000-01-01", target_partition_date=None, target_dag=dag,
        rollup_fingerprint={}, asset_id=asset, session=session).id

def second():
    with Session(settings.engine) as session:
        found.append(pending(session, assets[1]))

found = []
with Session(settings.engine) as first:
    dag = first.get(DagModel, "score_actions")
    names = ("scores/churn", "scores/clv")
    assets = first.scalars(select(AssetModel.id).where(AssetModel.name.in_(names))).all()
    found.append(pending(first, assets[0]))
    thread = threading.Thread(target=second)
    thread.start()
    thread.join(2)
    print("waits" if len(found) == 1 else "does not wait")
    first.commit()
    thread.join(60)
    print("one run" if found[0] == found[1] else f"two runs: {found}")
    gone = "delete from asset_partition_dag_run where partition_key = '2000-01-01'"
    first.connection().exec_driver_sql(gone)
    first.commit()
"""


def test_assets_that_change_at_once_make_one_run(home: Settings, first_run: object) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AT_ONCE],
        env=airflow.environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-2:] == ["waits", "one run"], done.stdout + done.stderr
    plugins = Api(home).get("/plugins", limit=100)
    assert "perennial_asset_partitions" in {one["name"] for one in plugins["plugins"]}


def test_airflow_shows_nothing_without_a_login(home: Settings, first_run: object) -> None:
    base = airflow.base_url(home)
    routes = httpx.get(f"{base}/openapi.json").json()["paths"]
    open_routes = {
        path
        for path, verbs in routes.items()
        for verb in verbs
        if httpx.request(verb.upper(), base + path.replace("{", "").replace("}", "")).status_code
        not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
    }
    assert len(routes) > 80
    # health, version, and login
    assert open_routes == OPEN_ROUTES
    for path in ("/ui/dags", "/ui/config", "/execution/connections/x", "/execution/variables/x"):
        assert httpx.get(base + path).status_code == httpx.codes.UNAUTHORIZED
    # the plugins' pages: Cosmos has one for dbt's docs, without a project here
    assert httpx.get(f"{base}/cosmos/").status_code == httpx.codes.NOT_FOUND
    for guess in ("", "admin", "password"):
        login = {"username": "admin", "password": guess}
        answer = httpx.post(f"{base}/auth/token", json=login)
        assert answer.status_code in (400, 401, 422)  # 400: a password is missing
        assert "access_token" not in answer.text


def test_down_leaves_no_process_behind(home: Settings, first_run: object) -> None:
    assert airflow.processes_of(home)
    assert mlflow.is_running(home)
    assert command(home, "down").returncode == 0
    assert airflow.processes_of(home) == []
    assert not mlflow.is_running(home)
    assert not postgres.is_running(home)
    assert command(home, "status").returncode == 1
