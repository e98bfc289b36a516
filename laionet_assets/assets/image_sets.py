"""Stage predictions: raw.image_sets, core.set_files, core.set_images and raw.real_labels: which image sets there are,
and the pictures of those that lie on disk.

A set that cannot be read stops itself alone: the pictures that are published of it stay, core.set_files says what is
wrong, and core.unreadable_sets, which nothing reads, fails its check.

Belongs here: what is taken of each set, and what of each picture is admitted. Does not belong here: opening the local
sets of the settings (`local_sets`), how a layout is read (`images.sets`), and predictions (`predictions`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.local_sets import assert_paths, local_sets_state, open_local_set
from laionet_assets.assets.progress import progress_log
from laionet_assets.assets.steps import Computation, Step, Work, write_given
from laionet_assets.errors import UserError
from laionet_assets.images.outcomes import REMOVED
from laionet_assets.images.sets import ImageItem
from laionet_assets.pictures.admission import MAX_PIXELS, Profile, admit
from laionet_assets.pictures.inspection import inspect
from laionet_assets.settings import ImageSetSettings, Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.taxonomy import load_synsets

if TYPE_CHECKING:
    import pyarrow as pa


NOT_READ = "not_read"
"""Why a picture does not take part whose file could not be read."""
TAKEN, LEFT_OUT, UNREADABLE = "taken", "left out", "cannot be read"
"""Outcomes of core.set_files."""
TELLS_UNREADABLE = {"core.set_files": "core.unreadable_sets", "core.set_images": "core.unreadable_sets"}
"""By table that a set is read for, the one whose check fails where a set cannot be read: asked for with it."""
ADMISSION = "admission"
"""The computation of core.set_images: what admission makes of a content."""
_ROWS = 4_096


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the four tables. Raises SettingsError naming every path of a local set that is not possible."""
    assert_paths(settings)
    models = project.models
    rows = image_set_rows(settings)
    has_val = any(image_set.layout == "ilsvrc2012-val" for image_set in settings.image_sets)
    chosen = [
        image_set.model_dump_json(exclude={"weighted_by", "classes", "selection_frequency", "captions"})
        for image_set in settings.image_sets
    ]
    return {
        "raw.image_sets": Step(
            model=models["raw.image_sets"], settings=(repr(rows),), write=partial(write_given, rows)
        ),
        "raw.real_labels": Step(
            model=models["raw.real_labels"],
            settings=(repr(has_val),),
            write=partial(_write_real_labels, has_val),
        ),
        "core.set_files": Step(
            model=models["core.set_files"],
            settings=tuple(chosen),
            write=partial(_write_set_files, settings),
            outside=partial(local_sets_state, settings),
        ),
        "core.set_images": Step(
            model=models["core.set_images"],
            settings=tuple(chosen),
            write=partial(_write_set_images, settings),
            computations=(Computation(ADMISSION, _judge),),
            outside=partial(local_sets_state, settings),
        ),
    }


def image_set_rows(settings: Settings) -> list[dict[str, Any]]:
    """The rows of raw.image_sets, in order of position."""
    first = settings.recipes[0].name
    nothing: dict[str, Any] = {"layout": None, "profile": None, "zero_shot_missing": None, "has_class_list": False}
    nothing["selection_frequency"] = None
    recipes = [
        nothing | {"image_set": one.name, "kind": "recipe", "profile": one.matching, "weighted_by": one.name}
        for one in settings.recipes
    ]
    local = [
        nothing
        | {"image_set": one.name, "kind": "local", "layout": one.layout, "profile": one.profile}
        | {"selection_frequency": one.selection_frequency}
        for one in settings.image_sets
    ]
    published = [
        nothing | {"image_set": one.name, "kind": "published", "zero_shot_missing": one.zero_shot_missing}
        for one in settings.published_results
    ]
    of_captions = settings.neighbours
    nearest = [
        nothing | {"image_set": one.name, "kind": "neighbours", "profile": one.profile}
        for one in ([of_captions] if of_captions is not None else [])
    ]
    beside = (*local, *nearest, *published)
    for row, one in zip(beside, settings.compared, strict=True):
        row |= {"weighted_by": one.weighted_by or first, "has_class_list": one.classes is not None}
    return [row | {"position": position} for position, row in enumerate((*recipes, *beside))]


