"""The pages of the tables: up to date, safe in Markdown, and linked to what is there."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
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
    """What a reader sees of Markdown: its text and code; anything else is there as the name of its token."""
    words: list[str] = []
    for block in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown):
        if block.type == "inline":
            pieces = {"text": None, "code_inline": None, "softbreak": " "}
            words += [
                (pieces[token.type] or token.content) if token.type in pieces else f"<{token.type}>"
                for token in block.children or []
            ]
            words.append(" ")
        elif not block.type.startswith(("paragraph", "table", "thead", "tbody", "tr", "th", "td", "heading")):
            words.append(f"<{block.type}>{block.content}")
    return " ".join("".join(words).split())


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
    said = shown(pages(project)["core.laionet.md"])
    assert " ".join(model.table.description.split()) in said
    for column in model.table.columns:
        assert f"{column.name} {column.type}" in said
    assert "no_more_than_top_k_a_class" in said
    assert "core.laionet" in pages(project)[INDEX].replace("\\", "")


@example("<b>bold</b> <script>alert(1)</script> <a@b.example>")
@example("[a](b) ![a](b) &lt; ~~gone~~ **bold** _italic_ `code` a|b \\|")
@given(texts)
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    wanted = " ".join(f"x {text}".split())
    assert shown(f"x {escaped(text)}") == wanted
    assert shown(f"| x |\n|---|\n| {escaped(text)} |") == wanted


@given(texts)
def test_code_is_shown_as_it_is(text: str) -> None:
    if wanted := " ".join(text.split()):
        (cell,) = [
            token.children
            for token in MarkdownIt("commonmark").enable("table").parse(f"| x |\n|---|\n| {code(text)} |")
            if token.type == "inline" and token.content != "x"
        ]
        assert [(token.type, token.content) for token in cell or []] == [("code_inline", wanted)]


@example("- a")
@example("+ a")
@example("12. a")
@example("12) a")
@example("## a")
@example("> a")
@example("a" * 99 + " " + "-" * 99)
@example("a" * 99 + " " + "=" * 99)
@given(texts.map(lambda text: text.replace("`", "")))
def test_a_paragraph_is_one_paragraph_of_its_text(text: str) -> None:
    assert shown(paragraph(text)) == " ".join(text.split())
    blocks = [token.type for token in MarkdownIt("commonmark").enable("table").parse(paragraph(text))]
    assert blocks == (["paragraph_open", "inline", "paragraph_close"] if text.split() else [])


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
