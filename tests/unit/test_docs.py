"""The written pages: links lead somewhere inside the repository, citations name a section, lines can be read."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = ("docs/benchmarks.md", "docs/soak.md", "docs/tables/")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = [
    path
    for folder in ("laionet_assets", "sql", "tests", "docs")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".sql", ".yml", ".yaml", ".md") and path != Path(__file__)
]
WIDTH = 100


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
