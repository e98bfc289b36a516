"""Secrets are named, never written: what is written out is refused without its value, what is named is read at use."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.definitions import build_defs
from laionet_assets.errors import UserError
from laionet_assets.references import resolved
from laionet_assets.settings import SettingsError
from tests.unit.settings.files import settings_with

SECRET = "wJalrXUtnFEMI"
SOURCE: Mapping[str, Any] = {"name": "web", "adapter": "laion400m", "path": "s3://bucket/*.parquet"}


@pytest.mark.parametrize(
    "options",
    [
        {"secret": SECRET},
        {"key": SECRET},
        {"client_kwargs": {"aws_secret_access_key": SECRET}},
        {"token": {"private_key_id": "1", "client_secret": SECRET}},
        {"sas_token": SECRET},
        {"connection_string": f"AccountKey={SECRET}"},
        {"secret": "${NAME}" + SECRET},
        {"client_kwargs": {"proxies": f"http://me:{SECRET}@proxy"}},
    ],
)
@pytest.mark.parametrize("where", ["warehouse", "source", "images"])
def test_a_secret_that_is_written_out_is_refused_and_not_repeated(
    tmp_path: Path, options: dict[str, Any], where: str
) -> None:
    source = {**SOURCE, **({"storage_options": options} if where == "source" else {})}
    keys = {"warehouse": {"storage_options": options}, "source": {}, "images": {"images": {"storage_options": options}}}
    with pytest.raises(SettingsError, match=r"storage_options: .*expected a reference such as") as error:
        settings_with(tmp_path, sources=[source], **keys[where])
    assert SECRET not in str(error.value)


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    url = f"ftp://me:{SECRET}@host/web"
    source = {**SOURCE, "path": url}
    for keys in ({"warehouse": url}, {"sources": [source]}, {"images": {"location": url}}):
        with pytest.raises(SettingsError, match="found a URL with a password in it") as error:
            settings_with(tmp_path, **keys)
        assert SECRET not in str(error.value)


def test_options_that_are_no_mapping_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="storage_options: ") as error:
        settings_with(tmp_path, storage_options=f"secret={SECRET}")
    assert SECRET not in str(error.value)


def test_what_is_no_secret_is_taken_as_it_is(tmp_path: Path) -> None:
    options = {"anon": True, "client_kwargs": {"endpoint_url": "http://127.0.0.1:9000"}, "token": "anon"}
    assert settings_with(tmp_path, storage_options=options).storage_options == options


def test_references_are_resolved_at_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    options = {"secret": "${A_SECRET}", "headers": {"auth": ["Bearer ${A_SECRET}"]}, "port": 1}
    assert resolved(options, of="s3://b") == {"secret": SECRET, "headers": {"auth": [f"Bearer {SECRET}"]}, "port": 1}
    monkeypatch.delenv("A_SECRET")
    with pytest.raises(UserError, match="storage_options of s3://b: the environment variable A_SECRET is not set"):
        resolved(options, of="s3://b")


def test_what_dagster_sees_has_the_reference_and_not_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)
    options = {"key": "${A_SECRET}", "secret": "${A_SECRET}"}
    source = {**SOURCE, "storage_options": options}
    settings = settings_with(tmp_path, warehouse="s3://bucket/lake", storage_options=options, sources=[source])
    pipeline = build_pipeline(settings)
    assert pipeline.warehouse.lake.filesystem.secret == SECRET
    told = build_defs(settings, pipeline=pipeline).get_repository_def()
    shown = json.dumps(pipeline.resource.model_dump(mode="json")) + repr(RepositorySnap.from_def(told))
    assert "${A_SECRET}" in shown and SECRET not in shown
    assert SECRET not in repr(pipeline.warehouse) + repr(settings)


def test_a_missing_variable_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    source = {**SOURCE, "storage_options": {"secret": "${NOT_SET}"}}
    settings = settings_with(tmp_path, sources=[source])
    with pytest.raises(UserError, match="the environment variable NOT_SET is not set"):
        sync_parts(settings, build_pipeline(settings).warehouse)
