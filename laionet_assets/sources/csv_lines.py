r"""A damaged CSV by its lines: which of them are rows, which are parts of a row, and which are set apart.

Belongs here: the accounts of a file that DuckDB cannot read strictly, and the rows made of its lines. Does not belong
here: options of DuckDB's reader, headers (`text_files`).

DuckDB's reader drops what follows a quote that is not closed and says nothing of it. So the bytes of a file that is not
sound are read once here: every line is the header, empty, a row, a part of a row whose quoted field has line breaks, or
set apart. Sound files never come here.

A quoted field ends where RFC 4180 says, even lines further down: a caption with line breaks is one row, and whether an
unclosed quote was closed by that of a later line cannot be told, in a sound file neither. If what it makes is no row of
the file (it never ends, ends inside a text, is longer than DuckDB's lines may be, has another number of fields), the
quote is to blame, and its line alone is set apart: the line behind is read as if it were not there. That costs the
fewest rows. Spaces around quotes are passed over, as DuckDB does.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from laionet_assets.sources.file_format import ROW, Rejected, column_at
from laionet_assets.sources.rejects import MALFORMED, MAX_REJECTED, NOT_UTF8, SHOWN_CHARACTERS
from laionet_assets.warehouse.sql import literal

MAX_RECORD_BYTES = 2_000_000
"""DuckDB reads no longer line, nor quoted row."""
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r|\Z)")
_BARE = (
    "lambda text: case when starts_with(ltrim(text, ' '), '\"') "
    "then replace(trim(text, ' ')[2:-2], '\"\"', '\"') else nullif(text, '') end"
)
_END = re.compile(rb"\r\n|\n|\r")
_RETURN_INSIDE = re.compile(rb"\r[^\n]")


@dataclass
class Accounts:
    """What the lines of a file are. `records`: rows, and what is set apart in place of one. `is_plain`: every record is
    one line, and none leaves a quote open. `rejected`: lines that are set apart here. `cut_rows`: lines, from 0 and not
    counting those that DuckDB sets apart, that are no part of a row.
    """

    lines: int = 0
    rows: int = 0
    records: int = 0
    is_plain: bool = True
    rejected: list[Rejected] = field(default_factory=list)
    cut_rows: list[int] = field(default_factory=list)

    def agree_with(self, sound: int, rejected: Sequence[Rejected]) -> bool:
        """Whether DuckDB's own reader found these rows and set apart these lines. It counts lines rightly only where
        all records are one. It alone says what is no UTF-8, which matters in columns that are read.
        """
        not_text = {each.line for each in rejected if each.reason == NOT_UTF8}
        theirs = {each.line for each in rejected} - not_text
        ours = {each.line for each in self.rejected} - not_text
        return (self.is_plain or not rejected) and theirs == ours and sound + len(rejected) == self.records


@dataclass(frozen=True)
class _Record:
    """Lines that belong together. `is_whole`: a row by its quotes and fields; `is_open`: its quote is not closed where
    the line ends; `has_return`: a carriage return that no line feed follows, inside or as its end.
    """

    text: bytes
    lines: int
    is_whole: bool
    is_open: bool
    has_return: bool


def account(
    chunks: Iterable[bytes],
    *,
    delimiter: str,
    width: int,
    skipped_lines: int,
    gone: Sequence[int] = (),
    is_by_lines: bool = True,
) -> Accounts:
    """The accounts of a CSV by its bytes. `width`: fields of a row; `skipped_lines`: lines before the header; `gone`:
    lines, from 1, that DuckDB sets apart, in order. More than 100,000 lines set apart end it. `is_by_lines`: whether
    a carriage return alone never ends a line; else it does where it ends the first.
    """
    found, is_gone, before = Accounts(), frozenset(gone), 0
    has_header = was_return = ends_in_returns = False
    for record in _records(chunks, delimiter, width, skipped_lines):
        lines = range(found.lines + 1, found.lines + 1 + record.lines)
        is_cut = record.has_return and record.text.endswith(b"\r")
        if not found.lines:
            ends_in_returns = is_cut and not is_by_lines
        found.lines += record.lines
        is_piece, was_return = not ends_in_returns and (was_return or record.has_return), is_cut
        is_empty = not record.text.strip(b"\r\n") and not is_piece
        is_first = lines[0] > skipped_lines and not has_header and not is_empty
        found.is_plain &= record.lines == 1 and not record.is_open
        if is_empty and lines[0] > skipped_lines:
            continue
        has_header |= is_first
        has_lost = not is_gone.isdisjoint(lines)
        if has_header and not is_first:
            found.records += 1
            if record.is_whole and not is_piece and not has_lost:
                found.rows += 1
                continue
            if not has_lost:
                text = record.text[: 4 * SHOWN_CHARACTERS].decode(errors="replace").strip("\r\n")
                found.rejected.append(Rejected(lines[0], MALFORMED, text[:SHOWN_CHARACTERS]))
        for line in lines:
            while before < len(gone) and gone[before] < line:
                before += 1
            if line not in is_gone:
                found.cut_rows.append(line - 1 - before)
        if len(found.rejected) > MAX_REJECTED:
            break
    return found


def _records(chunks: Iterable[bytes], delimiter: str, width: int, skipped_lines: int) -> Iterator[_Record]:
    """The records of a file, one after the other: lines before the header, the header, rows, lines that are none."""
    split = re.escape(delimiter.encode())
    space = b"" if delimiter == " " else b" *+"
    other = rb"[^\r\n" + split + b"]" if len(delimiter.encode()) == 1 else rb"(?:(?!" + split + rb")[^\r\n])"
    quoted = space + rb'"(?:[^"]|"")*+"' + space + b"(?=" + split + rb"|[\r\n]|\Z)"
    value = b"(?:" + quoted + b"|(?!" + space + b'")' + other + b"*+)"
    row = re.compile(value + b"(?:" + split + value + rb")*+(?:\r\n|\n|\r|\Z)")
    values = re.compile(split + value)
    left_open = re.compile(b"(?:" + value + split + b")*+" + space + rb'"(?:[^"\r\n]|"' + space + rb'")*+(?:[\r\n]|\Z)')
    stream = iter(chunks)

    def more(kept: bytes) -> tuple[bytes, int, bool]:
        chunk = next(stream, None)
        return kept + (chunk or b""), 0, chunk is None

    text, at, is_last, number, has_header = b"", 0, False, 0, False
    while not is_last or at < len(text):
        line = _LINE.match(text, at)
        assert line is not None, "every text has a line"
        if not is_last and line.end() == len(text):
            is_too_long = len(line[0]) > 3 * MAX_RECORD_BYTES and not line[0].endswith((b"\r", b"\n"))
            text, at, is_last = more(line[0][: 2 * MAX_RECORD_BYTES] if is_too_long else line[0])
            continue
        match = row.match(text, at) if b'"' in line[0] else line
        end = match.end() if match and match.end() - at <= MAX_RECORD_BYTES else line.end()
        if not is_last and (len(text) - at <= 2 * MAX_RECORD_BYTES or end + 1 >= len(text)):
            text, at, is_last = more(text[at:])
            continue
        is_before = number < skipped_lines
        is_header = not is_before and not has_header and bool(line[0].strip(b"\r\n"))
        if is_before:
            match, end = None, line.end()
        record = text[at:end]
        has_quotes = b'"' in record
        fields = (
            len(values.findall(delimiter.encode() + record)) if has_quotes else record.count(delimiter.encode()) + 1
        )
        is_whole = match is not None and match.end() == end and (fields == width or is_header)
        if not is_whole and end > line.end():
            record, end = line[0], line.end()
        has_header |= is_header
        lines = len(_END.findall(record)) + (not record.endswith((b"\r", b"\n"))) if end > line.end() else 1
        yield _Record(
            record,
            lines,
            is_whole and end - at <= MAX_RECORD_BYTES,
            has_quotes and not is_before and (not is_whole and left_open.match(record) is not None),
            b"\r" in record and _RETURN_INSIDE.search(text, at, end + 1) is not None,
        )
        number, at = number + lines, end


def rows_sql(lines: str, *, delimiter: str, used: Sequence[int], cut_rows: Sequence[int]) -> str:
    """SELECT of the rows of a CSV from its lines, a relation of one column `line` in the order of the file, but for
    those that are cut out: what is left must be sound. A line break inside a field is a line feed.

    A line says where it ends, in a quoted field or not, if it begins outside one and if it begins inside. Most have no
    quote and end as they begin; others end in one way whatever came before, or in the opposite way. So the state before
    a line follows from the last line of the second kind, and from how many of the third came since. Fields are kept
    before they are used: DuckDB would else split a line again for every mention of a column, some 50 times.
    """
    split = re.escape(delimiter) if delimiter != '"' else delimiter
    space = "" if delimiter == " " else " *"
    quoted = f'{space}"(?:[^"]|"")*"{space}'
    other = f'{space}(?:[^{"" if delimiter == " " else " "}"{split}][^{split}]*)?'
    value = f"(?:{quoted}|{other})"
    opened = f'(?:{value}{split})*{space}"(?:[^"]|"")*'
    stays = f'(?:[^"]|"")*(?:"{space}{split}{opened})?'
    texts = (
        f"list_transform(regexp_extract_all({literal(delimiter)} || text, {literal(f'{split}({value})')}, 1), {_BARE})"
    )
    picked = ", ".join(f"fields[{place + 1}] as {column_at(place)}" for place in used)
    cut = f" where number not in ({', '.join(map(str, cut_rows))})" if cut_rows else ""
    return (
        "(with numbered as not materialized (select row_number() over () - 1 as number, coalesce(line, '') as line "
        f"from {lines}), "
        "ends as not materialized (select *, "
        f"contains(line, '\"') and regexp_full_match(line, {literal(opened)}) as opens, "
        f"not contains(line, '\"') or regexp_full_match(line, {literal(stays)}) as stays from numbered{cut}), "
        "turned as not materialized (select *, "
        "sum((opens and not stays)::int) over (rows unbounded preceding) as turns from ends), "
        "settled as not materialized (select *, last_value(case when opens = stays then (opens::int + turns) % 2 end "
        "ignore nulls) over (rows unbounded preceding) as settled from turned), "
        "after as not materialized (select *, (coalesce(settled, 0) + turns) % 2 = 1 as is_open from settled), "
        "states as not materialized (select *, lag(is_open, 1, false) over () as was_open from after), "
        "placed as not materialized (select *, sum((not was_open and line <> '')::int) over (rows unbounded preceding) "
        f"- 1 as {ROW} from states where was_open or line <> ''), "
        f"texts as not materialized (select {ROW}, line as text from placed where not was_open and not is_open "
        f"union all select {ROW}, string_agg(line, chr(10) order by number) from placed where was_open or is_open "
        f"group by {ROW}), "
        f"split as materialized (select {ROW}, {texts} as fields from texts) "
        f"select {picked}, {ROW}::bigint as {ROW} from split)"
    )
