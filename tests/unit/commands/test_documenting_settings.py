"""The page of all keys of laionet.yaml: up to date, whole, and its examples load."""

import re
from pathlib import Path

import pytest
import yaml

from laionet_assets.commands.documenting_settings import EXAMPLES, MINIMAL, main, settings_page
from laionet_assets.settings import Settings, load_settings
from laionet_assets.settings.words import keys_of, sections_of

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_in_the_repository_is_that_of_the_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), "docs/settings.md is out of date: run `make docs`"


def test_every_key_has_a_row_with_type_default_and_description() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` (\|.*\|)$", settings_page(), re.MULTILINE))
    fields = {
        f"{path}.{name}".lstrip("."): field
        for path, section in sections_of(Settings)
        for name, field in keys_of(section).items()
    }
    assert rows.keys() == fields.keys() and len(fields) > 80
    for key, row in rows.items():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        assert len(cells) == 3 and all(cells), key
        assert (cells[1] == "required") == fields[key].is_required(), key


def test_sections_stand_in_the_order_of_the_file() -> None:
    headings = re.findall(r"^## `([^`]+)`$", settings_page(), re.MULTILINE)
    assert headings == [path for path, _ in sections_of(Settings) if path] + ["checks"]


@pytest.mark.parametrize("text", [MINIMAL, *(MINIMAL + text for text in EXAMPLES.values())])
def test_examples_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "removals.csv").write_text("kind,value,reason\n")
    parts = [yaml.safe_load(piece) for piece in (MINIMAL, text.removeprefix(MINIMAL) or "{}")]
    (tmp_path / "laionet.yaml").write_text(yaml.safe_dump(parts[0] | parts[1]))
    assert load_settings(tmp_path / "laionet.yaml").sources


def test_the_variables_that_the_head_names_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = re.findall(r"`(LAIONET_[A-Z_]+)=([^`]+)`", settings_page())
    assert len(said) == 3
    for variable, value in said:
        monkeypatch.setenv(variable, value.strip("'"))
    (tmp_path / "laionet.yaml").write_text(MINIMAL)
    settings = load_settings(tmp_path / "laionet.yaml")
    assert (settings.warehouse, settings.duckdb.threads) == ("/data/lake", 8)
    assert settings.images.fetch.allowed_private == ("127.0.0.1/32",)


def test_the_page_is_written_where_it_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "settings.md"
    assert main([str(page)]) == 0 and main([str(page)]) == 0
    assert capsys.readouterr().out == f"{page}: written\n{page}: up to date\n"
    assert page.read_text(encoding="utf-8") == settings_page()
