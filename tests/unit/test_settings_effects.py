"""Every key of laionet.yaml acts: for each, another value, and something of this project that then comes out otherwise.

A new key of `settings/` needs a line in EFFECTS: the test names keys without one.
"""

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import BaseModel

from laionet_assets.assets.fetching import Fetching
from laionet_assets.assets.housekeeping import keep_house
from laionet_assets.assets.image_text import recognizer_spec
from laionet_assets.assets.images import open_store
from laionet_assets.assets.local_sets import open_local_set
from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.assets.predictions import predictor_specs
from laionet_assets.assets.refresh import automation
from laionet_assets.assets.similarity import encoder_specs
from laionet_assets.assets.versions import Versions
from laionet_assets.errors import UserError
from laionet_assets.models.spec import IMAGE_ENCODER
from laionet_assets.settings import Settings, load_settings
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.processes import Process

BASE: Mapping[str, Any] = {
    "warehouse": "warehouse",
    "sources": [{"name": "web", "adapter": "laion400m", "path": "parts/*.parquet"}],
    "text_encoders": [{"name": "minilm", "model": "sentence-transformers:all-MiniLM-L6-v2"}],
    "predictors": [{"name": "lite", "model": "timm:tf_efficientnet_lite0"}],
    "image_encoders": [{"name": "lite", "model": "timm:tf_efficientnet_lite0"}],
    "image_sets": [{"name": "drawn", "layout": "imagefolder", "path": "set-one"}],
    "published_results": [{"name": "results", "path": "one.parquet"}],
    "images": {"fetch": {"enabled": True, "contact": "me@example.org", "uncleared": True}},
    "recipes": [{"name": "r", "encoder": "minilm", "text_threshold": 0.5, "drop_text_in_image": True}],
}
PROJECT = load_project()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that the settings of this module name."""
    home = tmp_path_factory.mktemp("effects")
    for name, url in (("parts", "http://a"), ("others", "http://b")):
        (home / name).mkdir()
        table = pa.table({"SAMPLE_ID": [1], "URL": [url], "TEXT": ["a cat"], "NSFW": ["UNLIKELY"], "similarity": [0.3]})
        pq.write_table(table, home / name / "part-00000.parquet")
    (home / "val").mkdir()
    (home / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    for name in ("one", "two"):
        pq.write_table(pa.table({"wnid": ["n01440764"], f"top_1_is_correct_{name}": [True]}), home / f"{name}.parquet")
        (home / f"{name}.json").write_text(json.dumps({"n01440764": [name]}))
        (home / f"{name}.txt").write_text("n01440764\n" if name == "one" else "n01443537\n")
        (home / f"{name}.sha256").write_text(("ab" if name == "one" else "cd") * 32 + "\n")
        (home / f"{name}.csv").write_text(f"kind,value,reason\nurl,http://{name},wish\n")
        (home / f"{name}_captions.csv").write_text(f"filename,caption\n{name}.jpg,{name}\n")
        (home / f"{name}_verdicts.csv").write_text(f"judge,verdict\n{name},\n")
        (home / f"{name}.safetensors").write_bytes(name.encode())
        (home / name).mkdir()
        (home / name / "config.json").write_text(name)
        shard(home / f"shards-{name}")
        (home / f"set-{name}" / "n01440764").mkdir(parents=True)
        (home / f"set-{name}" / "n01440764" / f"{name}.jpg").write_bytes(b"")
    return home


def shard(folder: Path) -> None:
    """A folder as img2dataset writes it: one picture, with two columns that may be its class."""
    folder.mkdir()
    with tarfile.open(folder / "00000.tar", "w") as tar:
        for name in ("000000000.jpg", "000000000.json"):
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"{}"))
    columns = {"key": ["000000000"], "url": ["http://a"], "status": ["success"], "error_message": [None]}
    labels = {"wnid": ["n01440764"], "other": ["n01443537"]}
    pq.write_table(pa.table({**columns, **labels}), folder / "00000.parquet")


def versions(settings: Settings) -> Any:
    """What every table is made from: code, settings, what lies outside."""
    pipeline = build_pipeline(settings, project=PROJECT)
    (part,) = sync_parts(settings, pipeline.warehouse).present
    known = Versions(pipeline.warehouse)
    tasks = [(step, part if step.is_partitioned else None) for step in pipeline.steps]
    return {(step.name, each): known.next_of(step, each) for step, each in tasks}


def resource(settings: Settings) -> Any:
    """Where the warehouse is, how DuckDB is set up, and the filesystems that it knows."""
    return build_pipeline(settings, project=PROJECT).resource.model_dump()


def models(settings: Settings) -> Any:
    """Which models are loaded, and where."""
    specs = encoder_specs(settings), [spec for _, spec in predictor_specs(settings)], recognizer_spec(settings)
    return *specs, named_models(settings, "image_encoders", IMAGE_ENCODER)


def store(settings: Settings) -> Any:
    """Where pictures are kept."""
    opened = open_store(settings, build_pipeline(settings, project=PROJECT).warehouse)
    return opened.lake.root, opened.lake.storage_options, opened.quota_bytes


def policy(settings: Settings) -> Any:
    """How the fetcher behaves, and for which source it fetches."""
    fetching = Fetching(settings)
    return fetching._policy(is_sample=False), fetching.applies_to("web")


def pictures(settings: Settings) -> Any:
    """The pictures of the local sets with their classes, or why there are none."""
    try:
        opened = [open_local_set(settings, image_set) for image_set in settings.image_sets]
        return [(one.name, item.image_id, item.wnid) for one in opened for item in one.iterate()]
    except UserError as error:
        return str(error)


def to_retire(settings: Settings) -> Any:
    """Parts that go when their file is gone."""
    warehouse = build_pipeline(settings, project=PROJECT).warehouse
    sync_parts(settings, warehouse)
    (file,) = (settings.home / "parts").glob("*.parquet")
    away = file.rename(file.with_suffix(".away"))
    (settings.home / "parts" / "part-00001.parquet").write_bytes(away.read_bytes())
    try:
        return [part.part for part in sync_parts(settings, warehouse).to_retire]
    finally:
        (settings.home / "parts" / "part-00001.parquet").unlink()
        away.rename(file)


def automatic(settings: Settings) -> Any:
    """What runs by itself, and how often."""
    defs = automation(build_pipeline(settings, project=PROJECT))
    sensors = [(each.name, each.default_status, each.minimum_interval_seconds) for each in defs.sensors or ()]
    return sensors, [(each.name, each.default_status, each.cron_schedule) for each in defs.schedules or ()]


def after_ten_days(settings: Settings) -> Any:
    """What becomes within ten days of a run that hangs on another machine, and of one that is over."""
    pipeline = build_pipeline(settings, project=PROJECT)

    @dg.job
    def nothing() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        hanging = instance.create_run_for_job(nothing, tags=replace(Process.this(), host="elsewhere").tags)
        instance.report_dagster_event(
            dg.DagsterEvent("PIPELINE_START", nothing.name, message="started"), hanging.run_id
        )
        nothing.execute_in_process(instance=instance)
        keep_house(pipeline, instance, now=time.time() + 10 * 86_400)
        return sorted(run.status.value for run in instance.get_runs())


def severities(settings: Settings) -> Any:
    """Which checks block."""
    steps = build_pipeline(settings, project=PROJECT).steps
    return [(step.name, check.name) for step in steps for check in step.model.expectations if check.is_critical]


Probe = Callable[[Settings], Any]
Edits = Mapping[str, Any]
WEB_DATASET: Edits = {"image_sets[].layout": "webdataset", "image_sets[].path": "shards-one"}
VAL: Edits = {"image_sets[].layout": "ilsvrc2012-val", "image_sets[].path": "val", "image_sets[].devkit": "one"}
CLIP: Edits = {"predictors[].model": "open_clip:ViT-B-32/openai"}
CLEARED: Edits = {"images.fetch.uncleared": False}
BUCKET: Edits = {"sources[].path": "s3://bucket/*.parquet"}
OTHER_ENCODER: Edits = {"text_encoders[]": [BASE["text_encoders"][0], {**BASE["text_encoders"][0], "name": "other"}]}
NEAR: Edits = {"recipes[].image_similarity.encoder": "lite", "prototypes": "drawn"}
TWO_IMAGE_ENCODERS = [BASE["image_encoders"][0], {**BASE["image_encoders"][0], "name": "third"}]
NEIGHBOURS: Edits = {"image_sets[].captions": "one_captions.csv", "neighbours.over": "candidates"}
DRAWN = {**BASE["image_sets"][0], "captions": "one_captions.csv"}
TWO_CAPTIONED: Edits = {"image_sets[]": [DRAWN, {**DRAWN, "name": "more"}]}

EFFECTS: Mapping[str, tuple[Any, Probe] | tuple[Any, Probe, Edits]] = {
    "warehouse": ("elsewhere", resource),
    "sources[].name": ("net", versions),
    "sources[].adapter": ("auto", versions),
    "sources[].path": ("others/*.parquet", versions),
    "sources[].columns": ({"caption": "URL"}, versions),
    "sources[].storage_options": ({"anon": True}, resource, BUCKET),
    "sources[].when_removed": ("drop", to_retire),
    "taxonomy": ("one.txt", versions),
    "text_encoders[].name": ("third", versions, {**OTHER_ENCODER, "recipes[].encoder": "other"}),
    "text_encoders[].model": ("transformers:bert-base-uncased@1234567", models),
    "text_encoders[].weights": ("two", versions, {"text_encoders[].weights": "one"}),
    "text_encoders[].device": ("cpu", models),
    "text_encoders[].allow_torchscript": (True, models, {"text_encoders[].model": "open_clip:ViT-B-32/openai"}),
    "text_encoders[].query_template": ("name", versions),
    "predictors[].name": ("other", versions),
    "predictors[].model": ("timm:tf_efficientnet_lite1", models),
    "predictors[].weights": ("two.safetensors", versions, {"predictors[].weights": "one.safetensors"}),
    "predictors[].device": ("cpu", models),
    "predictors[].allow_torchscript": (True, models),
    "predictors[].decode_on": ("card", models),
    "predictors[].baseline": (False, versions),
    "predictors[].prompts": ("templates", versions, CLIP),
    "image_encoders[].name": ("other", versions),
    "image_encoders[].model": ("timm:tf_efficientnet_lite1", models),
    "image_encoders[].weights": ("two.safetensors", versions, {"image_encoders[].weights": "one.safetensors"}),
    "image_encoders[].device": ("cpu", models),
    "image_encoders[].allow_torchscript": (True, models),
    "image_encoders[].decode_on": ("card", models),
    "image_sets[].name": ("other", versions),
    "image_sets[].classes": ("two.json", versions, {"image_sets[].classes": "one.json"}),
    "image_sets[].weighted_by": ("results", versions),
    "image_sets[].layout": ("imagenetv2", pictures, {"image_sets[].path": "one"}),
    "image_sets[].path": ("set-two", pictures),
    "image_sets[].devkit": ("two", pictures, VAL),
    "image_sets[].label_column": ("other", pictures, {**WEB_DATASET, "image_sets[].label_column": "wnid"}),
    "image_sets[].profile": ("paper", versions),
    "image_sets[].selection_frequency": (0.73, versions),
    "image_sets[].captions": ("two_captions.csv", versions, {"image_sets[].captions": "one_captions.csv"}),
    "published_results[].name": ("other", versions),
    "published_results[].classes": ("two.json", versions, {"published_results[].classes": "one.json"}),
    "published_results[].weighted_by": ("results", versions),
    "published_results[].path": ("two.parquet", versions),
    "published_results[].labels": ("two.json", versions, {"published_results[].labels": "one.json"}),
    "published_results[].zero_shot_missing": ("wrong", versions),
    "images.location": ("pictures", store),
    "images.storage_options": ({"anon": True}, store, {"images.location": "s3://bucket/pictures"}),
    "images.quota": ("1GB", store),
    "images.removals": ("two.csv", versions, {"images.removals": "one.csv"}),
    "images.downloaded": (["shards-one"], versions),
    "images.fetch.enabled": (False, policy),
    "images.fetch.contact": ("you@example.org", policy),
    "images.fetch.concurrency": (7, policy),
    "images.fetch.per_host": (7, policy),
    "images.fetch.min_interval": (7, policy),
    "images.fetch.total_timeout": (7, policy),
    "images.fetch.max_bytes": ("7MiB", policy),
    "images.fetch.max_pixels": (7_000_000, policy),
    "images.fetch.retries": (7, policy),
    "images.fetch.robots": (False, policy),
    "images.fetch.allowed_ports": ([80, 443, 9000], policy),
    "images.fetch.allowed_private": (["10.0.0.0/8"], policy),
    "images.fetch.allow_hosts": ({"a.example": "127.0.0.1:80"}, policy),
    "images.fetch.cleared_by": ("others", versions, {**CLEARED, "images.fetch.cleared_by": "parts"}),
    "images.fetch.uncleared": (False, versions),
    "images.fetch.blocked_urls": ("two.sha256", versions, {"images.fetch.blocked_urls": "one.sha256"}),
    "images.fetch.blocked_contents": ("two.sha256", versions, {"images.fetch.blocked_contents": "one.sha256"}),
    "ocr.model": ("rapidocr:fast", versions),
    "ocr.weights": ("two", models, {"ocr.model": "trocr:microsoft/trocr-base-printed", "ocr.weights": "one"}),
    "ocr.device": ("cpu", models),
    "recipes[].name": ("other", versions),
    "recipes[].matching": ("corrected", versions),
    "recipes[].encoder": ("other", versions, OTHER_ENCODER),
    "recipes[].text_threshold": (0.6, versions),
    "recipes[].multi_label": ("keep", versions),
    "recipes[].nsfw": (["UNLIKELY", "UNSURE"], versions),
    "recipes[].max_punsafe": (0.4, versions),
    "recipes[].top_k": (50, versions),
    "recipes[].duplicates": ("drop", versions),
    "recipes[].drop_text_in_image": (False, versions),
    "recipes[].image_threshold": (0.3, versions),
    "recipes[].image_similarity.encoder": ("third", versions, {**NEAR, "image_encoders[]": TWO_IMAGE_ENCODERS}),
    "recipes[].image_similarity.kind": ("prototype", versions, NEAR),
    "recipes[].pictures.predict": (False, versions),
    "recipes[].pictures.per_class": (60, versions),
    "prototypes": ("drawn", versions),
    "neighbours.name": ("other", versions, NEIGHBOURS),
    "neighbours.classes": ("two.json", versions, {**NEIGHBOURS, "neighbours.classes": "one.json"}),
    "neighbours.weighted_by": ("results", versions, NEIGHBOURS),
    "neighbours.captions_of": ("more", versions, {**NEIGHBOURS, **TWO_CAPTIONED}),
    "neighbours.encoder": ("other", versions, {**NEIGHBOURS, **OTHER_ENCODER}),
    "neighbours.over": ("all", versions, NEIGHBOURS),
    "neighbours.threshold": (0.8, versions, NEIGHBOURS),
    "neighbours.fetch_above": (0.6, versions, NEIGHBOURS),
    "neighbours.profile": ("paper", versions, NEIGHBOURS),
    "neighbours.nsfw": (["UNLIKELY", "UNSURE"], versions, NEIGHBOURS),
    "neighbours.max_punsafe": (0.4, versions, NEIGHBOURS),
    "judgements": (["two_verdicts.csv"], versions, {"judgements": ["one_verdicts.csv"]}),
    "checks": ({"core.candidates": {"grain_is_unique": "warning"}}, severities),
    "duckdb.threads": (1, resource),
    "duckdb.memory_limit": ("1GB", resource),
    "refresh.enabled": (True, automatic),
    "refresh.interval_seconds": (77, automatic),
    "refresh.longest_run_hours": (1_000, after_ten_days),
    "refresh.keep_runs_days": (5, after_ten_days),
    "refresh.nightly_cron": ("0 1 * * *", automatic),
    "storage_options": ({"anon": True}, resource, {"warehouse": "s3://bucket/warehouse"}),
}


def keys_of(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every key of a model and of the models in it: `images.fetch.robots`, `recipes[].name`."""
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        inner, is_list = _model_in(field.annotation)
        path = f"{before}{name}" + ("[]" if is_list and inner else "")
        if inner is None:
            yield path
        else:
            yield from keys_of(inner, f"{path}.")


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a key holds, and whether it holds a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    found = [_model_in(argument)[0] for argument in get_args(annotation)]
    inner = next((model for model in found if model is not None), None)
    return inner, get_origin(annotation) not in (Union, UnionType)


