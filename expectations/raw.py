"""Gate behind landing: the files of one batch, before staging reads a line of them.

A batch that passes is accepted; one that does not is held until a person accepts or refuses it.
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

# Shares of a file's records; staging keeps what it can't use in its *_rejected models.
REJECTED_MAX_RATE = 0.05
# So few bad rows stop nothing, however small the batch: one of a quiet day's ten is no broken file.
FEW_ROWS = 2
REJECTED_USUAL_RATE = 0.001
PARSABLE_MIN_RATE = 0.95
PARSABLE_USUAL_RATE = 0.999
EXACT_MIN_RATE = 0.99  # of ids; the others were rounded
FILLED_MIN_RATE = 1e-9  # anything above 0: guests have no customer_id
# A batch this many times larger or smaller than the usual one makes one ask what was sent.
VOLUME_MAX_RATIO = 10
VOLUME_MIN_BATCHES = 3

ZERO_MAX_RATE = (
    0.5  # of a number that every record must have: half of it zero is an export gone wrong
)
FILE_COLUMNS = (
    *("file_id", "record_count", "landed_count", "rejected_count", "rejected_rate"),
    "rejected_rate_of_several",
)
BATCH_COLUMNS = ("record_count", "records_so_far", "volume_ratio")


def gate_raw(
    settings: Settings, batch_id: int | None, as_of_date: date, run_id: str
) -> dict[str, Any]:
    """Ask a batch as loader; accept it if the rules hold, else leave it held.

    Args:
        settings: Which shop this is and where its warehouse is.
        batch_id: The batch; None when nothing new was landed: then whatever is still held, so
            that a second try of a run that was stopped here is stopped here again.
        as_of_date: Date of the run.
        run_id: The run.

    Returns:
        JSON-able: batch_ids that were accepted, rule_count, warnings, and the tables judged.

    Raises:
        GateFailed: If a critical rule failed; the message says how to overrule it.
    """
    from ingest.batches import accept, hold

    result: dict[str, Any] = {"gate": "raw", "batch_ids": [], "rule_count": 0, "warnings": []}
    judged: set[str] = set()
    for held_batch_id in _held(settings, batch_id):
        checks = batch_checks(settings, held_batch_id)
        try:
            summary = run_gate(
                settings, "loader", "raw", checks, as_of_date=as_of_date, run_id=run_id
            )
        except GateFailed as failure:
            hold(settings, held_batch_id, f"the gate stopped it in run {run_id}")
            told = [str(failure), *_details(settings, held_batch_id)]
            raise GateFailed(
                f"batch {held_batch_id} is held: {'. '.join(told)}. Look at ops.gate_results and "
                f"ops.rejected_lines, then `make accept BATCH={held_batch_id}` or "
                f"`make refuse BATCH={held_batch_id}`"
            ) from None
        accept(settings, held_batch_id, f"passed the gate in run {run_id}")
        result["batch_ids"].append(held_batch_id)
        judged |= {check.table for check in checks}
        result["rule_count"] += summary.rule_count
        result["warnings"] += summary.warnings
        if summary.warnings:
            result["warnings"] += _details(settings, held_batch_id)
        # last, after a line for each of the batch's files
        log.info(
            "gate raw let batch %s in: %s rules, %s warnings",
            held_batch_id,
            summary.rule_count,
            len(result["warnings"]),
        )
    return result | {"judged": sorted(judged)}


def _details(settings: Settings, batch_id: int) -> list[str]:
    """What of the batch can't be read, and where it begins."""
    with connect(settings, "loader") as connection:
        (count,) = connection.execute(
            "select sum(record_count) from ops.landed_files where batch_id = %s", [batch_id]
        ).fetchone() or (0,)
        landed = connection.execute(
            "select table_name, array_agg(file_id order by file_id) from ops.landed_files"
            " where batch_id = %s group by table_name",
            [batch_id],
        ).fetchall()
    told = rejected_records(settings, batch_id) + unreadable_columns(settings, batch_id)
    files = dict(landed)
    for table in sources.load(settings.staging_source).tables:
        if table.raw_table in files and table.key_columns:
            told += keys.told(settings, table, files[table.raw_table])
    return told if count else ["The files hold headers only: is the export done?", *told]


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
                may_be_empty=row_counts[table.raw_table] == 0,  # a header only: none came that day
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
    """Rules of a batch's files: how much of each could be read."""
    return [
        # stop the run: the file is broken
        rules.between("rejected_rate_of_several", most=REJECTED_MAX_RATE),
        # warn: a few lines are
        rules.between("rejected_rate", most=REJECTED_USUAL_RATE, severity=WARNING),
    ]


