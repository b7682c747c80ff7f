"""Texts of the shop or a person are shown literally: no link, no tag, no colour."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from expectations.days import _check
from expectations.shop_days import Finding
from ingest.files import LandingError
from local.display import Bars, Ended, Lines, Step
from local.shown import print_failure
from local.watch import Failure
from ml_tasks.models.card import model_card
from perennial.settings import Settings
from perennial.text import markdown, plain, printable
from tests.faults.bad_files import TEXTS
from tests.planted_figures import report_of
from tests.unit.test_model_card import MODEL

NASTY = [
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<javascript:alert(1)>"),
    *("[x](javascript:alert(1))", "![x](http://x/x.png)", "[x]: javascript:alert(1)", "&lt;b&gt;"),
    *("=cmd|' /C calc'!A0", "[red]red[/red]", "[bold]", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07"),
    *("a | b |", "# x", "- x", "1. x", "two\nlines", "`code`", "**x**", "__x__", "~~x~~", "a\\"),
    *("<!-- x", "</td></table>", "\u202egnp.exe", "x\r\nBcc: y"),
]
PAGE = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def shown(page: str) -> str:
    """The text that a reader of the page sees."""
    return unescape(re.sub(r"<[^>]*>", "", page)).strip()


@pytest.mark.parametrize("text", [*NASTY, *TEXTS])
def test_a_text_in_markdown_is_shown_as_it_stands(text: str) -> None:
    page = PAGE.render(markdown(text))
    assert set(re.findall(r"<(\w+)", page)) <= {"p"}
    assert shown(page) == plain(text)


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_so_is_any_other(text: str) -> None:
    page = PAGE.render(markdown(text))
    assert set(re.findall(r"<(\w+)", page)) <= {"p"}
    assert shown(page) == plain(text)


@pytest.mark.parametrize("text", NASTY)
def test_a_model_card_holds_no_markup_but_its_own(text: str) -> None:
    cuts = [{"cut_date": "2011-06-01", "model": text, "auc": 0.8}]
    report = report_of(cuts, decision=text, warnings=[f"auc of country: {text}"])
    model = replace(MODEL, report=report, parameters={"largest country": text})
    page = PAGE.render(model_card("churn", model, {"reason": text}))
    ours = PAGE.render(model_card("churn", MODEL, {"reason": "x"}))
    assert set(re.findall(r"<(\w+)", page)) <= set(re.findall(r"<(\w+)", ours))
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["plots/gain.png"]
    assert page.count("<h") == ours.count("<h")
    assert plain(text) in shown(page)


def in_a_terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, width=1_000)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", NASTY)
def test_what_a_step_says_colours_nothing_in_a_terminal(text: str, monkeypatch) -> None:
    console = in_a_terminal()
    Lines(console).end(Ended(date(2024, 1, 1), "land", "land_files", "success", 1.0, text))
    bars = Bars(console)
    bars.show([Step("land", count_done=1, count_tasks=1, rows=text, is_done=True)])
    console.print(bars._table())
    monkeypatch.setattr("local.shown.console", console)
    print_failure(Settings(), Failure("land", "land_files", date(2024, 1, 1), [text]))
    assert "\x1b" not in written(console)
    assert plain(text) in written(console)
    assert printable(text) in written(console)


@pytest.mark.parametrize("text", NASTY)
def test_a_message_is_one_line_that_can_be_printed(text: str) -> None:
    message = str(LandingError(f"{text}.csv lacks the column {text}"))
    assert message.isprintable()
    assert plain(text) in message


def test_a_finding_reaches_a_gate_as_a_value_not_as_a_statement() -> None:
    nasty = "x', 'y'); drop table ops.gate_results; --"
    check = _check([Finding(nasty, "warning", date(2024, 1, 1), nasty)])
    assert "'x'', ''y''); drop table" in check.rows.as_string()
