"""Start one role of the set, inside its container: `python docker/start.py ROLE`.

This process is replaced by the role's own (exec). Its environment is the same as on one machine
(local/), except that tasks wait in Redis and workers on any machine take them from there. The role
`init` creates and migrates everything, then ends. Any other arguments are a command, which runs in
a task's environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import NoReturn

from health import REDIS, redis_url, secret
from waiting import mark, wait_for_database, wait_for_init

from command.errors import exit_code
from dags.shared.pools import HEAVY_POOL
from local import airflow, mlflow, postgres, programs, server_folder
from local.home import make_folders, one_at_a_time, private_file
from local.run import POOL_TEXT, check_files, day_after_newest_order, parse_dates, score
from local.shown import print_learnt
from oncall.alerts import routes
from perennial import dbt, shop
from perennial.bootstrap import bootstrap
from perennial.reader_limit import WARDEN
from perennial.roles import SERVER_OPTIONS
from perennial.settings import SAMPLE_SHOP, WAREHOUSE, Settings

EVERYBODY = "0.0.0.0"  # noqa: S104  # the set's own network; compose.yaml publishes on loopback
MORE_SETTINGS = "settings.env"  # KEY=VALUE lines, beside the passwords
PRIVATE = Path("/tmp")  # this container's own, in memory
USERS, MLFLOW_AUTH = PRIVATE / "airflow_users.json", PRIVATE / "mlflow_auth.ini"
# By default, a machine that has vanished would keep its locks for two hours.
NOTICES_LOST_CLIENTS = (
    *("-c", "tcp_keepalives_idle=30", "-c", "tcp_keepalives_interval=10"),
    *("-c", "tcp_keepalives_count=3"),
)
# Longer than any task: Redis gives a task that is not done by then to another worker.
VISIBILITY_SECONDS = 86_400


def main() -> int:
    """Run the role or the command that the command line names."""
    role, *arguments = sys.argv[1:]
    os.environ.update(_more_settings())
    settings = Settings()
    if role in ROLES:
        return ROLES[role](settings)
    if role == "run":
        return _score(settings, *arguments)
    make_folders(settings)
    _become([role, *arguments], environment(settings))


def environment(settings: Settings, *, calls_dbt: bool = True) -> dict[str, str]:
    """Environment of every Airflow process of the set. Contains passwords: never print it."""
    slots = os.environ.get("PERENNIAL_WORKER_SLOTS", "4")
    differs = {
        "core__executor": "CeleryExecutor",
        "core__parallelism": "64",
        "core__max_active_tasks_per_dag": "64",
        "core__simple_auth_manager_passwords_file": str(USERS),
        "api__host": EVERYBODY,
        "api__base_url": settings.alert_base_url or f"http://127.0.0.1:{settings.airflow_port}",
        # the API server fetches a task's log from this address; names of pods can't be resolved
        "core__hostname_callable": "airflow.utils.net.get_host_ip_address",
        "celery__broker_url": redis_url() if _has("redis") else "",
        "celery__worker_concurrency": slots,
        "celery_broker_transport_options__visibility_timeout": str(VISIBILITY_SECONDS),
    }
    common = airflow.environment(settings) if calls_dbt else airflow.without_dbt(settings)
    return common | {f"AIRFLOW__{key.upper()}": value for key, value in differs.items()}


def _init(settings: Settings) -> int:
    """Create or migrate all state that this version of the code needs. Idempotent."""
    routes.check(settings)
    by_default = shop.defaults(settings)  # before make_folders: raises if the shop is unknown
    make_folders(settings)
    wait_for_database(settings)
    bootstrap(settings)
    print(shop.described(settings, by_default), flush=True)
    from ml_tasks.models import registry

    registry.initialise(settings)
    registry.upgrade(settings)
    _make_sample_shop(settings)
    dbt.parse(settings)
    command = [sys.executable, "-m", "airflow"]
    env = environment(settings)
    run([*command, "db", "migrate"], env=env, check=True)
    pool = ["pools", "set", HEAVY_POOL, str(settings.cores), POOL_TEXT]
    run([*command, *pool], env=env, check=True)
    mark(settings)
    return 0


def _make_sample_shop(settings: Settings) -> None:
    from ingest.sample_shop import make_files

    folder = Path(settings.files)
    if settings.source == SAMPLE_SHOP and not folder.exists():
        make_files(settings, folder)


def _score(settings: Settings, dates: str = "") -> int:
    """Score dates, comma-separated, with the set; empty: the day after the shop's newest order."""
    make_folders(settings)
    print(shop.described(settings), flush=True)
    days = parse_dates(dates) or [day_after_newest_order(settings)]
    check_files(settings, days)
    code = score(settings, days, services=dict)
    if code == 0:
        print_learnt(settings)
    return code


