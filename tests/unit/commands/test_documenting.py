"""The pages of the tables: up to date, safe in Markdown, and linked to what is there."""

import html
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from laionet_assets.commands.documenting import INDEX, code, escaped, main, pages, paragraph, prose, write_pages
from laionet_assets.sqlmodels.loader import Project, load_project

FOLDER = Path(__file__).parents[3] / "docs" / "tables"

texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn")), max_size=300) | st.text(
    "ab1 `*_[]()<>|~&$#+-=.:!\\'\"", max_size=300
)


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project()


def shown(markdown: str) -> str:
    """What a reader sees of rendered Markdown; anything but paragraphs, tables and code keeps its tag."""
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    return html.unescape(re.sub(r"</?(p|table|thead|tbody|tr|th|td|code)>", "", rendered))


def test_the_pages_in_the_repository_are_those_of_the_project(project: Project) -> None:
    wanted = pages(project)
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    assert not stale, f"docs/tables is out of date ({', '.join(stale)}): run `make docs`"


def test_pages_link_to_what_is_there(project: Project) -> None:
    assert len(pages(project)) == len(project.models) + 1
    for name, text in pages(project).items():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            assert (FOLDER / target).exists() or target in pages(project), f"{name}: {target}"


def test_a_page_says_what_its_yml_says(project: Project) -> None:
    model = project.models["core.laionet"]
    said = " ".join(shown(pages(project)["core.laionet.md"]).split())
    assert " ".join(model.table.description.split()) in said
    for column in model.table.columns:
        assert f"{column.name} {column.type}" in said
    assert "no_more_than_top_k_a_class" in said
    assert "core.laionet" in pages(project)[INDEX].replace("\\", "")


@given(texts)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    wanted = " ".join(text.split())
    assert " ".join(shown(f"x {escaped(text)}").split()) == f"x {wanted}".strip()
    assert " ".join(shown(f"| x |\n|---|\n| {escaped(text)} |").split()) == f"x {wanted}".strip()


@given(texts)
def test_code_is_shown_as_it_is(text: str) -> None:
    if wanted := " ".join(text.split()):
        rendered = MarkdownIt("commonmark").enable("table").render(f"| x |\n|---|\n| {code(text)} |")
        assert f"<td><code>{html.escape(wanted)}</code></td>" in rendered.replace("&#x27;", "'").replace("'", "&#x27;")


@given(texts)
def test_a_paragraph_is_one_paragraph_of_its_text(text: str) -> None:
    said = " ".join(shown(paragraph(text)).split())
    assert said.replace("`", "") == " ".join(text.replace("`", "").split()) or "`" in text
    rendered = MarkdownIt("commonmark").enable("table").render(paragraph(text))
    assert set(re.findall(r"<(\w+)", rendered)) <= {"p", "code"}
    assert rendered.count("<p>") == bool(text.split())


def test_backticks_of_a_description_are_code() -> None:
    assert prose("`a_b` of c_d <e>, `") == "`a_b` of c\\_d \\<e\\>, \\`"


def test_pages_of_tables_that_are_gone_go(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "core.gone.md").write_text("old")
    changed = write_pages(project, tmp_path)
    assert "core.gone.md" in changed and not (tmp_path / "core.gone.md").exists()
    assert write_pages(project, tmp_path) == []
    (tmp_path / "core.laionet.md").write_text("edited")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: core.laionet.md\n"
