"""The gate itself: what stops, what warns, what is recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date

import pytest
from psycopg import sql

from expectations import validation
from expectations.gate import Summary, run_gate
from expectations.results import GateFailed
from expectations.rules import Check, Equals, Rule, between, in_set, no_rows, not_null
from perennial.settings import Settings
from perennial.warehouse import connect

AS_OF = date(2011, 9, 10)
GOOD = between("number", 1, 10)


def bad(severity: str) -> Rule:
    """A rule that 3 of the 10 rows break."""
    return between("number", least=4, severity=severity)


@pytest.fixture(autouse=True)
def numbers(gate_home: Settings) -> Iterator[None]:
    """features.numbers: number 1 to 10, and a customer's address beside each."""
    with connect(gate_home, "transformer") as connection:
        connection.execute(
            "create table features.numbers as"
            " select number, number::text || '@example.org' as email"
            " from generate_series(1, 10) as number"
        )
    yield
    with connect(gate_home, "transformer") as connection:
        connection.execute("drop table features.numbers")


def check(*rules: Rule, where: str = "true", **fields: object) -> Check:
    return Check(
        table="features.numbers",
        rows=sql.SQL("select * from features.numbers where {}").format(sql.SQL(where)),
        columns=["number", "email"],
        rules=rules,
        **fields,
    )


def ask(settings: Settings, *checks: Check, run_id: str, role: str = "scorer") -> Summary:
    return run_gate(settings, role, "features", checks, as_of_date=AS_OF, run_id=run_id)


def test_good_rows_pass(gate_home, results):
    summary = ask(gate_home, check(GOOD), run_id="good")
    assert (summary.rule_count, summary.warnings) == (3, [])
    assert results("good", "success") == [(True,)] * 3


def test_a_critical_rule_stops_and_says_which_where_and_how_many(gate_home, results):
    with pytest.raises(
        GateFailed, match=r"1 rules.*\[critical\] features\.numbers\.number.*between.*3 of 10"
    ):
        ask(gate_home, check(GOOD, bad("critical")), run_id="critical")
    assert results(
        "critical",
        "gate", "as_of_date", "table_name", "column_name", "severity", "observed",
        "element_count", "unexpected_count", "success",
    )[-1] == (
        "features", AS_OF, "features.numbers", "number", "critical", "3 of 10 rows break it",
        10, 3, False,
    )  # fmt: skip
    assert len(results("critical", "success")) == 4


def test_a_warning_is_logged_and_lets_pass(gate_home, results, caplog):
    summary = ask(gate_home, check(bad("warning")), run_id="warning")
    assert len(summary.warnings) == 1
    assert "features.numbers.number" in summary.warnings[0]
    assert "3 of 10 rows" in summary.warnings[0]
    assert [record.levelname for record in caplog.records if "3 of 10" in record.message] == [
        "WARNING"
    ]
    assert ("warning", False) in results("warning", "severity", "success")


def test_an_info_is_only_recorded(gate_home, results):
    summary = ask(gate_home, check(bad("info")), run_id="info")
    assert summary.warnings == []
    assert ("info", False) in results("info", "severity", "success")


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_a_rule_that_can_not_be_evaluated_stops_whatever_its_severity(gate_home, results, severity):
    rule = Rule("ExpectColumnValuesToBeUnique", {"column": "no_such_column", "severity": severity})
    with pytest.raises(GateFailed, match=r"no_such_column.*could not be evaluated"):
        ask(gate_home, check(GOOD, rule), run_id=f"errored {severity}")
    assert (severity, "no_such_column", False) in results(
        f"errored {severity}", "severity", "column_name", "success"
    )


def test_an_empty_table_stops(gate_home):
    with pytest.raises(GateFailed, match=r"row_count.*found: 0"):
        ask(gate_home, check(GOOD, where="false"), run_id="empty")