def _postgres(settings: Settings) -> NoReturn:
    data = server_folder.data_folder(settings)
    if not (data / "PG_VERSION").exists():
        postgres.initialise(settings, networks=["all"])
    options = ["-p", str(settings.pg_port), "-c", "listen_addresses=*", *NOTICES_LOST_CLIENTS]
    for name, value in SERVER_OPTIONS.items():
        options += ["-c", f"{name}={value}"]
    server = programs.binary("postgres")
    postgres.limit_memory(server.parent, data)()
    _become([str(server), "-D", str(data), *options], dict(os.environ))


def _redis(_: Settings) -> NoReturn:
    """Run the queue, in memory: the scheduler sends lost tasks again after a time-out."""
    path = PRIVATE / "redis.conf"
    with private_file(path) as file:
        file.write(f"port {REDIS[1]}\ndir /tmp\nsave ''\nrequirepass {secret('redis')}\n")
    _become(["redis-server", str(path)], dict(os.environ))


def _mlflow(settings: Settings) -> NoReturn:
    wait_for_init(settings, "mlflow", "mlflow")
    mlflow.write_auth(settings, MLFLOW_AUTH)
    _become(mlflow.command(settings, EVERYBODY), mlflow.environment(settings, MLFLOW_AUTH))


def _serve(settings: Settings) -> NoReturn:
    wait_for_init(settings, "scorer", WAREHOUSE)
    make_folders(settings)
    _become(
        [sys.executable, "-m", "command", "serve"],
        os.environ | {"PERENNIAL_SERVE_HOST": EVERYBODY},
    )


def _reader_limit(settings: Settings) -> NoReturn:
    wait_for_init(settings, WARDEN, WAREHOUSE)
    _become([sys.executable, "-m", postgres.READER_LIMIT], dict(os.environ))


def _airflow(
    *arguments: str, reads_dags: bool = False, more: dict[str, str] | None = None
) -> Callable[[Settings], NoReturn]:
    """Make the start function of a role that runs a component of Airflow.

    Args:
        arguments: Arguments of the command `airflow`.
        reads_dags: Whether the component imports DAG files, which need dbt's manifest and password.
        more: Further variables of the component's environment.
    """

    def start(settings: Settings) -> NoReturn:
        wait_for_init(settings)
        make_folders(settings)
        if _has("airflow_admin"):
            airflow.write_passwords(settings, USERS)
        if reads_dags and not dbt.manifest_of_dags(settings).exists():
            with one_at_a_time(settings, "start"):
                dbt.parse(settings)
        env = environment(settings, calls_dbt=reads_dags)
        _become([sys.executable, "-m", "airflow", *arguments], env | (more or {}))

    return start


def _has(name: str) -> bool:
    return (Path(os.environ["PERENNIAL_SECRETS"]) / name).exists()


def _more_settings() -> dict[str, str]:
    lines = secret(MORE_SETTINGS).splitlines() if _has(MORE_SETTINGS) else []
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _become(command: list[str], env: dict[str, str]) -> NoReturn:
    os.execvpe(command[0], command, env)


ROLES: dict[str, Callable[[Settings], int]] = {
    "init": _init,
    "postgres": _postgres,
    "redis": _redis,
    "reader-limit": _reader_limit,
    "api-server": _airflow("api-server"),
    "scheduler": _airflow("scheduler"),
    "dag-processor": _airflow("dag-processor", reads_dags=True),
    "triggerer": _airflow("triggerer"),
    "worker": _airflow("celery", "worker", reads_dags=True, more=airflow.PRELOAD),
    "mlflow": _mlflow,
    "serve": _serve,
}

if __name__ == "__main__":
    sys.exit(exit_code(main))
