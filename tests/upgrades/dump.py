"""Write the dump of a small home made by this version, before a release.

`python -m tests.upgrades.dump` writes tests/upgrades/<version>/home.tar.xz. It holds the warehouse
and MLflow's registry as SQL, and the models' files without plots and without demand's, which are
large. tests/integration/test_upgrades.py opens it with all later versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from datetime import date, timedelta
from pathlib import Path

from ingest.sample_shop import START, make_files
from local import postgres, programs
from local.backup import version
from local.home import free_port
from ml_tasks.lookback.run import look_back
from perennial.settings import WAREHOUSE, Settings
from tests.steps import build, land_files, score

FOLDER = Path(__file__).parent
HOME = "/the/home/of/the/dump"  # stands in it for the path of the home, wherever that was
QUESTIONS = ("churn", "clv", "survival")  # whose models are in it
CUSTOMERS, DAYS = 60, 420
END = START + timedelta(days=DAYS)
DATES = (END - timedelta(days=45), END)  # scored; the first one's 30 days have passed by the second
LATE_FILES = {
    "orders_late.csv": (
        "order_id,customer_id,ordered_at,country,order_type,refunded_order_id\n"
        "LATE1,C0000001,2023-06-05T12:00:00,United Kingdom,sale,\n"
    ),
    "order_items_late.csv": (
        "order_item_id,order_id,product_id,quantity,unit_price_amount,line_type\n"
        "LATE1-1,LATE1,P00032,2,9.49,product\n"
    ),
}


def make_home(settings: Settings) -> None:
    """Two published dates, the first touched by a late order, and a look back."""
    shop = settings.home / "shop"
    make_files(settings, shop)
    first, second = DATES
    _make_date(settings, shop, first)
    for name, text in LATE_FILES.items():
        (shop / name).write_text(text)
    _make_date(settings, shop, second)
    look_back(settings, second, "dump")


def _make_date(settings: Settings, shop: Path, as_of_date: date) -> None:
    land_files(settings, as_of_date, shop)
    build(settings, as_of_date)
    score(settings, as_of_date)


def write_dump(settings: Settings, folder: Path) -> None:
    """Write the running home into `folder`/home.tar.xz."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / "home.tar.xz", "w:xz") as tar:
        for database in (WAREHOUSE, "mlflow"):
            path = settings.home / f"{database}.sql"
            path.write_text(_without_paths(settings, _dumped(settings, database)))
            tar.add(path, path.name)
        tar.add(settings.home / "mlflow", "mlflow", filter=_small)


def _dumped(settings: Settings, database: str) -> str:
    # the warden's table holds what passwords are checked against; each start fills it
    command = [programs.binary("pg_dump"), "--exclude-table-data=warden.*", "--dbname", database]
    where = {"PGHOST": settings.pg_host, "PGPORT": str(settings.pg_port), "PGUSER": "postgres"}
    secret = {"PGPASSWORD": settings.password("postgres")}
    done = subprocess.run(
        command, env=os.environ | where | secret, capture_output=True, text=True, check=True
    )
    return done.stdout


def _without_paths(settings: Settings, text: str) -> str:
    return text.replace(str(settings.home), HOME).replace(str(Path.cwd()), HOME)


def _small(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    question = Path(member.name).parts[1:2]
    is_kept = (not question or question[0] in QUESTIONS) and "/plots" not in member.name
    return member if is_kept else None


def main(name: str = version()) -> None:
    """Make a home, write its dump under `name` and delete the home."""
    home = Path(tempfile.mkdtemp(prefix="perennial-dump-"))
    settings = Settings(
        home=home,
        source="sample",
        pg_port=free_port(),
        sample_customers=CUSTOMERS,
        sample_days=DAYS,
    )
    try:
        postgres.start(settings)
        make_home(settings)
        write_dump(settings, FOLDER / name)
    finally:
        postgres.stop(settings)
        postgres.remove(settings)
        shutil.rmtree(home)


if __name__ == "__main__":
    main(*sys.argv[1:])
