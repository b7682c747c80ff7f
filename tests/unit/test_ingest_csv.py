"""CSV records against a second reader, which reads byte by byte, and against the csv module."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import csv_reader, csv_records
from ingest.csv_records import (
    BACKSLASH_QUOTE,
    DELIMITER_AT_END,
    NOT_UTF8,
    NUL_BYTE,
    STRAY_QUOTE,
    TEXT_AFTER_QUOTE,
    UNCLOSED,
    LineTooLongError,
    find_records,
)
from ingest.files import LandingError, ShopFile
from ingest.rows import Layout
from perennial.sources import SourceColumn, SourceTable
from tests.naive_csv import naive

STAMP = b"%d|%b\n"


def shop_file(name: str = "orders.csv") -> ShopFile:
    return ShopFile(name, name, "csv", False, None, name)  # type: ignore[arg-type]


def table(*headers: str, optional: tuple[str, ...] = ()) -> SourceTable:
    columns = [SourceColumn(name.lower(), name, "", name not in optional) for name in headers]
    return SourceTable("orders", "shop_orders", ("*",), "", tuple(columns))


def layout_of(n_columns: int, ignored: tuple[int, ...] = ()) -> Layout:
    names = tuple(f"c{index}" for index in range(n_columns))
    columns = tuple(None if index in ignored else name for index, name in enumerate(names))
    return Layout(names, columns)


def read(
    data: bytes, n_columns: int = 2, block_bytes: int = 1 << 20, ignored: tuple[int, ...] = ()
) -> tuple[list[tuple[int, bytes]], list[tuple[int, str, bytes]], int]:
    """Landed (line, content), rejected (line, reason, content), and the number of blank lines."""
    stream = io.BytesIO(data)
    layout = layout_of(n_columns, ignored)
    chunks = list(csv_reader.rows(shop_file(), layout, stream.read, 1, STAMP, block_bytes))
    rejects = [
        (reject.line, reject.reason, reject.content) for chunk in chunks for reject in chunk.rejects
    ]
    landed = []
    text = b"".join(chunk.data for chunk in chunks)
    while text:  # a row may hold line feeds, so its length ends it
        number, _, text = text.partition(b"|")
        content, rest = _take_row(text)
        landed.append((int(number), content))
        text = rest
    assert len(landed) == sum(chunk.count for chunk in chunks)
    return landed, rejects, sum(chunk.blank_count for chunk in chunks)


def _take_row(text: bytes) -> tuple[bytes, bytes]:
    is_quoted = False
    for position, byte in enumerate(text):
        if byte == ord('"'):
            is_quoted = not is_quoted
        elif byte == ord("\n") and not is_quoted:
            return text[:position], text[position + 1 :]
    raise AssertionError("a row without an end")


files = st.lists(
    st.sampled_from(
        [
            *(b"a", b"b", b",", b",", b'"', b'"', b'""', b"\n", b"\r\n", b"\r"),
            *(
                b'\\"',
                b'"x,\n"',
                b"a,b\n",
                b'1,"2 ""3"""\n',
                b"\xe9",
                "é".encode(),
                b"\0",
                b' "',
                b",,",
            ),
        ]
    ),
    max_size=40,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(data=files, n_columns=st.integers(1, 3), block_bytes=st.integers(1, 30))
@example(data=b'a,"b\n\nc,"d"\ne,f', n_columns=2, block_bytes=3)
@example(data=b'a,b\r\n"a",b"\r\n', n_columns=2, block_bytes=5)
@example(data=b'"\r\n",\r\n', n_columns=2, block_bytes=2)
def test_records_are_those_that_a_byte_by_byte_reader_finds(data, n_columns, block_bytes):
    assert read(data, n_columns, block_bytes) == naive(data, n_columns, 1 << 20)


@settings(max_examples=300, deadline=None)
@given(data=files, block_bytes=st.integers(1, 30), longest=st.integers(0, 12))
def test_what_is_too_long_does_not_depend_on_the_blocks(data, block_bytes, longest):
    def outcome(reading, *arguments):
        try:
            return reading(*arguments)
        except (LandingError, LineTooLongError):
            return "too long"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "MAX_RECORD_BYTES", longest)
        patch.setattr(csv_reader, "AFTER_BROKEN_BYTES", 3)
        found = outcome(read, data, 2, block_bytes)
    assert found == outcome(naive, data, 2, longest)


values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(max_examples=100, deadline=None)
@given(
    records=st.lists(st.tuples(values, values, values), max_size=12),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    block_bytes=st.integers(1, 40),
)
def test_what_the_csv_module_writes_it_reads_back_from_our_rows(
    records, quoting, line_end, block_bytes
):
    if quoting == csv.QUOTE_MINIMAL:  # it quotes its own line end only, and any of them ends a line
        foreign = str.maketrans("", "", "".join({"\r", "\n"} - set(line_end)))
        records = [[value.translate(foreign) for value in row] for row in records]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=line_end).writerows(records)
    landed, rejects, _ = read(text.getvalue().encode(), 3, block_bytes)
    content = "\n".join(content.decode() for _, content in landed)
    assert rejects == []
    assert list(csv.reader(io.StringIO(content, newline=""))) == [list(row) for row in records]


@settings(max_examples=100, deadline=None)
@given(
    records=st.lists(st.tuples(values, values, values, values), max_size=8),
    ignored=st.sets(st.integers(0, 3), max_size=3),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_an_ignored_column_leaves_the_others_as_they_are(records, ignored, line_end):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=line_end).writerows(records)
    landed, rejects, _ = read(text.getvalue().encode(), 4, 50, tuple(ignored))
    content = "\n".join(content.decode() for _, content in landed)
    kept = [[value for index, value in enumerate(row) if index not in ignored] for row in records]
    assert rejects == []
    assert list(csv.reader(io.StringIO(content, newline=""))) == kept


