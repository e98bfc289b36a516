"""The sheet for judges: a page with pictures, and a file to write verdicts into.

    FOLDER/sheet.html      numbered pictures, each with the name and the definition of its class; one file
    FOLDER/verdicts.csv    a line a picture: verdict (yes, no, unsure) is empty

Captions are not shown: a judge looks at the picture and at what its class is said to be. The page obeys nothing that it
shows: pictures are decoded here and encoded anew, text is escaped, and a policy in the page allows neither scripts nor
addresses.
"""

import base64
import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from laionet_assets.errors import UserError
from laionet_assets.inert import inert
from laionet_assets.judging.verdicts import COLUMNS

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE, VERDICTS = "sheet.html", "verdicts.csv"
_LONGEST = 320
"""Pixels of a picture on the page."""
_STYLE = """
:root { color-scheme: light dark; }
body { font-family: sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; }
figure { display: inline-block; vertical-align: top; width: 330px; margin: 0 1.5em 2em 0; }
figcaption { margin-top: .4em; }
""".strip()
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Question:
    """Does this picture show this class? `image` is RGB."""

    recipe: str
    source: str
    sample_id: int
    wnid: str
    name: str
    definition: str
    image: "Image"


def write_sheet(folder: Path, questions: Sequence[Question], *, judge: str) -> None:
    """Write page and file, numbered alike, in the order given. `judge` stands on every line of the file.

    Raises UserError if the folder has verdicts already: they may be somebody's work.
    """
    file = folder / VERDICTS
    if file.exists():
        raise UserError(f"{file} is there already and may hold verdicts; name another folder, or move it away")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(_page(questions), encoding="utf-8")
    with file.open("x", encoding="utf-8", newline="") as out:
        lines = csv.writer(out)
        lines.writerow(COLUMNS)
        for number, each in enumerate(questions, 1):
            lines.writerow([number, each.recipe, each.source, each.sample_id, each.wnid, each.name, judge, ""])


def _page(questions: Sequence[Question]) -> str:
    figures = "\n".join(_figure(number, each) for number, each in enumerate(questions, 1))
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>Does the picture show it?</title>
<style>{_STYLE}</style>
<h1>Does the picture show it?</h1>
<p>{len(questions)} pictures. For each, write yes, no or unsure into the column verdict of {VERDICTS}, on the line of
its number. Yes: the thing that the definition says is in the picture, whatever else is; a drawing of it counts. What
you leave empty is not judged.</p>
{figures}
</html>
"""


def _figure(number: int, question: Question) -> str:
    name, definition = (html.escape(inert(text)) for text in (question.name, question.definition))
    return (
        f'<figure><img alt="" src="data:image/jpeg;base64,{_encoded(question.image)}">'
        f"<figcaption><b>{number}. {name}</b><br>{definition}</figcaption></figure>"
    )


def _encoded(image: "Image") -> str:
    smaller = image.copy()
    smaller.thumbnail((_LONGEST, _LONGEST))
    data = io.BytesIO()
    smaller.save(data, "JPEG", quality=85)
    return base64.b64encode(data.getvalue()).decode("ascii")
