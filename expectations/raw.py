"""Gate behind landing: checks the files of one batch before staging reads them.

A batch that passes is accepted; another is held until a person accepts or refuses it.
"""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING, Any

from psycopg import sql

from expectations import keys, rules
from expectations.gate import run_gate
from expectations.personal import personal_check
from expectations.results import CRITICAL, WARNING, GateFailed, Severity
from expectations.rules import Check, Rule
from expectations.unreadable import rejected_records, unreadable_columns
from perennial import sources
from perennial.casts import CASTS, NUMBERS, value_and_cast
from perennial.shop import own
from perennial.warehouse import connect

if TYPE_CHECKING:
    from perennial.settings import Settings

log = logging.getLogger(__name__)

# Shares of a file's records; staging stores rows that it cannot use in its *_rejected models.
REJECTED_MAX_RATE = 0.05
# So few bad rows stop nothing, however small the batch: one bad row in ten is no broken file.
FEW_ROWS = 2
REJECTED_USUAL_RATE = 0.001
PARSABLE_MIN_RATE = 0.95
PARSABLE_USUAL_RATE = 0.999
EXACT_MIN_RATE = 0.99  # of ids; others were rounded by a spreadsheet
FILLED_MIN_RATE = 1e-9  # anything above 0: guests have no customer_id
# Warn if a batch is this many times larger or smaller than usual.
VOLUME_MAX_RATIO = 10
VOLUME_MIN_BATCHES = 3

# Share of zeros in a required number: with more of them the export is broken.
ZERO_MAX_RATE = 0.5
FILE_COLUMNS = (
    *("file_id", "record_count", "landed_count", "rejected_count", "rejected_rate"),
    "rejected_rate_of_several",
)
BATCH_COLUMNS = ("record_count", "records_so_far", "volume_ratio")


def gate_raw(
    settings: Settings, batch_id: int | None, as_of_date: date, run_id: str
) -> dict[str, Any]:
    """Check a batch with the role loader; accept the batch if the rules hold, else hold it.

    Args:
        settings: The shop, and where its warehouse is.
        batch_id: The batch. None if nothing new was landed: then all held batches are checked, so
            that a retry of a stopped run stops here again.
        as_of_date: Date of the run.
        run_id: The run.

    Returns:
        JSON-able: batch_ids, those accepted; rule_count; warnings; judged, the tables checked.

    Raises:
        GateFailed: If a critical rule failed; the message contains how to overrule it.
    """
    from ingest.batches import accept, hold

    result: dict[str, Any] = {"gate": "raw", "batch_ids": [], "rule_count": 0, "warnings": []}
    checked: set[str] = set()
    for held_batch_id in _held(settings, batch_id):
        checks = batch_checks(settings, held_batch_id)
        try:
            summary = run_gate(
                settings, "loader", "raw", checks, as_of_date=as_of_date, run_id=run_id
            )
        except GateFailed as failure:
            hold(settings, held_batch_id, f"the gate stopped it in run {run_id}")
            texts = [str(failure), *_details(settings, held_batch_id)]
            raise GateFailed(
                f"batch {held_batch_id} is held: {'. '.join(texts)}. Look at ops.gate_results and "
                f"ops.rejected_lines, then `make accept BATCH={held_batch_id}` or "
                f"`make refuse BATCH={held_batch_id}`"
            ) from None
        accept(settings, held_batch_id, f"passed the gate in run {run_id}")
        result["batch_ids"].append(held_batch_id)
        checked |= {check.table for check in checks}
        result["rule_count"] += summary.rule_count
        result["warnings"] += summary.warnings
        if summary.warnings:
            result["warnings"] += _details(settings, held_batch_id)
        # logged last, after a line for each of the batch's files
        log.info(
            "gate raw let batch %s in: %s rules, %s warnings",
            held_batch_id,
            summary.rule_count,
            len(result["warnings"]),
        )
    return result | {"judged": sorted(checked)}


