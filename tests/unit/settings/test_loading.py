"""laionet.yaml: where it is found, what makes it unusable, and the environment."""

import re
from pathlib import Path

import pytest
import yaml

from laionet_assets.settings import SettingsError, find_config, load_settings
from tests.unit.settings.files import MINIMAL, write


def test_where_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("option", "variable", "working"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, MINIMAL)
    monkeypatch.chdir(tmp_path / "working")
    monkeypatch.delenv("LAIONET_CONFIG", raising=False)
    assert find_config() == tmp_path / "working" / "laionet.yaml"
    monkeypatch.setenv("LAIONET_CONFIG", str(tmp_path / "variable" / "laionet.yaml"))
    assert find_config() == tmp_path / "variable" / "laionet.yaml"
    assert find_config(tmp_path / "option" / "laionet.yaml") == tmp_path / "option" / "laionet.yaml"
    with pytest.raises(SettingsError, match="is not a file"):
        find_config(tmp_path / "nowhere.yaml")


def test_the_profile_of_this_repository_is_valid() -> None:
    settings = load_settings(Path(__file__).parents[3] / "laionet.yaml")
    assert str(settings.sources[0].path).startswith("sample://web")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + "taxonomy: imagenet-2k\n", "taxonomy: found 'imagenet-2k'"),
        (MINIMAL + "taxonomy: ./wnids.txt\n", "taxonomy: .*wnids.txt is not a file"),
        (
            MINIMAL.replace('L6-v2"}', 'L6-v2", weights: ./nothing}'),
            r"text_encoders\[0\]\.weights: .*nothing does not exist",
        ),
        ("- just\n- a list\n", "expected keys such as `sources:`"),
        ("sources: [\n", "not readable as YAML"),
        ("", "sources: missing"),
    ],
)
def test_unusable_files(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        load_settings(write(tmp_path, text))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("text_threshold: 0.5", "text_threshold: 0.5, text_threshold: 0.9"))
    with pytest.raises(SettingsError, match=r"'text_threshold' stands on line 4 and again on line 4"):
        load_settings(path)
    path = write(tmp_path, MINIMAL + MINIMAL)
    with pytest.raises(SettingsError, match=r"'sources' stands on line 2 and again on line 6"):
        load_settings(path)


def test_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAIONET_WAREHOUSE", "/elsewhere")
    monkeypatch.setenv("LAIONET_DUCKDB__THREADS", "3")
    settings = load_settings(write(tmp_path, MINIMAL + "duckdb: {memory_limit: 2GB}\n"))
    assert settings.warehouse_root == "/elsewhere"
    assert (settings.duckdb.threads, settings.duckdb.memory_limit) == (3, "2GB")


def test_a_variable_that_overrides_no_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, MINIMAL)
    monkeypatch.setenv("LAIONET_WAREHOSE", "/elsewhere")
    monkeypatch.setenv("LAIONET_CONFIG_PATH", "/elsewhere/laionet.yaml")
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert "LAIONET_WAREHOSE: overrides no key; did you mean LAIONET_WAREHOUSE?" in str(error.value)
    assert "LAIONET_CONFIG_PATH: overrides no key" in str(error.value)


def examples() -> dict[str, str]:
    """Every piece of a laionet.yaml that the written pages show, by where it stands."""
    root = Path(__file__).parents[3]
    found = {}
    for page in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        shown = re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        found |= {f"{page.name}-{number}": text for number, text in enumerate(shown) if "grain:" not in text}
    return found


@pytest.mark.parametrize("where", examples())
def test_examples_of_the_written_pages_load(tmp_path: Path, where: str) -> None:
    data = yaml.safe_load(MINIMAL) | yaml.safe_load(examples()[where])
    load_settings(write(tmp_path, yaml.safe_dump(data)), check_files=False)
