"""Wrong parameters give an error of one line before anything starts, and are never run as code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from command.app import main
from dags.shared.run import Run
from perennial.days import read_day
from perennial.settings import REPOSITORY, Settings, SettingsError

# Replaces .venv/bin/python: writes its arguments to a file.
STUB = """#!/bin/sh
shift 2
printf '%s\\0' "$@" > "$(dirname "$0")/seen"
"""

NASTY = [
    "x'; touch ran; '",
    'x"; touch ran; "',
    "$(shell touch ran)",
    "$(touch ran)",
    "`touch ran`",
    "a b  c",
    "x; touch ran",
    "x & touch ran #",
    "$HOME ${HOME} $$HOME \\",
    "x\ntouch ran",
]

MADE = "-o {0}/.made-from-lock -o {0}/perennial -o .venv-bench/.made-from-lock --no-print-directory"
TAKES = {
    "run": ["SOURCE", "FILES", "SCHEDULE", "TIME_ZONE", "CURRENCY", "AS_OF", "AGAIN"],
    "backfill": [
        *("SOURCE", "FILES", "SCHEDULE", "TIME_ZONE", "CURRENCY", "FROM", "TO", "EVERY"),
    ],
    "ui": ["SOURCE", "FILES", "SCHEDULE", "TIME_ZONE", "CURRENCY"],
    "check-source": ["SOURCE", "FILES", "TIME_ZONE", "CURRENCY", "AS_OF"],
    "shop": ["TIME_ZONE", "CURRENCY"],
    "new-source": ["NAME"],
    "rollback": ["QUESTION", "WHY"],
    "erase": ["CUSTOMER", "WHY", "DRY"],
    "export": ["CUSTOMER", "FILE"],
    "dsn": ["ROLE"],
    "accept": ["BATCH"],
    "refuse": ["BATCH"],
    "backup": ["TO"],
    "restore": ["FROM"],
    "bench": ["ONLY", "DATA", "SHARED"],
    "test-faults": ["ONLY", "SEED"],
}


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A folder like .venv/bin with a python that writes its arguments to a file."""
    (tmp_path / "python").write_text(STUB)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(folder: Path | str, *arguments: str, **environment: str) -> tuple[int, str, list[str]]:
    """Run make; return exit code, standard error, and the stub python's arguments."""
    done = subprocess.run(
        # the environment exists already
        ["make", f"BIN={folder}", *MADE.format(folder).split(), *arguments],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    seen = Path(folder) / "seen"
    return done.returncode, done.stderr, seen.read_text().split("\0") if seen.exists() else []


@pytest.mark.parametrize("target", TAKES)
def test_what_is_typed_arrives_as_it_was_typed_and_runs_nothing(target: str, stub: Path) -> None:
    for text in NASTY:
        code, error, seen = make(stub, target, *(f"{name}={text}" for name in TAKES[target]))
        assert code == 0, error
        values = [word.partition("=")[2] if word.startswith("--") else word for word in seen]
        assert values.count(text) == len(TAKES[target])
        assert not (REPOSITORY / "ran").exists()


def test_what_the_environment_says_is_not_run_either(stub: Path) -> None:
    typed = "$(shell touch ran)"
    _, _, seen = make(stub, "run", AS_OF=typed, PERENNIAL_FILES=typed)
    assert f"--as-of={typed}" in seen
    assert not (REPOSITORY / "ran").exists()


WRONG = [
    # arguments of `make`; a word that the error line must contain
    pytest.param(["run", "--as-of=2011-02-30"], "AS_OF='2011-02-30'", id="no such day"),
    pytest.param(["run", "--as-of=yesterday"], "write it as 2011-09-10", id="no date"),
    pytest.param(["run", "--as-of=20110910"], "write it as 2011-09-10", id="another form"),
    pytest.param(["run", "--as-of=2011-W36-6"], "write it as 2011-09-10", id="a week"),
    pytest.param(["run", "--as-of=2011-09-10,"], "AS_OF=''", id="half a list"),
    pytest.param(["run", "--as-of=２０１１-09-10"], "AS_OF", id="digits of another script"),
    pytest.param(["run", "--as-of=0001-01-01"], "before 1990", id="year 1"),
    pytest.param(["run", "--as-of=9999-12-31"], "in the future", id="year 9999"),
    pytest.param(["run", "--as-of=--again"], "AS_OF", id="an option for a value"),
    pytest.param(["run", "--as-of=2024-01-01\x1b[31m"], "\\x1b[31m", id="escape sequence"),
    pytest.param(["run", "--again=maybe"], "AGAIN='maybe'", id="again"),
    pytest.param(["run", "--schedule=maybe"], "PERENNIAL_SCHEDULE", id="schedule"),
    pytest.param(["run", "--source=nowhere"], "choose one of", id="source"),
    pytest.param(["run", "--source=/etc"], "choose one of", id="source, a path"),
    pytest.param(["run", "--source=../ops"], "choose one of", id="source, another folder"),
    pytest.param(["run", "--source=canonical"], "needs FILES=", id="no files named"),
    pytest.param(["run", "--source=canonical", "--files=none.csv"], "none.csv", id="no files"),
    pytest.param(
        ["run", "--source=canonical", "--files=a-{as_of_date}.csv"], "say which date", id="day?"
    ),
    pytest.param(["backfill", "--from=2011-06-10"], "TO=''", id="no end"),
    pytest.param(["backfill", "--from=x", "--to=2011-06-10"], "FROM='x'", id="no beginning"),
    pytest.param(
        ["backfill", "--from=2011-06-10", "--to=2011-06-01"], "is after", id="backwards"
    ),
    pytest.param(
        ["backfill", "--from=2011-06-10", "--to=2011-09-10", "--every=week"], "EVERY='w", id="step"
    ),
    pytest.param(
        ["backfill", "--from=2011-06-10", "--to=2011-09-10", "--every=-1"], "EVERY='-1'", id="back"
    ),
    pytest.param(
        ["backfill", "--from=2011-06-10", "--to=2999-09-10"], "in the future", id="ends late"
    ),
    pytest.param(["ui", "--source=nowhere"], "choose one of", id="ui of no shop"),
    pytest.param(["run", "--time-zone=Mars/Olympus"], "IANA", id="no time zone"),
    pytest.param(["run", "--currency=pounds"], "PERENNIAL_CURRENCY", id="no currency"),
    pytest.param(["shop", "--new-currency=EUR"], "first start", id="no shop yet"),
    pytest.param(["check-source"], "SOURCE=", id="the sample shop is checked"),
    pytest.param(
        ["check-source", "--source=canonical", "--files=table:shop"], "export", id="tables checked"
    ),
    pytest.param(
        ["check-source", "--source=canonical", "--files=none.csv"], "none.csv", id="no files there"
    ),
    pytest.param(["rollback", "sales", "why"], "QUESTION='sales'", id="question"),
    pytest.param(["rollback", "", "why"], "QUESTION=''", id="no question"),
    pytest.param(["rollback", "churn", "why"], "make run", id="nothing to roll back"),
    pytest.param(["dsn", "--role=root"], "ROLE='root'", id="role"),
    pytest.param(["dsn", "--role=../loader"], "ROLE", id="role, a path"),
    pytest.param(["sing"], "sing", id="no such command"),
]  # fmt: skip

WRONG_SETTINGS = [
    pytest.param({"PG_PORT": "abc"}, "PERENNIAL_PG_PORT", id="port, a word"),
    pytest.param({"AIRFLOW_PORT": "80"}, "PERENNIAL_AIRFLOW_PORT", id="port, too low"),
    pytest.param({"MLFLOW_PORT": "70000"}, "PERENNIAL_MLFLOW_PORT", id="port, too high"),
    pytest.param({"PG_PORT": "8080"}, "a port of its own", id="one port for two"),
    pytest.param({"TIME_ZONE": "Mars/Olympus'--"}, "IANA", id="time zone"),
    pytest.param({"CURRENCY": "pounds"}, "PERENNIAL_CURRENCY", id="currency"),
    pytest.param({"SAMPLE_DAYS": "1"}, "PERENNIAL_SAMPLE_DAYS", id="no shop in a day"),
    pytest.param({"HOME": "/dev/null/home"}, "PERENNIAL_HOME", id="home can't be"),
]


@pytest.fixture
def assert_reported(capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Run a command; it must fail with one plain line."""

    def check(arguments: list[str], says: str) -> None:
        code = main(arguments)
        out, err = capsys.readouterr()
        assert (bool(code), out) == (True, "")
        (line,) = err.splitlines()
        assert line.startswith("error: ")
        assert line.isprintable()
        assert says in line

    return check


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that must not be created."""
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(("arguments", "says"), WRONG)
def test_a_wrong_value_is_reported_and_nothing_is_created(
    arguments: list[str], says: str, home: Path, assert_reported
) -> None:
    assert_reported(arguments, says)
    assert not home.exists()


@pytest.mark.parametrize(("fields", "says"), WRONG_SETTINGS)
def test_a_wrong_setting_is_reported_and_nothing_is_created(
    fields: dict[str, str], says: str, home: Path, assert_reported, monkeypatch
) -> None:
    for name, text in fields.items():
        monkeypatch.setenv(f"PERENNIAL_{name}", text)
    assert_reported(["run"], says)
    assert not home.exists()


@pytest.mark.parametrize("batch", ["", "x", "-1", "1 or 1=1", "1.5", "9" * 30, "²"])
@pytest.mark.parametrize("verb", ["accept", "refuse"])
def test_a_batch_is_a_number(verb: str, batch: str, home: Path, assert_reported) -> None:
    assert_reported([verb, "--", batch], f"BATCH={batch!r}")


def test_a_command_that_fails_has_no_traceback(home: Path) -> None:
    code, error, _ = make(Path(sys.executable).parent, "run", "AS_OF=2011-02-30")
    first, *rest = error.splitlines()
    assert (code, "AS_OF='2011-02-30'" in first) == (2, True)
    assert [line[:5] for line in rest] == ["make:"]
    assert not home.exists()


@pytest.mark.parametrize(
    "text", ["2011-02-29", "2011-9-1", "2011-09-10T00:00", "", " ", "x", "٢٠١١-٠٩-١٠"]
)
def test_a_day_is_written_one_way(text: str) -> None:
    with pytest.raises(SettingsError, match="2011-09-10"):
        read_day(text, "AS_OF")


def test_a_start_needs_a_port_for_each(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="port of its own"):
        Settings(home=tmp_path, pg_port=9000, airflow_port=9000)


def run_of(
    partition_key: str | None, training_date: str | None = None, typed: str | None = None
) -> Run:
    """The context of a task in a run of 2024-02-10."""
    dag_run = SimpleNamespace(
        dag_id="land", run_id="r", partition_key=partition_key, run_after=datetime(2024, 2, 10)
    )
    context = {"dag_run": dag_run, "params": {"training_date": training_date, "as_of_date": typed}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dags.shared.run.get_current_context", lambda: context)
        return Run()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        pytest.param(None, "without a date", id="none"),
        pytest.param("2011-02-30", "no date", id="no such day"),
        pytest.param("2024-02-10T00:00:00", "no date", id="a time"),
        pytest.param("today", "no date", id="a word"),
        pytest.param("2024-02-12", "in the future", id="the future"),
        pytest.param("0001-01-01", "before 1990", id="year 1"),
    ],
)
def test_a_run_of_no_date_fails_at_once(key: str | None, says: str) -> None:
    run = run_of(key)
    with pytest.raises(ValueError, match=says):
        _ = run.as_of_date


def test_a_date_from_the_form_is_one_as_a_partition_key_is() -> None:
    assert run_of(None, typed="2024-02-01").as_of_date == date(2024, 2, 1)
    assert run_of("2024-02-01", typed="2024-02-01").as_of_date == date(2024, 2, 1)
    for key, typed, says in (
        (None, "2024-02-12", "as_of_date='2024-02-12' is in the future"),
        (None, "soon", "as_of_date='soon'"),
        ("2024-02-01", "2024-02-02", "one of the two"),
    ):
        with pytest.raises(ValueError, match=says):
            _ = run_of(key, typed=typed).as_of_date


def test_a_run_may_be_for_the_day_that_has_begun_elsewhere() -> None:
    assert run_of("2024-02-11").as_of_date == date(2024, 2, 11)


@pytest.mark.parametrize("text", ["2011-02-30", "2024-03-01", "soon"])
def test_a_training_date_is_a_past_day(text: str) -> None:
    run = run_of("2024-02-10", text)
    with pytest.raises(SettingsError, match="training_date="):
        _ = run.training_date