def _details(settings: Settings, batch_id: int) -> list[str]:
    """Sentences on what cannot be read in the batch, with the first file and line."""
    with connect(settings, "loader") as connection:
        (count,) = connection.execute(
            "select sum(record_count) from ops.landed_files where batch_id = %s", [batch_id]
        ).fetchone() or (0,)
        landed = connection.execute(
            "select table_name, array_agg(file_id order by file_id) from ops.landed_files"
            " where batch_id = %s group by table_name",
            [batch_id],
        ).fetchall()
    texts = rejected_records(settings, batch_id) + unreadable_columns(settings, batch_id)
    files = dict(landed)
    for table in sources.load(settings.staging_source).tables:
        if table.raw_table in files and table.key_columns:
            texts += keys.sentences(settings, table, files[table.raw_table])
    return texts if count else ["The files hold headers only: is the export done?", *texts]


def batch_checks(settings: Settings, batch_id: int) -> list[Check]:
    """Rules of one batch: its files, its size beside others, and the rows of each raw table."""
    with connect(settings, "loader") as connection:
        landed = connection.execute(
            "select table_name, array_agg(file_id order by file_id), sum(landed_count)::bigint"
            " from ops.landed_files where batch_id = %s group by table_name order by table_name",
            [batch_id],
        ).fetchall()
        files = {table: file_ids for table, file_ids, _ in landed}
        row_counts = {table: count for table, _, count in landed}
        tables = sources.load(settings.staging_source).tables
        personal = [
            personal_check(connection, settings.staging_source, table, files[table.raw_table])
            for table in tables
            if table.raw_table in files
        ]
    return [
        Check("ops.landed_files", _file_rows(batch_id), FILE_COLUMNS, file_suite()),
        Check("ops.landed_files", _batch_rows(batch_id), BATCH_COLUMNS, batch_suite()),
        *(
            Check(
                f"raw.{table.raw_table}",
                _raw_rows(table, files[table.raw_table], own(settings).time_zone),
                [column.name for column in table.columns],
                raw_suite(table, row_counts[table.raw_table]),
                may_be_empty=row_counts[table.raw_table] == 0,  # only a header: a day without rows
            )
            for table in tables
            if table.raw_table in files
        ),
        *(
            keys.replaced_check(table, files[table.raw_table])
            for table in tables
            if row_counts.get(table.raw_table) and table.key_columns
        ),
        *personal,
    ]


def file_suite() -> list[Rule]:
    """Rules on each file of a batch: the share of records that could not be read."""
    return [
        # stop the run: the file is broken
        rules.between("rejected_rate_of_several", most=REJECTED_MAX_RATE),
        # warn: a few lines are broken
        rules.between("rejected_rate", most=REJECTED_USUAL_RATE, severity=WARNING),
    ]


def batch_suite() -> list[Rule]:
    """Rules on a batch as a whole: its size beside the median of the batches accepted before."""
    return [
        # stop the run: a file with a header only is a day without orders, but no shop's first day
        rules.between("records_so_far", least=1),
        # warn: much more or much less than usual
        rules.between("volume_ratio", 1 / VOLUME_MAX_RATIO, VOLUME_MAX_RATIO, severity=WARNING),
    ]


def raw_suite(table: sources.SourceTable, row_count: int) -> list[Rule]:
    """Rules on the rows of a raw table: required columns are filled, and values can be read.

    Args:
        table: The table.
        row_count: Number of the batch's rows in it.
    """
    few_rate = 1 - FEW_ROWS / max(row_count, 1)
    parsable_min_rate = max(0.0, min(PARSABLE_MIN_RATE, few_rate))
    exact_min_rate = max(0.0, min(EXACT_MIN_RATE, few_rate))
    result: list[Rule] = []
    for column in table.columns:
        if column.kind in CASTS:
            parsable = f"{column.name}_is_{column.kind}"
            result += [
                # stop the run: the columns have moved, or their form has changed
                rules.in_set(parsable, [True], mostly=parsable_min_rate),
                # warn: staging will reject a few rows
                rules.in_set(parsable, [True], mostly=PARSABLE_USUAL_RATE, severity=WARNING),
            ]
        if column.kind == "id":
            exact = f"{column.name}_is_exact"
            result += [
                # stop the run: a spreadsheet has rounded many ids to one
                rules.in_set(exact, [True], mostly=exact_min_rate),
                # warn: a few ids are rounded
                rules.in_set(exact, [True], severity=WARNING),
            ]
        if column.is_required:
            # an empty column is as good as missing: stop the run where rows are useless without
            severity: Severity = CRITICAL if column.kind in CASTS else WARNING
            filled = f"{column.name}_filled"
            result.append(rules.not_null(filled, mostly=FILLED_MIN_RATE, severity=severity))
        if column.is_required and column.kind in NUMBERS:
            # stop the run: all prices zero would look like a day without orders
            result.append(rules.in_set(f"{column.name}_is_zero", [False], mostly=1 - ZERO_MAX_RATE))
    return result


