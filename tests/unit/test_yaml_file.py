"""YAML that a person wrote: what stands twice, or cannot be read, is told with its line."""

from pathlib import Path

import pytest

from laionet_assets.yaml_file import YamlFileError, read_yaml


def read(tmp_path: Path, content: str | bytes) -> object:
    path = tmp_path / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_yaml(path)


def test_values_are_those_of_yaml(tmp_path: Path) -> None:
    assert read(tmp_path, "a: [1, {b: 0.5}]\nc: &x {d: null}\ne: {<<: *x, f: yes}\n") == {
        "a": [1, {"b": 0.5}], "c": {"d": None}, "e": {"d": None, "f": True},
    }  # fmt: skip
    assert read(tmp_path, "") is None
    assert read(tmp_path, "\ufeffa: 1") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", (1, 3)),
        ("r:\n  - {x: 1, x: 2}\n", (2, 2)),
        ("r:\n  deep:\n    - one: 1\n      two: 2\n      one: 3\n", (3, 5)),
        ("a: {b: 1}\n'a': {b: 1}\n", (1, 2)),
    ],
)
def test_a_key_that_stands_twice_is_an_error_with_both_lines(tmp_path: Path, text: str, lines: tuple[int, int]) -> None:
    with pytest.raises(YamlFileError, match=f"on line {lines[0]} and again on line {lines[1]}"):
        read(tmp_path, text)


@pytest.mark.parametrize("content", [b"a: \xff\n", b"a: [1\n", b"a: !!python/object:os.system x\n", b"? [1, 2]\n: 3\n"])
def test_what_cannot_be_read_is_one_message(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(YamlFileError):
        read(tmp_path, content)
