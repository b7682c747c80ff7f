"""The local runner: dates, homes, ports, and its output while it runs."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from rich.console import Console

from ingest.files import LandingError
from local import airflow, patience, postgres
from local import run as run_module
from local.home import one_at_a_time, prepare, require_free_port
from local.patience import Patience
from local.run import check_files, date_range, parse_dates, with_files
from local.task_results import log_tail, summarise
from local.watch import Watch
from oncall import airflow_api
from oncall.airflow_api import AirflowError, NoAnswerError, ThereAlreadyError
from perennial import shop as own_settings
from perennial.settings import Settings, SettingsError, shop_of


def shop(home: Path, source: str = "online_retail", files: str = "") -> Settings:
    return Settings(home=home, source=source, files=files)


def test_dates_are_read_in_the_order_they_are_given() -> None:
    assert parse_dates("2011-09-10, 2011-06-10") == [date(2011, 9, 10), date(2011, 6, 10)]
    assert parse_dates("") == []


@pytest.mark.parametrize("text", ["2011-13-01", "yesterday", "10.09.2011"])
def test_what_is_no_date_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match="2011-09-10"):
        parse_dates(text)


def test_a_range_by_months_keeps_to_the_last_day_of_short_months() -> None:
    found = date_range(date(2012, 1, 31), date(2012, 4, 30), "month")
    assert found == [date(2012, 1, 31), date(2012, 2, 29), date(2012, 3, 31), date(2012, 4, 30)]


def test_a_range_by_days_ends_on_or_before_its_last_day() -> None:
    found = date_range(date(2011, 12, 30), date(2012, 1, 12), "7")
    assert found == [date(2011, 12, 30), date(2012, 1, 6)]


@pytest.mark.parametrize(
    ("first", "last", "every"),
    [
        pytest.param(date(2012, 1, 2), date(2012, 1, 1), "month", id="backwards"),
        pytest.param(date(2012, 1, 1), date(2012, 1, 2), "0", id="no step"),
        pytest.param(date(2012, 1, 1), date(2012, 1, 2), "week", id="unknown step"),
    ],
)
def test_a_range_that_is_none_is_refused(first: date, last: date, every: str) -> None:
    with pytest.raises(SettingsError, match=r"FROM|EVERY"):
        date_range(first, last, every)


def test_a_home_belongs_to_one_shop(tmp_path: Path) -> None:
    prepare(shop(tmp_path))
    prepare(shop(tmp_path))
    assert shop_of(tmp_path) == "online_retail"
    with pytest.raises(SettingsError, match="PERENNIAL_HOME"):
        prepare(shop(tmp_path, "canonical"))


def test_time_zone_and_currency_are_stated_once_and_a_default_is_named(tmp_path: Path) -> None:
    settings = shop(tmp_path)
    by_default = own_settings.defaults(settings)
    assert by_default == ["time_zone", "currency"]
    prepare(settings)
    output = own_settings.described(settings, by_default)
    assert output.startswith(
        "shop online_retail: days in Europe/London, money in GBP (nobody stated"
    )
    assert "make shop TIME_ZONE=America/Sao_Paulo CURRENCY=BRL" in output
    assert own_settings.defaults(settings) == []
    assert own_settings.described(settings) == (
        "shop online_retail: days in Europe/London, money in GBP"
    )
    paris = settings.model_copy(update={"time_zone": "Europe/Paris"})
    with pytest.raises(SettingsError, match=r"has TIME_ZONE=Europe/London.*make shop TIME_ZONE="):
        prepare(paris)
    prepare(settings.model_copy(update={"time_zone": "Europe/London", "currency": "GBP"}))


def test_what_is_stated_at_the_first_start_is_no_default(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, source="canonical", time_zone="Asia/Tokyo", currency="JPY")
    assert own_settings.defaults(settings) == []
    prepare(settings)
    assert own_settings.own(shop(tmp_path, "canonical")) == own_settings.Own("Asia/Tokyo", "JPY")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Output of `run` with nothing started."""
    from ml_tasks.models import registry

    for module, name in (
        *((run_module.postgres, "start"), (run_module.airflow, "start"), (run_module.dbt, "parse")),
        *((run_module, "make_pool"), (run_module, "print_doors"), (run_module, "Api")),
        (run_module, "print_learnt"),
        (registry, "initialise"),
    ):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(run_module, "score", lambda *_, **__: 0)
    printed = io.StringIO()
    monkeypatch.setattr(run_module, "console", Console(file=printed, width=200))
    return printed


