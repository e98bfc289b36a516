"""Stage similarity: core.image_embeddings (by part) and core.set_embeddings, by the image encoders of the settings.

Belongs here: the two steps, and what an encoder makes of a picture as rows. Does not belong here: what is embedded
already and what is not (`by_content`), models (`encoders.images`), how alike pictures are (`alikeness`).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from laionet_assets.assets.by_content import Model, Results, Rows, write_of_part, write_of_sets
from laionet_assets.assets.named_models import named_models
from laionet_assets.assets.progress import Rate
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled, same_for_all_parts
from laionet_assets.models.identity import identity
from laionet_assets.models.spec import IMAGE_ENCODER, ModelSpec
from laionet_assets.pictures.reading import Content
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

IMAGE_ENCODER_POOL = "image_encoder"


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the two tables. Raises SettingsError naming every encoder of the settings that is not possible."""
    specs = named_models(settings, "image_encoders", IMAGE_ENCODER)

    def models(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{spec.name}={identity(spec)}" for spec in specs))

    images, sets = project.models["core.image_embeddings"], project.models["core.set_embeddings"]
    return {
        model.name: Step(
            model=model,
            write=partial(write, settings, specs),
            computations=by_provider(specs, embedded),
            outside=models,
            outside_by=same_for_all_parts,
            pool=IMAGE_ENCODER_POOL,
            after_publish=forget_checkpoint,
        )
        for model, write in ((images, _write_image_embeddings), (sets, _write_set_embeddings))
    }


def _write_image_embeddings(settings: Settings, specs: Sequence[ModelSpec], work: Work) -> None:
    write_of_part(settings, EMBEDDINGS, _models(specs, work), work)


def _write_set_embeddings(settings: Settings, specs: Sequence[ModelSpec], work: Work) -> None:
    write_of_sets(settings, EMBEDDINGS, _models(specs, work), work)


def _models(specs: Sequence[ModelSpec], work: Work) -> list[Model]:
    ready = [labelled(spec, work) for spec in specs]
    return [Model(spec, identity(spec)) for spec in ready]


def embedded(work: Work, models: Sequence[Model], items: Iterable[tuple[str, Content]]) -> Rows:
    """A row a picture, look and encoder: its vector, or the error."""
    from laionet_assets.encoders.images import load_image_encoder
    from laionet_assets.models.devices import torch_threads_in_workers
    from laionet_assets.pictures.processes import are_worth_it
    from laionet_assets.pictures.sight import Refused
    from laionet_assets.pictures.stream import available_cores, picture_stream

    encoders = [load_image_encoder(model.spec) for model in models]
    workers, rate = available_cores(), Rate()
    with torch_threads_in_workers(1 if workers > 1 else None) as set_up:
        looks = picture_stream(
            items, encoders, workers=workers, processes=are_worth_it(workers), log=work.log, set_up=set_up
        )
        for look in rate.counted(looks):
            for encoder, result in zip(encoders, look.results, strict=True):
                if isinstance(result, Refused):
                    yield look.image_id, look.profiles, encoder.name, encoder.readout, None, None, result.reason
                else:
                    half = result.astype("float16")
                    yield look.image_id, look.profiles, encoder.name, encoder.readout, len(half), half, None
    for encoder in encoders:
        work.tell(encoder.name, f"{encoder.told()}, {rate.told('pictures')} through {len(encoders)} encoders")


EMBEDDINGS = Results(
    label="encoder",
    done="embedded",
    columns={"readout": "readout", "dimensions": "dimensions", "embedding": "embedding"},
    compute=embedded,
)