# One defect at a time ---------------------------------------------------------------------------

SOUND = [b"%d,name %d" % (number, number) for number in range(1, 2001)]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param(b'7,"open', UNCLOSED, id="a quote that nothing closes"),
        pytest.param(b'7,12" ruler', STRAY_QUOTE, id="an inch mark"),
        pytest.param(b'7,"a"b', TEXT_AFTER_QUOTE, id="text after the closing quote"),
        pytest.param(b"7,a,b", "3 fields, expected 2", id="a comma too many"),
        pytest.param(b"7,a,", DELIMITER_AT_END, id="a comma at the end"),
        pytest.param(b'7,"12\\" ruler"', BACKSLASH_QUOTE, id="a backslash before a quote"),
        pytest.param(b"7", "1 fields, expected 2", id="a comma too few"),
        pytest.param(b"7,caf\xe9", NOT_UTF8, id="Latin-1"),
        pytest.param(b"7,a\0b", NUL_BYTE, id="a NUL"),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_broken_record_costs_its_own_line(broken, reason, line_end):
    lines = [*SOUND[:999], broken, *SOUND[999:]]
    landed, rejects, _ = read(line_end.join(lines) + line_end)
    assert [content for _, content in landed] == SOUND
    assert rejects == [(1000, reason, broken)]


def test_an_open_quote_before_quoted_fields_costs_its_own_line():
    quoted = [b'%d,"name, %d"' % (number, number) for number in range(1, 2001)]
    landed, rejects, _ = read(b"\n".join([*quoted[:999], b'7,"open', *quoted[999:]]))
    assert [content for _, content in landed] == quoted
    # the next line's opening quote is read as the closing one, and text follows it
    assert rejects == [(1000, TEXT_AFTER_QUOTE, b'7,"open')]


def test_a_record_over_several_lines_begins_on_its_first_line():
    landed, rejects, blanks = read(b'1,"a\nb\r\nc"\n\n2,d')
    assert landed == [(1, b'1,"a\nb\r\nc"'), (5, b"2,d")]
    assert (rejects, blanks) == ([], 1)


def test_a_line_without_end_is_an_error_that_names_the_file():
    with pytest.raises(LandingError, match=r"orders\.csv, after line 2: a line is longer"):
        read(b"1,a\n" + b"x" * (csv_records.MAX_RECORD_BYTES + 1))


# The header -------------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [b"sep=;\r\n", b"\xef\xbb\xbfSEP=;\n", b'"sep=;"\r'])
def test_the_line_by_which_excel_knows_the_delimiter_is_no_header(hint):
    """The hint counts even where another sign would split the header."""
    head = hint + b"Order ID;Name\n1;a,b\n"
    layout = csv_reader.layout(shop_file(), table("Order ID", "Name"), head)
    assert (layout.headers, layout.delimiter) == (("Order ID", "Name"), b";")
    assert (head[layout.body_start :], layout.body_line) == (b"1;a,b\n", 3)


def test_lines_above_the_header_are_an_error_that_says_where_it_is():
    head = b"Order report\r\n\r\nOrder ID,Name\r\n1,a\r\n"
    with pytest.raises(LandingError, match="The columns stand on line 3: delete the lines above"):
        csv_reader.layout(shop_file(), table("Order ID", "Name"), head)


def test_a_byte_order_mark_blank_lines_and_quotes_do_not_hide_the_header():
    head = b'\xef\xbb\xbf\r\n"Order\nID", Name \r\n1,a\r\n'
    layout = csv_reader.layout(shop_file(), table("Order\nID", "Name"), head)
    assert layout.headers == ("Order\nID", "Name")
    assert (layout.body_start, layout.body_line) == (head.index(b"1,a"), 4)


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|"])
def test_the_header_tells_the_delimiter(delimiter):
    layout = csv_reader.layout(shop_file(), table("id", "name"), delimiter.join([b"id", b"name"]))
    assert layout.delimiter == delimiter


def test_extra_columns_are_ignored_and_optional_ones_may_lack():
    wanted = table("id", "name", "note", optional=("note",))
    layout = csv_reader.layout(shop_file(), wanted, b"x,name,id,x\n")
    assert layout.columns == (None, "name", "id", None)
    assert layout.ignored == ["x", "x"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        pytest.param(b"id,Nmae\n", r"lacks the column 'name'.*'Nmae' may be 'name'", id="missing"),
        pytest.param(b"id,name,name\n", "more than one column named 'name'", id="twice"),
        pytest.param(b"\n \n", "blank lines only", id="blank"),
        pytest.param(b"id,na\xe9\n", "header can't be read", id="not UTF-8"),
        pytest.param(b"\xff\xfei\0d\0", "UTF-16", id="UTF-16"),
        pytest.param(b'id,"name', "header can't be read", id="open quote"),
        pytest.param(b"1,anvil\n", "Is its first line a header", id="no header"),
    ],
)
def test_a_header_that_will_not_do_is_explained(head, message):
    with pytest.raises(LandingError, match=message):
        csv_reader.layout(shop_file(), table("id", "name"), head)


def test_lines_are_counted_like_text_editors_do():
    data = b"a\nb\r\nc\rd\n\r\r\n"
    assert csv_records.count_lines(data) == len(data.splitlines())


def test_a_block_may_end_between_carriage_return_and_line_feed():
    first = find_records(b"a,b\r", 2, b",", 1, is_last=False)
    assert (first.consumed, list(first.starts)) == (0, [])