def test_run_states_time_zone_and_currency_and_the_first_time_that_they_are_defaults(
    tmp_path: Path, started: io.StringIO
) -> None:
    (tmp_path / "orders.csv").write_text("order_id\n")
    settings = shop(tmp_path / "home", files=str(tmp_path / "orders.csv"))
    assert run_module.run(settings, [date(2024, 1, 1)]) == 0
    assert "days in Europe/London, money in GBP (nobody stated the time zone" in started.getvalue()
    started.truncate(0)
    assert run_module.run(settings, [date(2024, 1, 1)]) == 0
    assert "shop online_retail: days in Europe/London, money in GBP\n" in started.getvalue()


def test_passwords_are_private_and_stay_what_they_are(tmp_path: Path) -> None:
    settings = shop(tmp_path)
    prepare(settings)
    first = {path.name: path.read_text() for path in settings.secrets_dir.iterdir()}
    prepare(settings)
    assert first == {path.name: path.read_text() for path in settings.secrets_dir.iterdir()}
    assert {"loader", "transformer", "scorer", "bi_reader", "airflow", "mlflow"} <= set(first)
    assert len(set(first.values())) == len(first)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in settings.secrets_dir.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(settings.secrets_dir.stat().st_mode) == 0o700


def test_a_password_that_was_never_made_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="make run"):
        shop(tmp_path).password("loader")


def test_a_taken_port_names_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SettingsError, match="PERENNIAL_PG_PORT"):
            require_free_port(taken.getsockname()[1], "PERENNIAL_PG_PORT")