def _write_real_labels(has_val: bool, work: Work) -> None:
    from laionet_assets.predictors.real import real_labels

    wnids = [synset.wnid for synset in load_synsets("imagenet-1k")]
    labels = real_labels() if has_val else []
    rows = sorted({(number, wnids[label]) for number, of_image in enumerate(labels, 1) for label in of_image})
    work.log(f"{len(rows):,} labels" if has_val else "no local set has the layout ilsvrc2012-val: no labels needed")
    work.write_rows([{"image_number": number, "wnid": wnid} for number, wnid in rows])


@dataclass(frozen=True)
class _Judgement:
    """What admission made of a content."""

    mode: str | None
    width: int | None
    height: int | None
    is_admitted: bool
    rejected_because: str | None
    conversions: tuple[str, ...]
    error: str | None
    phash: int | None


@dataclass(frozen=True)
class _Row:
    """A picture of a set."""

    image_id: str
    wnid: str | None
    sha256: str | None
    size_bytes: int | None
    judgement: _Judgement


def _write_set_files(settings: Settings, work: Work) -> None:
    work.write_rows([row for image_set in settings.image_sets for row in set_files(settings, image_set)])


def set_files(settings: Settings, image_set: ImageSetSettings) -> list[dict[str, Any]]:
    """The rows of core.set_files of one set: what is taken, what is left out and why; or why it cannot be read."""

    def row(outcome: str, files: int | None, reason: str, **more: Any) -> dict[str, Any]:
        named = {"image_set": image_set.name, "outcome": outcome, "reason": reason, "files": files}
        return {**named, "expected": None, "examples": [], **more}

    try:
        opened = open_local_set(settings, image_set)
        taken = sum(1 for _ in opened.iterate())
        left_out = opened.left_out()
    except UserError as error:
        return [row(UNREADABLE, None, _text(str(error)))]
    return [
        row(TAKEN, taken, "", expected=opened.expected),
        *(
            row(LEFT_OUT, each.count, _text(each.reason), examples=[_text(name) for name in each.examples])
            for each in left_out
        ),
    ]


def _text(name: str) -> str:
    """A name that a table can hold."""
    return name.encode("utf-8", "backslashreplace").decode()


def _write_set_images(settings: Settings, work: Work) -> None:
    import pyarrow as pa

    known = _published_judgements(work)
    removed = dict(work.connection.execute("select value, reason from core.removals where kind = 'sha256'").fetchall())
    tables = []
    for image_set in sorted(settings.image_sets, key=lambda one: one.name):
        try:
            tables += list(_set_tables(settings, image_set, known, removed, work))
        except UserError as error:
            work.log(f"{error} What is published of it stays.")
            tables.append(work.typed(_published_of(image_set, removed, work)))
    work.write_rows(pa.concat_tables(tables) if tables else [])


def _published_of(image_set: ImageSetSettings, removed: Mapping[str, str], work: Work) -> dict[str, list[Any]]:
    """The published rows of a set, without the contents that were removed since."""
    of_set = f"select * from ({work.published_select}) where image_set = ? and profile = ?"
    found = work.connection.sql(of_set, params=[image_set.name, image_set.profile])
    published = found.to_arrow_table().to_pylist()
    rows = [_row_of(one, removed) for one in published]
    columns = _columns(image_set.name, image_set.profile, "", rows)
    return {**columns, "admission_version": [one["admission_version"] for one in published]}


def _row_of(one: Mapping[str, Any], removed: Mapping[str, str]) -> _Row:
    if one["sha256"] in removed:
        return _Row(one["image_id"], one["wnid"], None, None, _removed(removed[one["sha256"]]))
    judgement = _Judgement(**{field.name: one[field.name] for field in fields(_Judgement)})
    return _Row(one["image_id"], one["wnid"], one["sha256"], one["size_bytes"], judgement)


def _removed(reason: str) -> _Judgement:
    return _Judgement(None, None, None, False, REMOVED, (), f"removed: {reason}", None)


