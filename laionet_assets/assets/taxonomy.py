"""Stage taxonomy: raw.synsets."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from laionet_assets.assets.steps import Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.taxonomy import load_synsets
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of raw.synsets."""
    taxonomy = settings.taxonomy_source

    def content(warehouse: Warehouse, part: PartKey | None) -> str:
        path = Path(taxonomy)
        return digest(path.read_text(encoding="utf-8")) if path.is_file() else taxonomy

    model = project.models["raw.synsets"]
    return {model.name: Step(model=model, write=partial(_write, taxonomy), outside=content)}


def _write(taxonomy: str, work: Work) -> None:
    synsets = load_synsets(taxonomy)
    work.log(f"{len(synsets)} classes of {taxonomy}")
    work.write_rows([asdict(synset) for synset in synsets])
