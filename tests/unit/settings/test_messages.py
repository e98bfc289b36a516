"""One clear message for every wrong key."""

from pathlib import Path

import pytest

from laionet_assets.settings import SettingsError, load_settings
from tests.unit.settings.files import MINIMAL, write


def test_every_problem_is_named_by_its_path(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
warehous: x
sources: [{name: "a b", path: x}]
text_encoders: [{name: e, modell: x}]
recipes: [{name: r, encoder: e, text_threshold: 3, nsfw: [SAFE]}]
""",
    )
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    message = str(error.value)
    assert "6 problems" in message
    for part in (
        "warehous: unknown key; did you mean warehouse?",
        "sources[0].name: expected letters, digits",
        "text_encoders[0].model: missing",
        "text_encoders[0].modell: unknown key; did you mean model?",
        "recipes[0].text_threshold:",
        "recipes[0].nsfw[0]:",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("duckdb.memory_limit", "duckdb: {memory_limit: lots}"),
        ("duckdb.memory_limit", "duckdb: {memory_limit: -1GB}"),
        ("duckdb.threads", "duckdb: {threads: 100000}"),
        ("recipes[0].top_k", MINIMAL.replace("0.5}", "0.5, top_k: 10000000000000000000000}")),
        ("recipes[0].text_threshold", MINIMAL.replace("0.5}", ".nan}")),
        ("images.fetch.total_timeout", "images: {fetch: {total_timeout: .inf}}"),
        ("images.fetch.min_interval", "images: {fetch: {min_interval: .nan}}"),
        ("images.fetch.concurrency", "images: {fetch: {concurrency: 99999999999999999999}}"),
        ("refresh.interval_seconds", "refresh: {interval_seconds: 1e30}"),
    ],
)
def test_numbers_out_of_any_range_are_named_by_their_key(tmp_path: Path, key: str, text: str) -> None:
    path = write(tmp_path, text if "recipes" in text else f"{text}\n{MINIMAL}")
    with pytest.raises(SettingsError) as error:
        load_settings(path)
    assert f"  {key}: " in str(error.value), str(error.value)


def test_a_path_that_no_file_can_have_is_named_by_its_key(tmp_path: Path) -> None:
    recipe = "recipes: [{name: r, encoder: e, text_threshold: 0.5}]"
    for name in ("a" * 300, "a\\0b"):
        path = write(
            tmp_path,
            f"""
sources: [{{name: web, path: ./web}}]
taxonomy: "./{name}"
text_encoders: [{{name: e, model: x, weights: "{name}"}}]
image_sets: [{{name: val, layout: imagefolder, path: "{name}"}}]
images: {{removals: "{name}"}}
{recipe}
""",
        )
        with pytest.raises(SettingsError) as error:
            load_settings(path)
        for key in ("taxonomy", "text_encoders[0].weights", "image_sets[0].path", "images.removals"):
            assert f"  {key}: " in str(error.value) and "is the name of no file" in str(error.value)
