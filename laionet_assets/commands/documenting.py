"""`make docs`: a page of Markdown for each table, made from the project.

Belongs here: what a page says and how text is made safe in Markdown. Does not belong here: what is true of a table (its
yml says it).
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from laionet_assets.quality.expectations import UNEXPECTED_ROWS, Expectation
from laionet_assets.sqlmodels.loader import Model, Project, load_project

INDEX = "README.md"
SQL = "../../sql"
"""The folder of the models, as a page sees it."""

_WIDTH = 100
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~&$]")
_LINE_START = re.compile(r"^\d*(?=[-+=#.):])")
_CODE_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_NOTE = "<!-- Written by `make docs` from sql/**: do not edit. -->"


def pages(project: Project) -> dict[str, str]:
    """Every page by its file name: one a table, and the index."""
    readers: dict[str, list[str]] = {name: [] for name in project.models}
    for model in project.models.values():
        for name in model.dependencies:
            readers[name].append(model.name)
    found = {f"{model.name}.md": _page(model, readers[model.name]) for model in project.models.values()}
    return {INDEX: _index(project), **found}


def write_pages(project: Project, folder: Path) -> list[str]:
    """Write the pages that changed into `folder` and remove those of tables that are gone. Returns their names."""
    wanted = pages(project)
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    for name in there.keys() - wanted.keys():
        (folder / name).unlink()
    for name, text in wanted.items():
        if there.get(name) != text:
            (folder / name).write_text(text, encoding="utf-8")
    return sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))


def escaped(text: str) -> str:
    """`text` on one line, so that Markdown (GitHub's, in tables too) shows it as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def prose(text: str) -> str:
    """A description on one line: what stands between backticks is code, the rest is escaped."""
    pieces = _CODE_SPAN.split(" ".join(text.split()))
    return "".join(code(piece) if i % 2 else _SPECIAL.sub(r"\\\g<0>", piece) for i, piece in enumerate(pieces))


def paragraph(text: str) -> str:
    """A description as a paragraph, none of whose lines begins a list, a heading or a quote."""
    lines = textwrap.wrap(prose(text), _WIDTH - 1, break_long_words=False, break_on_hyphens=False)
    return "\n".join(_LINE_START.sub(lambda found: found[0] + "\\", line) for line in lines)


def code(text: str) -> str:
    """`text` as inline code, in a table too: more backticks around it than in a row within."""
    line = " ".join(text.split()).replace("|", "\\|")
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    space = " " if "`" in line else ""
    return f"{ticks}{space}{line}{space}{ticks}"


def _page(model: Model, readers: Sequence[str]) -> str:
    table = model.table
    made = f"SQL, [{model.documentation.removesuffix('.yml')}.sql]({SQL}/{_file(model, 'sql')})"
    facts = {
        "grain": ", ".join(code(name) for name in table.grain),
        "made by": made if model.select is not None else "a view over the sources" if table.is_view else "Python",
        "files": "one for each part of a source" if table.is_partitioned else "one",
        "stage": escaped(model.group),
        "in snapshots": "yes" if table.is_in_snapshot and not table.is_view else "no",
        "reads": _links(model.dependencies),
        "read by": _links(readers),
        "documented in": f"[{model.documentation}]({SQL}/{_file(model, 'yml')})",
    }
    columns = [(code(column.name), code(column.type), prose(column.description)) for column in table.columns]
    checks = [(code(each.name), each.severity, _rule(each)) for each in model.expectations]
    parts = [
        _NOTE,
        f"# {escaped(model.name)}",
        paragraph(table.description),
        markdown_table(("", ""), facts.items()),
        "## Columns",
        markdown_table(("column", "type", "description"), columns),
        "## Checks",
        markdown_table(("check", "severity", "rule"), checks) if checks else "None.",
    ]
    return "\n\n".join(parts) + "\n"


def _index(project: Project) -> str:
    schemas: dict[str, list[Model]] = {}
    for model in project.models.values():
        schemas.setdefault(model.table.schema, []).append(model)
    parts = [
        _NOTE,
        "# Tables",
        paragraph(
            f"{len(project.models)} tables, from the sources to the results. A page says what a row is, what its "
            "columns mean, what is checked before it is published, what it reads and who reads it."
        ),
    ]
    for schema in sorted(schemas, key=_schema_order):
        rows = [
            (f"[{escaped(model.name)}]({model.name}.md)", prose(_first_sentence(model.table.description)))
            for model in sorted(schemas[schema], key=lambda model: model.name)
        ]
        parts += [f"## {escaped(schema)}", markdown_table(("table", "what"), rows)]
    return "\n\n".join(parts) + "\n"


def _schema_order(schema: str) -> tuple[int, str]:
    known = ("raw", "staging", "core", "marts")
    return (known.index(schema) if schema in known else len(known), schema)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s(?=[A-Z`])|:\s", " ".join(text.split()), maxsplit=1)[0].rstrip(".:")


def _rule(expectation: Expectation) -> str:
    if expectation.description:
        return prose(expectation.description)
    return code(expectation.rule()) if expectation.type != UNEXPECTED_ROWS else "a query; see the yml"


def _links(names: Iterable[str]) -> str:
    return ", ".join(f"[{escaped(name)}]({name}.md)" for name in sorted(names)) or "nothing"


def _file(model: Model, ending: str) -> str:
    return f"{model.table.schema}/{model.path.stem}.{ending}"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown, of cells that are Markdown already."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages and say what changed."""
    parser = argparse.ArgumentParser(description="Write a page of Markdown for each table.")
    parser.add_argument("folder", type=Path, help="Where the pages go, such as docs/tables.")
    folder = parser.parse_args(arguments).folder
    changed = write_pages(load_project(), folder)
    print(f"{folder}: {', '.join(changed) or 'every page is up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
