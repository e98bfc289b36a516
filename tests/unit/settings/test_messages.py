"""One clear message for every wrong key."""

import copy
import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from laionet_assets.settings import Settings, SettingsError, load_settings
from laionet_assets.settings.messages import problems_of
from laionet_assets.settings.words import Kind, keys_of, sections_of
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
        "sources[0].name: found 'a b', expected a name (letters, digits",
        "text_encoders[0].model: missing",
        "text_encoders[0].modell: unknown key; did you mean model?",
        "recipes[0].text_threshold: found 3, expected a number from -1 to 1",
        "recipes[0].nsfw[0]: found 'SAFE', expected one of: UNLIKELY, UNSURE, NSFW, UNKNOWN",
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


BY_KIND = {
    "bool_parsing": ("refresh: {enabled: maybe}", "refresh.enabled: found 'maybe', expected true or false"),
    "bool_type": ("refresh: {enabled: [yes]}", "refresh.enabled: found [true], expected true or false"),
    "byte_size": (
        "images: {quota: lots}",
        "images.quota: found 'lots', expected a size above 0, such as 512MiB or 50GB, or null",
    ),
    "byte_size_unit": (
        "images: {quota: 5 apples}",
        "images.quota: found '5 apples', expected a size above 0, such as 512MiB or 50GB, or null",
    ),
    "dict_type": (
        "images: {fetch: {allow_hosts: [a]}}",
        "images.fetch.allow_hosts: found [a], expected a mapping of text to text",
    ),
    "extra_forbidden": ("duckdb: {thread: 2}", "duckdb.thread: unknown key; did you mean threads? known keys here: "),
    "finite_number": (
        "images: {fetch: {min_interval: .nan}}",
        "images.fetch.min_interval: found .nan, expected a number from 0 to 86400",
    ),
    "float_parsing": (
        "images: {fetch: {total_timeout: 30s}}",
        "images.fetch.total_timeout: found '30s', expected a number above 0 and up to 86400",
    ),
    "float_type": (
        "refresh: {keep_runs_days: [1]}",
        "refresh.keep_runs_days: found [1], expected a number from 1 to 36500",
    ),
    "greater_than": (
        "images: {fetch: {total_timeout: 0}}",
        "images.fetch.total_timeout: found 0, expected a number above 0 and up to 86400",
    ),
    "greater_than_equal": (
        "refresh: {interval_seconds: 1}",
        "refresh.interval_seconds: found 1, expected a whole number from 5 to 86400",
    ),
    "int_from_float": ("duckdb: {threads: 1.5}", "duckdb.threads: found 1.5, expected a whole number from 1 to 1024"),
    "int_parsing": ("duckdb: {threads: all}", "duckdb.threads: found 'all', expected a whole number from 1 to 1024"),
    "int_type": (
        "images: {fetch: {retries: null}}",
        "images.fetch.retries: found null, expected a whole number from 0 to 100; leave the key out ",
    ),
    "invalid_key": ("duckdb: {8: 2}", "duckdb.8: unknown key; known keys here: threads, memory_limit"),
    "less_than_equal": (
        "duckdb: {threads: 9999}",
        "duckdb.threads: found 9999, expected a whole number from 1 to 1024",
    ),
    "literal_error": (
        "neighbours: {nsfw: [unlikely]}",
        "neighbours.nsfw[0]: found 'unlikely', expected one of: UNLIKELY, UNSURE, NSFW, UNKNOWN; did you mean "
        "UNLIKELY?",
    ),
    "missing": (
        "image_sets: [{name: i, path: x}]",
        "image_sets[0].layout: missing, and it has no default; expected one of: imagefolder, ilsvrc2012-val, ",
    ),
    "model_type": ("ocr: rapidocr:fast", "ocr: found 'rapidocr:fast', expected a mapping or null; its keys: model, "),
    "path_type": ("images: {removals: 7}", "images.removals: found 7, expected a path or null; write it in quotes"),
    "string_pattern_mismatch": (
        "duckdb: {memory_limit: lots}",
        "duckdb.memory_limit: found 'lots', expected a number and a unit, such as 8GB or 512MiB, or null",
    ),
    "string_type": ("warehouse: 2026", "warehouse: found 2026, expected a path or URL; write it in quotes"),
    "too_short": (
        "images: {fetch: {allowed_ports: []}}",
        "images.fetch.allowed_ports: found [], expected a list of one or more whole numbers from 1 to 65535",
    ),
    "tuple_type": (
        "images: {fetch: {allowed_private: 127.0.0.1}}",
        "images.fetch.allowed_private: found '127.0.0.1', expected a list of networks such as 10.0.0.0/8 or "
        "127.0.0.1/32; write [127.0.0.1]",
    ),
    "value_error": (
        "images: {fetch: {enabled: true}}",
        "images.fetch: enabled: true needs `contact`, an e-mail address or URL where hosts can reach you",
    ),
}
"""Every type of error of pydantic that a settings file can cause: what causes it, and how the message begins."""


