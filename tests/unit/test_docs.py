"""The written pages: what they link, name and print is there and works, citations name a section, lines can be read."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from laionet_assets.cli import app
from laionet_assets.settings import Settings
from tests.unit.sql.models import Database, project

ROOT = Path(__file__).parents[2]
GENERATED = ("docs/benchmarks.md", "docs/memory.md", "docs/settings.md", "docs/soak.md", "docs/tables/")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = [
    path
    for folder in ("laionet_assets", "sql", "tests", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".sql", ".yml", ".yaml", ".md") and path != Path(__file__)
]
WIDTH = 100
WRITTEN_LATER = {
    "accepted.json": "`laionet accept` writes it",
    "captions.json": "a curated set has it",
    "causes.json": "a drawn web has it",
    "docs/soak.md": "`make soak` writes it",
    "laionet_assets/a/b.py": "stands for any file",
    "tests/unit/a/test_b.py": "stands for any file",
    "truth/causes.json": "a drawn web has it",
}
"""Files that pages name and that are not in the repository, and why."""
PAST = "CHANGELOG.md"
"""Names what there was, too."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose_of(page: Path) -> Iterator[str]:
    """The lines of a page but for code, in fences or indented."""
    in_code = False
    for line in page.read_text(encoding="utf-8").splitlines():
        in_code ^= line.startswith("```")
        if not in_code and not line.startswith("    "):
            yield line


def anchors_of(page: Path) -> set[str]:
    """GitHub's anchors of the headings of a page."""
    headings = [line.lstrip("#").strip() for line in prose_of(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def files() -> list[str]:
    """Paths of files and folders that pages may name, with a slash before them."""
    found = [path for folder in ("laionet_assets", "sql", "tests", "docs") for path in (ROOT / folder).rglob("*")]
    return [f"/{path.relative_to(ROOT).as_posix()}" for path in (*found, *ROOT.iterdir())]


@cache
def definitions() -> set[str]:
    """Functions and classes of the tests."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    return set(re.findall(r"^ *(?:def|class) (\w+)", text, re.MULTILINE))


def is_a_key(path: str) -> bool:
    """Whether a dotted path is that of a key of the settings."""
    model: type[BaseModel] = Settings
    for step in path.split("."):
        if step not in getattr(model, "model_fields", {}):
            return False
        annotation = model.model_fields[step].annotation
        inner = [each for each in getattr(annotation, "__args__", ()) if isinstance(each, type)]
        model = next((each for each in inner if issubclass(each, BaseModel)), annotation)
    return True


def is_there(name: str) -> bool:
    """Whether what a page names in backquotes is there; so is what cannot be a name of ours."""
    if re.fullmatch(r"[\w./-]+\.(py|sql|yml|yaml|md|json|toml)|[\w./-]+/", name):
        return name in WRITTEN_LATER or any(path.endswith("/" + name.strip("/")) for path in files())
    if re.fullmatch(r"(raw|staging|core|marts)\.[a-z_]+", name):
        return name in project().models
    if re.fullmatch(r"test_\w+", name):
        return name in definitions()
    if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name) and name.split(".")[0] in Settings.model_fields:
        return is_a_key(name)
    return True


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != PAST], ids=name_of)
def test_what_is_named_is_there(page: Path) -> None:
    named = re.findall(r"`([^`\n]+)`", "\n".join(prose_of(page)))
    assert [name for name in named if not is_there(name)] == []


def test_a_name_of_nothing_is_found() -> None:
    strangers = ("assets/nothing.py", "core.nothing", "test_nothing", "images.fetch.nothing", "laionet_assets/nothing/")
    assert not any(map(is_there, strangers))
    assert all(
        map(is_there, ("assets/steps.py", "core.images", "images.fetch.enabled", "sql/macros/", "torch.compile"))
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_ends_where_it_should(page: Path) -> None:
    """An open fence makes code of the rest of the page, and hides it from these tests."""
    fences = [line for line in page.read_text(encoding="utf-8").splitlines() if "```" in line]
    assert len(fences) % 2 == 0 and all(line.lstrip().startswith("```") for line in fences), fences


def test_printed_commands_are_those_that_there_are() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != PAST)
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"(?<=[`/])laionet ([a-z]+)", text)) <= commands
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = set(re.findall(r"`make ([a-z0-9-]+)|^make ([a-z0-9-]+)(?= *$| +#| +[A-Z]+=)", text, re.MULTILINE))
    assert {"demo", "test", "ui"} <= {inline or alone for inline, alone in made} <= targets


def test_printed_sql_can_be_asked() -> None:
    texts = [page.read_text(encoding="utf-8") for page in (*PAGES, ROOT / "Makefile")]
    asked = [sql for text in texts for sql in re.findall(r'laionet sql \\?"((?:from|select) [^"\\]+)', text)]
    assert len(asked) >= 6
    database = Database()
    for sql in asked:
        database.rows(sql)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_what_is_in_the_repository(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose_of(page))):
        if not target.startswith(("https://", "http://")):
            path, _, anchor = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            assert found.exists() and found.is_relative_to(ROOT), f"{target} is not in the repository"
            assert not anchor or anchor in anchors_of(found), f"{target}: no such heading"


def test_citations_of_the_method_name_a_section_or_a_defect() -> None:
    method = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^## (\d+)\.", method, re.MULTILINE)) | set(
        re.findall(r"^\| (D\d+) ", method, re.MULTILINE)
    )
    cited = 0
    for path in SOURCES:
        text = re.sub(r"\s*\n\s*(?:#|--)?\s*", " ", path.read_text(encoding="utf-8"))
        citations = re.findall(r"docs/method\.md, ((?:D?\d+(?:, | and | to )?)+)", text)
        assert path.suffix == ".md" or text.count("method.md") == len(citations), f"{name_of(path)}: which section?"
        strangers = {section for each in citations for section in re.findall(r"D?\d+", each)} - known
        assert not strangers, f"{name_of(path)}: no section {strangers} in docs/method.md"
        cited += len(citations)
    assert cited > 5


def test_nothing_leans_on_files_beside_the_repository() -> None:
    leaning = re.compile(r"\.\./shared|/shared/(design|data)|\bprototypes/")
    assert [name_of(path) for path in SOURCES if leaning.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=name_of)
def test_lines_of_prose_are_of_a_readable_width(page: Path) -> None:
    if not name_of(page).startswith(GENERATED):
        long = [line for line in prose_of(page) if len(line) > WIDTH and not line.startswith("|")]
        assert not long, f"longer than {WIDTH} characters: {long}"