def batch_suite() -> list[Rule]:
    """Rules of a batch as a whole: its size beside the median of those accepted before."""
    return [
        # stop the run: headers only are a day without orders, but no shop begins with one
        rules.between("records_so_far", least=1),
        # warn: much more or much less than usual
        rules.between("volume_ratio", 1 / VOLUME_MAX_RATIO, VOLUME_MAX_RATIO, severity=WARNING),
    ]


def raw_suite(table: sources.SourceTable, row_count: int) -> list[Rule]:
    """Rules of a raw table's rows: required columns are filled, and staging can read the values.

    Args:
        table: Which.
        row_count: Rows of the batch in it.
    """
    few_rate = 1 - FEW_ROWS / max(row_count, 1)
    parsable_min_rate = max(0.0, min(PARSABLE_MIN_RATE, few_rate))
    exact_min_rate = max(0.0, min(EXACT_MIN_RATE, few_rate))
    found: list[Rule] = []
    for column in table.columns:
        if column.kind in CASTS:
            parsable = f"{column.name}_is_{column.kind}"
            found += [
                # stop the run: the columns have moved, or their form has changed
                rules.in_set(parsable, [True], mostly=parsable_min_rate),
                # warn: staging will reject a few rows
                rules.in_set(parsable, [True], mostly=PARSABLE_USUAL_RATE, severity=WARNING),
            ]
        if column.kind == "id":
            exact = f"{column.name}_is_exact"
            found += [
                # stop the run: a spreadsheet has made one id of many
                rules.in_set(exact, [True], mostly=exact_min_rate),
                # warn: of a few ids
                rules.in_set(exact, [True], severity=WARNING),
            ]
        if column.is_required:
            # an empty column is a missing one in disguise: stop where it makes rows useless
            severity: Severity = CRITICAL if column.kind in CASTS else WARNING
            filled = f"{column.name}_filled"
            found.append(rules.not_null(filled, mostly=FILLED_MIN_RATE, severity=severity))
        if column.is_required and column.kind in NUMBERS:
            # stop the run: all prices zero would look like a day without orders
            found.append(rules.in_set(f"{column.name}_is_zero", [False], mostly=1 - ZERO_MAX_RATE))
    return found


def _held(settings: Settings, batch_id: int | None) -> list[int]:
    """Held batches among those asked for: what a person has decided stays decided."""
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
        # none is taken for one: days without orders are usual where there are few
        "  greatest(batches.record_count, 1) / usual.record_count as volume_ratio"
        " from batches left join usual on true where batches.batch_id = {batch_id}"
    ).format(batch_id=sql.Literal(batch_id), min_batches=sql.Literal(VOLUME_MIN_BATCHES))


def _raw_rows(table: sources.SourceTable, file_ids: list[int], time_zone: str) -> sql.Composed:
    """A raw table's rows; beside them, which values are there and what staging makes of them."""
    columns: list[sql.Composable] = [sql.SQL("*")]
    for column in table.columns:
        value, cast = value_and_cast(column, time_zone)
        found = {"filled": value}
        if column.kind in CASTS:
            # null where there is nothing to read
            read = sql.SQL("case when {} is not null then {} is not null end").format(value, cast)
            found[f"is_{column.kind}"] = read
        if column.kind == "id":
            found["is_exact"] = sql.SQL("not {}").format(cast)
        if column.kind in NUMBERS:
            found["is_zero"] = sql.SQL("{} = 0").format(cast)
        columns += [
            sql.SQL("{} as {}").format(expression, sql.Identifier(f"{column.name}_{ending}"))
            for ending, expression in found.items()
        ]
    return sql.SQL("select {columns} from {table} where _file_id = any({file_ids})").format(
        columns=sql.SQL(", ").join(columns),
        table=sql.Identifier("raw", table.raw_table),
        file_ids=sql.Literal(file_ids),
    )