def _held(settings: Settings, batch_id: int | None) -> list[int]:
    """The batch if it is held, or all held batches; never one that a person has decided on."""
    with connect(settings, "loader") as connection:
        rows = connection.execute(
            "select distinct batch_id from ops.landed_files where status = 'held'"
            " and source = %(source)s and batch_id = coalesce(%(batch_id)s::bigint, batch_id)"
            " order by batch_id",
            {"source": settings.staging_source, "batch_id": batch_id},
        ).fetchall()
    return [row[0] for row in rows]


def _file_rows(batch_id: int) -> sql.Composed:
    return sql.SQL(
        "select file_id, record_count, landed_count, rejected_count,"
        " coalesce(rejected_count::double precision / nullif(record_count, 0), 0) as rejected_rate,"
        " case when rejected_count > {few_rows}"
        "  then rejected_count::double precision / record_count else 0 end"
        "  as rejected_rate_of_several"
        " from ops.landed_files where batch_id = {batch_id}"
    ).format(batch_id=sql.Literal(batch_id), few_rows=sql.Literal(FEW_ROWS))


def _batch_rows(batch_id: int) -> sql.Composed:
    return sql.SQL(
        "with batches as ("
        " select batch_id, sum(record_count)::bigint as record_count,"
        "  bool_and(status in ('accepted', 'superseded')) as is_accepted"
        " from ops.landed_files"
        " where source = (select min(source) from ops.landed_files where batch_id = {batch_id})"
        " group by batch_id),"
        " usual as ("
        " select percentile_cont(0.5) within group (order by record_count) as record_count"
        " from batches where is_accepted and batch_id < {batch_id}"
        " having count(*) >= {min_batches})"
        " select batches.record_count,"
        " (select sum(record_count)::bigint from batches"
        "  where is_accepted or batch_id = {batch_id}) as records_so_far,"
        # 0 records count as 1: days without orders are usual in a shop with few orders
        "  greatest(batches.record_count, 1) / usual.record_count as volume_ratio"
        " from batches left join usual on true where batches.batch_id = {batch_id}"
    ).format(batch_id=sql.Literal(batch_id), min_batches=sql.Literal(VOLUME_MIN_BATCHES))


def _raw_rows(table: sources.SourceTable, file_ids: list[int], time_zone: str) -> sql.Composed:
    """Query for the rows of a raw table, with columns on how staging reads each value."""
    columns: list[sql.Composable] = [sql.SQL("*")]
    for column in table.columns:
        value, cast = value_and_cast(column, time_zone)
        facts = {"filled": value}
        if column.kind in CASTS:
            # null where there is no value
            read = sql.SQL("case when {} is not null then {} is not null end").format(value, cast)
            facts[f"is_{column.kind}"] = read
        if column.kind == "id":
            facts["is_exact"] = sql.SQL("not {}").format(cast)
        if column.kind in NUMBERS:
            facts["is_zero"] = sql.SQL("{} = 0").format(cast)
        columns += [
            sql.SQL("{} as {}").format(expression, sql.Identifier(f"{column.name}_{ending}"))
            for ending, expression in facts.items()
        ]
    return sql.SQL("select {columns} from {table} where _file_id = any({file_ids})").format(
        columns=sql.SQL(", ").join(columns),
        table=sql.Identifier("raw", table.raw_table),
        file_ids=sql.Literal(file_ids),
    )