@pytest.mark.parametrize("kind", BY_KIND)
def test_each_kind_of_error_is_said_in_words_of_yaml(tmp_path: Path, kind: str) -> None:
    text, expected = BY_KIND[kind]
    data = yaml.safe_load(MINIMAL) | yaml.safe_load(text)
    assert kind in [item["type"] for item in errors_of(data).errors()]
    with pytest.raises(SettingsError) as error:
        load_settings(write(tmp_path, yaml.safe_dump(data)))
    assert f": 1 problem\n  {expected}" in str(error.value), str(error.value)


VALUES = (
    *(None, True, 0, -1, 1.5, 10**30, float("nan"), float("inf"), "", "x", "a b", "1x", "://me:secret@host/x"),
    *([], ["x"], [1], [None], [{}], {}, {"a": "b"}, {1: 2}, {"a": 1}, {"a": {"b": 1}}, {"a": {1: "c"}}),
    datetime.date(2026, 1, 1),
)
PYTHON = re.compile(
    r"Input|\b(tuple|dict|dictionary|instance|NoneType|None|True|False|pydantic|boolean|Settings|datetime|string)\b"
    r"|function-|secret@"
)
SENTENCE = re.compile(
    r"[\w.\[\]]+: (found .+[,;] expected .+|unknown key; .*known keys here: .+|missing, .+; expected .+"
    r"|enabled: true needs `contact`, .+|fetch_above: .+|a: .+|the name .+|needs .+|prototype needs .+)"
)


def places() -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every key: the path to its value in a file that has one of everything, and its name."""
    for path, section in sections_of(Settings):
        steps: list[str | int] = []
        for step in filter(None, path.split(".")):
            steps += [step.removesuffix("[]"), 0] if step.endswith("[]") else [step]
        for name in keys_of(section):
            yield tuple(steps), name


def errors_of(data: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        Settings(**data, config_path=Path("laionet.yaml"))
    return error.value


def test_every_wrong_value_of_every_key_is_said_in_words_of_yaml() -> None:
    whole = yaml.safe_load(MINIMAL) | {
        "image_encoders": [{"name": "e", "model": "x"}],
        "predictors": [{"name": "e", "model": "x"}],
        "image_sets": [{"name": "i", "layout": "imagefolder", "path": "x"}],
        "published_results": [{"name": "p", "path": "x"}],
    }
    kinds, said = set(), set()
    for steps, name in places():
        for value in VALUES:
            data = copy.deepcopy(whole)
            at: Any = data
            for step in steps:
                at = at[step] if isinstance(step, int) else at.setdefault(step, {})
            at[name] = value
            try:
                Settings(**data, config_path=Path("laionet.yaml"))
            except ValidationError as error:
                kinds |= {item["type"] for item in error.errors()}
                said |= set(problems_of(error))
    assert kinds == BY_KIND.keys()
    assert len(said) > 1000
    assert sorted(line for line in said if PYTHON.search(line) or not SENTENCE.fullmatch(line))[:20] == []


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    for text in (
        "storage_options: my-secret",
        "storage_options: [my-secret]",
        "images: {storage_options: {secret: my-secret}}",
        "images: {location: 's3://me:my-secret@host/x'}",
        "images: {downloaded: 's3://me:my-secret@host/x'}",
    ):
        with pytest.raises(SettingsError) as error:
            load_settings(write(tmp_path, f"{text}\n{MINIMAL}"))
        assert "my-secret" not in str(error.value) and "expected" in str(error.value)


def test_what_is_wrong_in_a_list_is_said_once() -> None:
    data = yaml.safe_load(MINIMAL)
    data["sources"][0]["path"] = ["a", 1]
    assert problems_of(errors_of(data)) == ["sources[0].path[1]: found 1, expected a path or URL; write it in quotes"]
    data["sources"][0]["path"] = 1
    assert problems_of(errors_of(data)) == [
        "sources[0].path: found 1, expected a path or URL, or a list of them; write it in quotes"
    ]


def test_every_kind_of_key_has_words() -> None:
    for path, section in sections_of(Settings):
        for name, field in keys_of(section).items():
            assert Kind.of(field).words() and Kind.of(field).words(article=True), f"{path}.{name}"
