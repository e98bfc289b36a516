"""Stage images: core.image_text, what is written in the pictures (core.names_in_images is SQL)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from laionet_assets.assets.images import open_store
from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled, same_for_all_parts
from laionet_assets.errors import UserError
from laionet_assets.models.spec import ModelSpec
from laionet_assets.ocr.loading import parse_recognizer, recognizer_identity
from laionet_assets.settings import Settings, SettingsError
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    from laionet_assets.images.store import ImageStore
    from laionet_assets.ocr.stored import PictureText

OCR_POOL = "ocr"

_CONTENTS = "select distinct sha256 from core.images where status = 'success' and sha256 is not null"
_WANTED = """
    select distinct sha256
    from core.images
    join core.image_requests using (source, part, sample_id)
    where status = 'success' and sha256 is not null
    and list_has_any(recipes, (select list(recipe) from raw.recipes where drop_text_in_image))
"""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The step of core.image_text. Raises SettingsError if there is no such recogniser."""
    spec = recognizer_spec(settings)
    is_asked_for = any(recipe.drop_text_in_image for recipe in settings.recipes)

    def recognizer(warehouse: Warehouse, part: PartKey | None) -> str:
        if spec is None:
            return "none"
        return recognizer_identity(spec) if is_asked_for else "not asked for"

    model = project.models["core.image_text"]
    return {
        model.name: Step(
            model=model,
            write=partial(_write_texts, settings, spec),
            computations=by_provider([spec] if spec is not None else [], _read),
            outside=recognizer,
            outside_by=same_for_all_parts,
            pool=OCR_POOL,
            after_publish=forget_checkpoint,
        )
    }


def recognizer_spec(settings: Settings) -> ModelSpec | None:
    """The text recogniser of the settings, None with `ocr: null`. Raises SettingsError if there is no such one."""
    if settings.ocr is None:
        return None
    weights = settings.resolve(settings.ocr.weights) if settings.ocr.weights is not None else None
    try:
        return parse_recognizer(settings.ocr.model, weights=weights, device=settings.ocr.device)
    except UserError as error:
        raise SettingsError(f"{settings.config_path}: ocr.model: {error}") from None


def _write_texts(settings: Settings, spec: ModelSpec | None, work: Work) -> None:
    from laionet_assets.ocr.stored import texts_of

    published = work.published()
    contents = _sha256s(work, _CONTENTS)
    known = {} if published is None else {key: text for key, text in texts_of(published).items() if key in contents}
    wanted = _sha256s(work, _WANTED)
    if spec is None:
        texts = {}
    elif not wanted:
        texts = known
    else:
        recognizer = labelled(spec, work)
        read = _read(recognizer, wanted, open_store(settings, work.warehouse), known, work)
        texts = _by(recognizer_identity(recognizer), known) | read
    rows = [texts[sha256] for sha256 in sorted(texts)]
    work.write_rows(
        [{"source": work.part_key.source, "part": work.part_key.part, **asdict(text)} for text in rows],
        content=digest(*(f"{text.sha256} {text.text!r}" for text in rows)),
    )


def _read(
    spec: ModelSpec, wanted: Collection[str], store: "ImageStore", known: Mapping[str, "PictureText"], work: Work
) -> "dict[str, PictureText]":
    """The texts of all pictures wanted, by content: those that are known, the others read now."""
    from laionet_assets.ocr.stored import read_missing
    from laionet_assets.pictures.processes import are_worth_it
    from laionet_assets.pictures.stream import available_cores

    workers = available_cores()
    return read_missing(
        spec,
        wanted,
        partial(_pictures, store),
        known=known,
        checkpoint=work.checkpoint,
        progress=progress_log(work.log, f"pictures read by {spec.model}"),
        workers=workers,
        processes=are_worth_it(workers),
        log=partial(work.tell, spec.model),
    )


def _by(recognizer: str, known: Mapping[str, "PictureText"]) -> dict[str, "PictureText"]:
    """What this recogniser read, also for recipes that are gone: should they come back, it is not read again."""
    return {sha256: text for sha256, text in known.items() if text.recognizer == recognizer}


def _sha256s(work: Work, select: str) -> set[str]:
    return {sha256 for (sha256,) in work.connection.execute(select).fetchall()}


def _pictures(store: "ImageStore", sha256s: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
    """Contents and their bytes, or why there are none."""
    for sha256, found in store.contents(sha256s):
        yield sha256, found if isinstance(found, bytes) else str(found)