def edited(edits: Edits) -> dict[str, Any]:
    """The base configuration with other values; of lists, in their first entry."""
    data = deepcopy(dict(BASE))
    for path, value in edits.items():
        *steps, last = path.split(".")
        place: Any = data
        for step in steps:
            place = place.setdefault(step.removesuffix("[]"), {})
            place = place[0] if step.endswith("[]") else place
        place[last.removesuffix("[]")] = deepcopy(value)
    return data


def outcome(folder: Path, probe: Probe, edits: Edits) -> Any:
    return probe(load_settings_of(folder, edits))


@cache
def outcome_of_base(folder: Path, probe: Probe, edits: str) -> Any:
    """What a probe gives for the base configuration with these edits: the same every time."""
    found = outcome(folder, probe, yaml.safe_load(edits))
    assert outcome(folder, probe, yaml.safe_load(edits)) == found
    return found


@pytest.mark.parametrize("key", EFFECTS)
def test_another_value_comes_out_otherwise(key: str, folder: Path) -> None:
    value, probe, *given = EFFECTS[key]
    edits = dict(*given)
    assert outcome(folder, probe, {**edits, key: value}) != outcome_of_base(folder, probe, yaml.safe_dump(edits))


def test_every_key_has_an_effect_on_record() -> None:
    assert set(keys_of(Settings)) == EFFECTS.keys()


def load_settings_of(folder: Path, edits: Edits) -> Settings:
    path = folder / "laionet.yaml"
    path.write_text(yaml.safe_dump(edited(edits)))
    return load_settings(path)