def test_a_shop_needs_files_and_paths_become_absolute(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FILES="):
        with_files(shop(tmp_path))
    assert Path(with_files(shop(tmp_path, files="orders.csv")).files).is_absolute()
    for files in ("table:shop", "s3://bucket/{as_of_date}.csv"):
        assert with_files(shop(tmp_path, files=files)).files == files


@pytest.mark.parametrize(
    ("source", "files", "day", "error", "says"),
    [
        pytest.param("nowhere", "x.csv", None, SettingsError, "canonical", id="unknown source"),
        pytest.param("canonical", "none.csv", None, LandingError, "none.csv", id="no file"),
        pytest.param("canonical", "", date(2999, 1, 1), SettingsError, "future", id="future"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_found_before_anything_is_made(
    tmp_path: Path,
    source: str,
    files: str,
    day: date | None,
    error: type[Exception],
    says: str,
) -> None:
    home = tmp_path / "home"
    with pytest.raises(error, match=says):
        check_files(shop(home, source, str(tmp_path / files)), [day] if day else [])
    assert not home.exists()


def test_a_step_is_summarised_in_one_line() -> None:
    output = summarise({"landed": 1067371, "rejected": 0, "files": [1], "checksum": "f00"})
    assert output == "landed 1,067,371, rejected 0"
    assert summarise({"row_counts": {"churn": 4892}}) == "churn 4,892"


def test_the_end_of_a_log_has_the_error_and_no_frames() -> None:
    events = [
        {"event": "::group::Pre Execute"},
        {"event": "landing"},
        {"event": "failed", "error_detail": [{"exc_type": "LandingError", "exc_value": "no file"}]},
    ]
    assert log_tail(events) == ["landing", "failed", "LandingError: no file"]


# Passwords and ports ------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n", "admin\n", "password", "fifteen letters"])
def test_a_home_with_a_short_password_does_not_start(tmp_path: Path, content: str) -> None:
    settings = Settings(home=tmp_path)
    prepare(settings)
    (settings.secrets_dir / "airflow_admin").write_text(content)
    with pytest.raises(SettingsError, match="airflow_admin holds a password of fewer than 16"):
        prepare(settings)


def test_a_home_with_readable_passwords_does_not_start(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    prepare(settings)
    (settings.secrets_dir / "loader").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        prepare(settings)


def test_passwords_are_long_and_each_its_own(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    prepare(settings)
    passwords = [path.read_text().strip() for path in settings.secrets_dir.iterdir()]
    assert len(set(passwords)) == len(passwords) > 12
    assert min(map(len, passwords)) >= 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in settings.secrets_dir.iterdir()} == {0o600}
    assert stat.S_IMODE(settings.secrets_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "*", "10.0.0.5", "example.org", ""])
def test_the_embedded_server_does_not_open_to_the_network(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="listens to this machine only"):
        prepare(Settings(home=tmp_path, pg_host=host))
    assert not (tmp_path / "secrets").exists()


def test_a_second_start_says_whom_it_waits_for_and_then_goes_on(tmp_path: Path) -> None:
    settings, output, order = shop(tmp_path), [], []
    is_told = threading.Event()

    def tell(text: str) -> None:
        output.append(text)
        is_told.set()

    def second() -> None:
        with one_at_a_time(settings, "start", tell):
            order.append("second")

    with one_at_a_time(settings, "start"):
        waiting = threading.Thread(target=second)
        waiting.start()
        assert is_told.wait(10)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]
    assert output == [f"process {os.getpid()} does the same to {tmp_path}: waiting"]


def test_another_process_with_the_servers_old_number_is_no_server(tmp_path: Path) -> None:
    settings = shop(tmp_path)
    folder = postgres.data_folder(settings)
    folder.mkdir(parents=True)
    try:
        (folder / "postmaster.pid").write_text(f"{os.getpid()}\n")
        assert not postgres.is_running(settings)
    finally:
        postgres.remove(settings)


class SilentApi:
    def get(self, path: str, **params: object) -> None:
        raise NoAnswerError(f"GET {path}: no answer")


LEADER = """
import os, time
if os.fork() == 0:  # as a scheduler's workers are
    time.sleep(600)
print(flush=True)
time.sleep(600)
"""


def test_what_a_killed_scheduler_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    settings = shop(tmp_path)
    (tmp_path / "run").mkdir()
    env = os.environ | {airflow.MARK: str(tmp_path)}
    leaders = {}
    for component in ("scheduler", "triggerer"):
        leaders[component] = subprocess.Popen(
            [sys.executable, "-c", LEADER], env=env, start_new_session=True, stdout=subprocess.PIPE
        )
        leaders[component].stdout.readline()  # it has forked
        (tmp_path / "run" / f"{component}.pid").write_text(str(leaders[component].pid))
    (tmp_path / "run" / "dag-processor.pid").write_text("")
    leaders["scheduler"].kill()
    leaders["scheduler"].wait()
    try:
        assert len(airflow.processes_of(settings)) == 3
        for component in ("scheduler", "dag-processor", "api-server"):
            airflow.end_leftovers(settings, component)
        left = {process.pid for process in airflow.processes_of(settings)}
        children = psutil.Process(leaders["triggerer"].pid).children()
        assert left == {leaders["triggerer"].pid, *(child.pid for child in children)}
        assert len(left) == 2
    finally:
        for process in airflow.processes_of(settings):
            process.kill()
        leaders["triggerer"].wait()


def test_following_ends_when_a_process_that_runs_need_has_gone() -> None:
    alive = iter([True, True, False])
    watch = Watch(
        SilentApi(),
        Console(file=io.StringIO()),
        datetime(2024, 1, 1, tzinfo=UTC),
        lambda: {"postgres": True, "scheduler": next(alive)},
    )
    with pytest.raises(AirflowError, match="scheduler ended"):
        watch.follow([date(2024, 1, 1)])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A fake clock in seconds that sleeping advances."""
    now = [1_000.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: now.append(now.pop() + seconds))
    return now


def test_a_silent_api_is_borne_as_long_as_its_processes_live(clock: list[float]) -> None:
    output = io.StringIO()

    def answers_after_an_hour() -> str:
        if clock[0] < 4_600:
            raise NoAnswerError("busy")
        return "here"

    bearer = Patience(lambda: {"api-server": True}, Console(file=output, width=1_000))
    assert bearer.until_answered(answers_after_an_hour) == "here"
    lines = output.getvalue().splitlines()
    assert 55 <= len(lines) <= 60  # one per minute
    assert "has not answered for 60 s" in lines[0]
    assert all(word in lines[0] for word in ("runs go on", "make status", "make ui"))


@pytest.mark.parametrize(
    ("services", "error", "seconds"),
    [
        pytest.param({"scheduler": True, "api-server": False}, "api-server ended", 0, id="gone"),
        pytest.param({}, "busy", 300, id="its processes are elsewhere"),
    ],
)
def test_a_silent_api_that_will_not_answer_is_given_up(
    clock: list[float], services: dict[str, bool], error: str, seconds: float
) -> None:
    def never() -> None:
        raise NoAnswerError("busy")

    with pytest.raises(AirflowError, match=error):
        Patience(lambda: services, Console(file=io.StringIO())).until_answered(never)
    assert seconds <= clock[0] - 1_000 <= seconds + 10


@pytest.mark.parametrize(
    ("status", "error"), [(503, NoAnswerError), (409, ThereAlreadyError), (404, AirflowError)]
)
def test_an_answer_shows_which_request_may_be_repeated(status: int, error: type[Exception]) -> None:
    with pytest.raises(AirflowError) as raised:
        airflow_api._require_success(httpx.Response(status), "GET /dags")
    assert raised.type is error
