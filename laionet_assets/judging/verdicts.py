"""The verdicts of judges, from the file that the sheet came with, as a spreadsheet saves it.

A line a picture. What is neither said nor empty is an error with its line: a verdict that was meant and not read would
be lost.
"""

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from laionet_assets.errors import UserError
from laionet_assets.inert import inert

COLUMNS = ("number", "recipe", "source", "sample_id", "wnid", "name", "judge", "verdict")
_WANTED = ("recipe", "source", "sample_id", "wnid", "judge", "verdict")
VERDICTS = ("yes", "no", "unsure")


class VerdictFileError(UserError):
    """The file cannot be read as verdicts. The message says the line, what was found and what was expected."""


@dataclass(frozen=True)
class Verdict:
    """What a judge says of a picture and a class: yes, no or unsure; and the line that says it."""

    recipe: str
    source: str
    sample_id: int
    wnid: str
    judge: str
    verdict: str
    line: int


def read_verdicts(path: Path, recipes: Collection[str]) -> Iterator[Verdict]:
    """The verdicts of a file, in its order; lines without one are left out. Commas or semicolons part its columns.

    Raises VerdictFileError for a line of a recipe that is none of `recipes`, without a judge, or whose number or
    verdict cannot be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise VerdictFileError(f"judgements {path}: {error.strerror or error}; expected a csv of verdicts") from None
    except UnicodeDecodeError as error:
        raise VerdictFileError(f"judgements {path}: not UTF-8 ({error.reason}); save it as UTF-8") from None
    lines = text.splitlines()
    header = lines[0] if lines else ""
    rows = csv.DictReader(lines, delimiter=";" if header.count(";") > header.count(",") else ",")
    lacking = [name for name in _WANTED if name not in (rows.fieldnames or ())]
    if lacking:
        names = ", ".join(COLUMNS)
        raise VerdictFileError(f"judgements {path}: found no column {', '.join(lacking)}; expected {names}")
    for row in rows:
        where = f"judgements {path}, line {rows.line_num}"
        found = {name: (row[name] or "").strip() for name in _WANTED}
        verdict = found["verdict"].lower()
        if not verdict:
            continue
        if verdict not in VERDICTS:
            shown = inert(found["verdict"][:40])
            raise VerdictFileError(f"{where}: found the verdict {shown!r}, expected {', '.join(VERDICTS)} or nothing")
        if found["recipe"] not in recipes:
            shown, known = inert(found["recipe"][:80]), ", ".join(sorted(recipes))
            raise VerdictFileError(f"{where}: found the recipe {shown!r}, expected one of recipes: {known}")
        if not found["judge"]:
            raise VerdictFileError(f"{where}: found a verdict without a judge; expected a name, the same on every line")
        if not found["sample_id"].isdecimal():
            shown = inert(found["sample_id"][:40])
            raise VerdictFileError(f"{where}: found the sample_id {shown!r}, expected a whole number")
        yield Verdict(
            found["recipe"],
            found["source"],
            int(found["sample_id"]),
            found["wnid"],
            found["judge"],
            verdict,
            rows.line_num,
        )
