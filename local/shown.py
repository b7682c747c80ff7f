"""What is printed when the dates are through: what came of the files, the scores, the ways in."""

from __future__ import annotations

from datetime import date

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from expectations.reconciliation import kept_flows
from local import airflow, mlflow
from local.learnt import learnt
from local.watch import Failure
from oncall.delivery import delivered_views, judged_view, not_offered
from perennial.settings import Settings
from perennial.text import plain, printable
from perennial.warehouse import connect

console = Console()


def print_failure(settings: Settings, failure: Failure) -> None:
    """Which task failed, the end of its log, and what to do."""
    console.print(
        f"\n[red]Failed:[/red] {failure.dag_id}.{failure.task_id} for {failure.as_of_date}"
    )
    for line in failure.log_lines:
        console.print(f"  {escape(printable(line))}", highlight=False, soft_wrap=True)
    console.print(
        f"\nWhat to do: docs/runbook.md, section {failure.dag_id}. The whole log: "
        f"{airflow.base_url(settings)}/dags/{failure.dag_id} (user admin), or `make logs`.\n"
        "Published scores are still there. After mending it, `make run` again goes on.",
        highlight=False,
    )


def print_delivery(settings: Settings, day: date) -> None:
    """A table of what readers find for a date."""
    table = Table(title=f"Scores of {day}", title_justify="left")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("headline figures")
    for delivered in [*delivered_views(settings, day), judged_view(settings, day)]:
        shown = ", ".join(f"{label} {value}" for label, value in delivered.headlines.items())
        figures = escape(plain(shown))
        table.add_row(f"reporting.{delivered.view}", f"{delivered.rows:,}", figures)
    console.print(table)
    for question, why in not_offered(settings).items():
        console.print(f"Not offered: {question}, {why}.", highlight=False, soft_wrap=True)


def print_flows(settings: Settings, day: date) -> None:
    """A table of where the orders and the money went, as the newest build of a date left them."""
    table = Table(title=f"Where orders and money went, built for {day}", title_justify="left")
    table.add_column("place")
    for column in ("rows", "orders", "money, without sign"):
        table.add_column(column, justify="right")
    for flow in kept_flows(settings, day):
        place = escape(plain(f"rejected: {flow.reason}" if flow.reason else flow.place))
        figures = f"{flow.count_rows:,}", f"{flow.count_orders:,}", f"{flow.amount:,.2f}"
        table.add_row(place, *figures)
    if table.rows:  # a home of an earlier version has none until its next build
        console.print(table)


def print_publications(settings: Settings) -> None:
    """The newest publications, one line each."""
    with connect(settings, "transformer") as connection:
        rows = connection.execute(
            "select distinct on (question) question, as_of_date, row_count, model_version,"
            " published_at from ops.publications order by question, as_of_date desc"
        ).fetchall()
    for question, as_of_date, rows_published, version, published_at in rows:
        print(
            f"{question:<14} {as_of_date}  {rows_published:>9,} rows  model {version}"
            f"  published {published_at:%Y-%m-%d %H:%M} UTC"
        )


def print_doors(settings: Settings) -> None:
    """Where people look: the UIs, the reporting schema."""
    models = "`make ui` starts it"
    if mlflow.is_running(settings):
        where = settings.secrets_dir / "mlflow_admin"
        models = f"{mlflow.base_url(settings)}  user {mlflow.USER}, password in {where}"
    console.print(
        f"\nAirflow UI   {airflow.base_url(settings)}  user admin, password in "
        f"{settings.secrets_dir / 'airflow_admin'}\n"
        f"Models       {models}\n"
        f"BI tool      host {settings.pg_host}, port {settings.pg_port}, database warehouse, "
        f"schema reporting, user bi_reader; `make dsn ROLE=bi_reader` prints the URL\n"
        "Stop         make down",
        highlight=False,
        soft_wrap=True,
    )


def print_learnt(settings: Settings) -> None:
    """Sentences about the shop; none where nothing is published yet."""
    lines = learnt(settings)
    if lines:
        console.print(f"\n[bold]What was learnt about the shop {settings.source}[/bold]")
    for line in lines:
        console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