def _set_tables(
    settings: Settings,
    image_set: ImageSetSettings,
    known: Mapping[tuple[str, str], _Judgement],
    removed: Mapping[str, str],
    work: Work,
) -> "Iterator[pa.Table]":
    """The rows of one set, some thousands at a time; what it is made of is logged."""
    from laionet_assets.pictures.stream import available_cores, ordered_map

    opened = open_local_set(settings, image_set)
    total, done = opened.count(), 0
    progress = progress_log(work.log, f"pictures of {image_set.name} looked at")
    outcomes: Counter[str] = Counter()
    conversions: Counter[str] = Counter()
    look = partial(_look, profile=image_set.profile, known=known, removed=removed)
    rows: list[_Row] = []
    for row in ordered_map(look, opened.iterate(), workers=available_cores()):
        outcomes[row.judgement.rejected_because or ("admitted" if row.wnid else "admitted, without a class")] += 1
        outcomes["converted"] += bool(row.judgement.conversions)
        conversions.update(row.judgement.conversions)
        rows.append(row)
        done += 1
        if len(rows) == _ROWS:
            yield work.typed(_columns(image_set.name, image_set.profile, work.labels[ADMISSION], rows))
            rows = []
        if done < total:
            progress(done, total)
    yield work.typed(_columns(image_set.name, image_set.profile, work.labels[ADMISSION], rows))
    work.log(f"{image_set.name}: {done:,} pictures under {image_set.profile}; {_listed(outcomes)}")
    if conversions:
        work.log(f"{image_set.name}: conversions: {_listed(conversions)}")


def _look(
    item: ImageItem,
    *,
    profile: Profile,
    known: Mapping[tuple[str, str], _Judgement],
    removed: Mapping[str, str],
) -> _Row:
    """A picture's content and what admission makes of it; a file that cannot be read costs its row alone.

    Of what was removed, nothing but the reason is told; the file is the user's own, and stays. `removed` has reasons by
    content.

    Raises UserError for a name that a table cannot hold.
    """
    if not _is_text(item.image_id):
        raise UserError(f"found a picture called {item.image_id!r}, which is not UTF-8; rename it")
    try:
        data = item.read()
    except OSError as error:
        unread = _Judgement(None, None, None, False, NOT_READ, (), f"{type(error).__name__}: {error}", None)
        return _Row(item.image_id, item.wnid, None, None, unread)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 in removed:
        return _Row(item.image_id, item.wnid, None, None, _removed(removed[sha256]))
    judgement = known.get((profile, sha256)) or _judge(data, profile)
    return _Row(item.image_id, item.wnid, sha256, len(data), judgement)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _judge(data: bytes, profile: Profile) -> _Judgement:
    found = admit(data, profile)
    return _Judgement(
        mode=found.mode,
        width=found.width,
        height=found.height,
        is_admitted=found.is_admitted,
        rejected_because=found.reason,
        conversions=found.conversions,
        error=None if found.is_admitted else found.detail,
        phash=inspect(data, min_pixels=1, max_pixels=MAX_PIXELS).phash,
    )


def _published_judgements(work: Work) -> dict[tuple[str, str], _Judgement]:
    """Judgements of the published table by profile and content, if they are of the same code of admission."""
    if work.was_edited(ADMISSION):
        return {}
    rows = work.connection.execute(
        "select profile, sha256, mode, width, height, is_admitted, rejected_because, conversions, error, phash "
        f"from ({work.published_select}) where profile is not null and sha256 is not null and admission_version = ?",
        [work.labels[ADMISSION]],
    ).fetchall()
    return {
        (profile, sha256): _Judgement(mode, width, height, is_admitted, reason, tuple(conversions), error, phash)
        for profile, sha256, mode, width, height, is_admitted, reason, conversions, error, phash in rows
    }


def _columns(name: str, profile: str, version: str, rows: Sequence[_Row]) -> dict[str, list[Any]]:
    return {
        "image_set": [name] * len(rows),
        "profile": [profile] * len(rows),
        "admission_version": [version] * len(rows),
        **{key: [getattr(row, key) for row in rows] for key in ("image_id", "wnid", "sha256", "size_bytes")},
        **{field.name: [getattr(row.judgement, field.name) for row in rows] for field in fields(_Judgement)},
    }


def _listed(counts: Mapping[str, int]) -> str:
    """Counts above 0, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name}: {count:,}" for name, count in ordered if count) or "none"