def test_an_empty_table_may_be_said_to_be_fine(gate_home):
    assert (
        ask(gate_home, check(GOOD, where="false", may_be_empty=True), run_id="fine").warnings == []
    )


def test_a_missing_column_stops_though_no_rule_is_about_it(gate_home):
    with connect(gate_home, "transformer") as connection:
        connection.execute("alter table features.numbers drop column email")
    with pytest.raises(GateFailed, match=r"columns_to_match_set.*email"):
        ask(gate_home, check(GOOD), run_id="missing column")


def test_a_missing_table_stops(gate_home, results):
    with connect(gate_home, "transformer") as connection:
        connection.execute("alter table features.numbers rename to elsewhere")
    try:
        with pytest.raises(GateFailed, match=r"features\.numbers.* does not exist"):
            ask(gate_home, check(GOOD), run_id="missing table")
    finally:
        with connect(gate_home, "transformer") as connection:
            connection.execute("alter table features.elsewhere rename to numbers")
    assert {success for (success,) in results("missing table", "success")} == {False}


def test_one_failed_table_does_not_hide_the_others(gate_home, results):
    with pytest.raises(GateFailed, match="2 rules"):
        ask(gate_home, check(bad("critical")), check(bad("critical"), GOOD), run_id="two tables")
    assert len(results("two tables", "success")) == 3 + 4


def test_rules_see_only_the_rows_that_they_are_about(gate_home, results):
    rule = not_null("email", where=Equals("number", 5))
    ask(gate_home, check(bad("critical"), rule, where="number >= 4"), run_id="rows")
    assert [count for (count,) in results("rows", "element_count") if count] == [7, 1]
    assert "where number == 5" in results("rows", "expectation")[-1][0]


def test_no_personal_data_is_kept_or_shown(gate_home, results, caplog):
    rules = (
        Rule("ExpectColumnValuesToMatchRegex", {"column": "email", "regex": "example.com$"}),
        in_set("email", ["x"]),
        no_rows("select email from {batch}"),
    )
    with pytest.raises(GateFailed) as failure:
        ask(gate_home, check(*rules), run_id="personal")
    rows = results("personal", "expectation", "column_name", "observed")
    assert len(rows) == 5
    assert "@example.org" not in f"{rows} {failure.value} {caplog.text}"


def test_the_password_is_in_no_error_and_no_log(gate_home, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("great_expectations").setLevel(logging.DEBUG)
    elsewhere = gate_home.model_copy(update={"pg_port": 1024})
    monkeypatch.setattr(validation, "connect", lambda *_: connect(gate_home, "scorer"))
    monkeypatch.setattr(validation._Connector, "__call__", lambda _: connect(elsewhere, "scorer"))
    try:
        with pytest.raises(Exception, match="onnect") as failure:
            ask(gate_home, check(GOOD), run_id="unreachable")
    finally:
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
    text = f"{failure.getrepr(showlocals=False, chain=True)}{caplog.text}"
    assert "scorer" in text
    assert gate_home.password("scorer") not in text


def test_a_role_without_the_right_to_read_is_stopped(gate_home):
    with pytest.raises(GateFailed, match="permission denied"):
        ask(gate_home, check(GOOD), run_id="no right", role="loader")


def test_the_rows_are_not_read_into_memory(gate_home):
    """GX runs the bare query for its column names; each row that is read increments a counter."""
    with connect(gate_home, "transformer") as connection:
        connection.execute("create sequence features.rows_read")
        connection.execute("grant usage, select on sequence features.rows_read to scorer")
    try:
        rows = sql.SQL(
            "select *, nextval('features.rows_read') as n from features.numbers"
        ).format()
        ask(gate_home, Check("features.numbers", rows, ["number"], []), run_id="lazy")
        with connect(gate_home, "scorer") as connection:
            read = connection.execute("select last_value from features.rows_read").fetchone()
    finally:
        with connect(gate_home, "transformer") as connection:
            connection.execute("drop sequence features.rows_read")
    assert read == (10,)  # once, to count them
