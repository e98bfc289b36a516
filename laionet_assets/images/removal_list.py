"""The list of removals that a user keeps: a CSV file with the columns kind, value, reason.

Belongs here: reading it, naming every wrong line, and which lines name nothing. Does not belong here: what a removal
does (`removals`).

    kind      value
    url       an address: it is hashed here and goes no further
    url_hash  sha256 of the address as published (UTF-8), in hexadecimal: what `sha256(url)` is in DuckDB; or as asked
    sha256    sha256 of the bytes, in hexadecimal
    sample    <source>/<sample_id>
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from laionet_assets.errors import UserError
from laionet_assets.images.tombstones import Kind, sample_key, url_hash, url_hashes

_HASH = re.compile(r"[0-9a-f]{64}")
_SAMPLE = re.compile(r"[^/]+/\d+")


class RemovalsError(UserError):
    """The list of removals cannot be used. The message names every wrong line."""


@dataclass(frozen=True, order=True)
class Removal:
    """A line of the user's list, with its address hashed, or what it led to.

    `asked_as` stands for the address as it is asked (quoted), where that is another one. `line` is the line's number in
    the list.
    """

    kind: Kind
    value: str
    reason: str
    asked_as: str | None = field(default=None, compare=False, repr=False)
    line: int | None = field(default=None, compare=False, repr=False)

    @property
    def forms(self) -> "list[Removal]":
        """It, and the same for the address as it is asked."""
        return [self] if self.asked_as is None else [self, Removal("url_hash", self.asked_as, self.reason)]


def read_removals(path: Path) -> list[Removal]:
    """The removals of the list, sorted, each once.

    Raises RemovalsError listing all wrong lines, those of too many or too few fields among them; no message shows an
    address.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RemovalsError(f"removals {path}: {error}; expected a CSV file with columns kind, value, reason") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    removals, problems = dict[Removal, None](), []
    try:
        names = next(reader, [])
        if not {"kind", "value", "reason"} <= set(names):
            raise RemovalsError(
                f"removals {path}: found columns {', '.join(names) or '(none)'}; expected kind, value, reason"
            )
        for values in filter(None, reader):
            try:
                removals.setdefault(_removal(names, values, reader.line_num))
            except ValueError as error:
                problems.append(f"  line {reader.line_num}: {error}")
    except csv.Error as error:
        problems.append(f"  line {reader.line_num}: {error}; expected quotes around a whole field, doubled within it")
    if problems:
        raise RemovalsError(f"removals {path}: {len(problems)} wrong\n" + "\n".join(problems))
    return sorted(removals)


def unmatched(listed: Iterable[Removal], reached: Iterable[tuple[str, int, str | None]]) -> list[Removal]:
    """Lines that name no sample of (source, sample_id, url) in `reached`: all that removals reach by key or address.

    Contents are left out: a picture with these bytes may come at any time.
    """
    met: set[tuple[str, str]] = set()
    for source, sample_id, url in reached:
        met.add(("sample", sample_key(source, sample_id)))
        met |= {("url_hash", value) for value in (url_hashes(url) if url is not None else ())}
    return [
        line
        for line in listed
        if line.kind != "sha256" and not any((form.kind, form.value) in met for form in line.forms)
    ]


def _removal(names: Sequence[str], values: Sequence[str], line: int) -> Removal:
    """The removal of a line. Raises ValueError, which does not show an address."""
    if len(values) != len(names):
        raise ValueError(
            f"found {len(values)} fields, expected {len(names)} ({', '.join(names)}); "
            "put quotes around a field that has a comma in it"
        )
    if any("\n" in value or "\r" in value for value in values):
        raise ValueError("found a field that goes over several lines; a quote is opened and not closed where it should")
    row = dict(zip(names, values, strict=True))
    kind, value, reason = (row[name].strip() for name in ("kind", "value", "reason"))
    if not reason:
        raise ValueError("found no reason; expected a few words, such as: request of the person shown")
    if kind == "url":
        if not value:
            raise ValueError("found no address")
        asked_as = url_hashes(value) - {url_hash(value)}
        return Removal("url_hash", url_hash(value), reason, next(iter(asked_as), None), line)
    if kind in ("url_hash", "sha256"):
        if not _HASH.fullmatch(value.lower()):
            raise ValueError(f"kind {kind} has no sha256 as its value; expected 64 hexadecimal digits")
        return Removal(kind, value.lower(), reason, line=line)  # type: ignore[arg-type]  # one of the two
    if kind == "sample":
        if not _SAMPLE.fullmatch(value):
            raise ValueError("kind sample has no sample as its value; expected <source>/<sample_id>")
        return Removal("sample", _canonical(value), reason, line=line)
    raise ValueError(f"found kind {kind!r}; expected url, url_hash, sha256 or sample")


def _canonical(sample: str) -> str:
    """A sample's key without leading zeros in its number."""
    source, _, number = sample.partition("/")
    return sample_key(source, int(number))
