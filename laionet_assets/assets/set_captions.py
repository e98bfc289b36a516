"""Stage similarity, captions of image sets: core.set_captions, core.set_caption_embeddings, core.text_ranks and
marts.text_rank.

Belongs here: which captions go with which pictures, and rows into and out of their statistics. Does not belong here:
formats of caption files (`images.sets.captions`), embedding texts (`encoders.embeddings`), ranks (`stats.text_rank`),
captions of the web (`text`, `neighbours`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.local_files import content_of
from laionet_assets.assets.local_sets import CURATED_CAPTIONS, drawn_folder, drawn_state
from laionet_assets.assets.similarity import ENCODER_POOL, embedded, encoder_specs
from laionet_assets.assets.steps import Step, Work, by_provider, forget_checkpoint, labelled
from laionet_assets.errors import UserError
from laionet_assets.images.sets.captions import read_captions
from laionet_assets.models.identity import identity
from laionet_assets.models.spec import ModelSpec
from laionet_assets.settings import ImageSetSettings, Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.warehouse.table import PartKey
from laionet_assets.warehouse.warehouse import Warehouse, digest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

PROFILES = ("corrected", "paper")
NEAREST_CLASSES = 5
BINS = 50
_ROWS = 8_192
_OF_A_CAPTION = ("name", "wnid", "caption")

_CAPTIONS = """
    with first_of_each as (
        select image_set, name, arg_min(wnid, position) as said, arg_min(caption, position) as caption,
            count(*)::integer as times,
        from given group by image_set, name
    ),

    pictures as (
        select image_set, image_id, wnid, rejected_because = 'removed' as is_removed, stem_of(image_id) as stem
        from core.set_images
    ),

    stems as (
        select image_set, stem, any_value(image_id) as image_id from pictures
        group by all having count(*) = 1
    ),

    named as (
        select f.*, coalesce(p.image_id, s.image_id) as image_id
        from first_of_each as f
        left join pictures as p on p.image_set = f.image_set and p.image_id = f.name
        left join stems as s on s.image_set = f.image_set and s.stem = stem_of(f.name)
    ),

    told as (
        select n.* exclude (caption), coalesce(n.said, p.wnid) as wnid,
            case when trim(n.caption) <> '' and not coalesce(p.is_removed, false) then n.caption end as caption,
        from named as n
        left join pictures as p using (image_set, image_id)
    )

    select image_set, name, image_id, wnid, md5_number_lower(caption) as caption_id, caption, times from told
"""
_STEM = """
    create temp macro stem_of(name) as regexp_replace(regexp_replace(name, '^.*/', ''), '\\.[A-Za-z0-9]+$', '')
"""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the four tables. Raises SettingsError naming every encoder of the settings that is not possible."""
    models, specs = project.models, encoder_specs(settings)
    captioned = [image_set for image_set in settings.image_sets if image_set.captions is not None]

    def files(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{one.name}={_state(settings, one)}" for one in captioned))

    def encoders(warehouse: Warehouse, part: PartKey | None) -> str:
        return digest(*(f"{spec.name}={identity(spec)}" for spec in specs))

    return {
        "core.set_captions": Step(
            model=models["core.set_captions"],
            write=partial(_write_captions, settings, captioned),
            settings=tuple(f"{one.name}" for one in captioned),
            outside=files,
        ),
        "core.set_caption_embeddings": Step(
            model=models["core.set_caption_embeddings"],
            write=partial(_write_embeddings, specs),
            computations=by_provider(specs, embedded),
            outside=encoders,
            pool=ENCODER_POOL,
            after_publish=forget_checkpoint,
        ),
        "core.text_ranks": Step(model=models["core.text_ranks"], write=_write_ranks),
        "marts.text_rank": Step(model=models["marts.text_rank"], write=_write_shares),
    }


def _state(settings: Settings, image_set: ImageSetSettings) -> str:
    """What a set's captions depend on; nothing is drawn to find out."""
    captions = image_set.captions or ""
    return drawn_state(settings, captions) if "://" in captions else content_of(captions_path(settings, image_set))


def captions_path(settings: Settings, image_set: ImageSetSettings) -> Path:
    """The file of a set's captions; that of the curated set is drawn first if it is not there."""
    captions = image_set.captions or ""
    if "://" not in captions:
        return Path(settings.resolve(captions))
    return drawn_folder(settings, captions) / CURATED_CAPTIONS


def _write_captions(settings: Settings, captioned: Sequence[ImageSetSettings], work: Work) -> None:
    work.connection.execute(_STEM)
    work.connection.execute(
        "create temp table given (image_set varchar, position bigint, name varchar, wnid varchar, caption varchar)"
    )
    for image_set in captioned:
        for batch in _given(image_set.name, captions_path(settings, image_set)):
            work.connection.register("batch", batch)
            work.connection.execute("insert into given select * from batch")
            work.connection.unregister("batch")
    for line in work.connection.execute("""
        select image_set || ': ' || count(*) || ' captions of ' || count(distinct name) || ' pictures, '
            || count(*) filter (trim(caption) = '') || ' of them empty'
        from given group by image_set order by image_set
    """).fetchall():
        work.log(line[0])
    work.write_rows(_CAPTIONS)


def _given(image_set: str, path: Path) -> "Iterator[pa.Table]":
    """The captions of a file as rows of `given`, some thousands at a time."""
    import pyarrow as pa

    schema = pa.schema(
        [("image_set", pa.string()), ("position", pa.int64())] + [(name, pa.string()) for name in _OF_A_CAPTION]
    )
    captions = enumerate(read_captions(path))
    while rows := list(islice(captions, _ROWS)):
        columns = {name: [getattr(caption, name) for _, caption in rows] for name in ("name", "wnid", "text")}
        given = [[image_set] * len(rows), [position for position, _ in rows], *columns.values()]
        try:
            yield pa.table(given, schema=schema)
        except UnicodeEncodeError as error:
            raise UserError(f"captions {path}: found text that is not UTF-8 ({error.reason}); mend the file") from None


def _write_embeddings(specs: Sequence[ModelSpec], work: Work) -> None:
    """Every distinct caption once, whatever the set that it is in."""
    import pyarrow as pa

    captions = work.connection.sql("""
        select caption_id, any_value(caption) as caption from core.set_captions
        where caption_id is not null group by all order by all
    """).to_arrow_table()
    tables = [
        embedded(
            labelled(spec, work),
            captions.select(["caption_id"]),
            captions["caption"],
            work,
            existing=work.published(),
            checkpoint=work.checkpoint,
        )
        for spec in sorted(specs, key=lambda spec: spec.name)
    ]
    work.write_rows(pa.concat_tables(tables))


def _write_ranks(work: Work) -> None:
    """Every caption beside every class, some thousands of captions at a time."""
    import pyarrow as pa

    tables = [
        work.typed(columns)
        for profile in PROFILES
        for encoder, image_set in work.connection.execute("""
            select distinct e.encoder, c.image_set
            from core.set_captions as c join core.set_caption_embeddings as e using (caption_id) order by all
        """).fetchall()
        for columns in _ranks(work, profile, encoder, image_set)
    ]
    work.write_rows(pa.concat_tables(tables) if tables else [])


def _ranks(work: Work, profile: str, encoder: str, image_set: str) -> Iterator[dict[str, Any]]:
    """Columns of core.text_ranks, of some thousands of captions."""
    import numpy as np

    from laionet_assets.stats.text_rank import text_ranks

    wnids, queries = _queries(work, profile, encoder)
    row_of = {wnid: row for row, wnid in enumerate(wnids)}
    reader = work.connection.sql(
        """
        select c.name, c.wnid, e.embedding
        from core.set_captions as c join core.set_caption_embeddings as e using (caption_id)
        where c.image_set = $image_set and e.encoder = $encoder
        """,
        params={"image_set": image_set, "encoder": encoder},
    ).to_arrow_reader(_ROWS)
    for batch in reader:
        of_captions = batch.column("wnid").to_pylist()
        own = np.array([row_of.get(wnid, -1) for wnid in of_captions], dtype=np.int64)
        found = text_ranks(matrix(batch.column("embedding")), queries, own, k=NEAREST_CLASSES)
        share = found.share(profile)
        yield {
            "profile": [profile] * len(own),
            "encoder": [encoder] * len(own),
            "image_set": [image_set] * len(own),
            "name": batch.column("name").to_pylist(),
            "wnid": of_captions,
            "similarity": known(found.own),
            "nearer": [int(count) if count >= 0 else None for count in found.nearer],
            "classes": [found.classes] * len(own),
            "share_nearer": known(share),
            "nearest_wnids": [[wnids[row] for row in rows] for rows in found.top],
            "nearest_similarities": found.top_similarity.tolist(),
        }


def _queries(work: Work, profile: str, encoder: str) -> "tuple[list[str], np.ndarray]":
    """Classes and their queries' vectors; under paper those of the paper's list alone."""
    rows = work.connection.sql(
        """
        select q.wnid, q.embedding from core.query_embeddings as q join raw.synsets as s using (wnid)
        where q.encoder = $encoder and ($profile = 'corrected' or s.in_paper_list) order by s.position
        """,
        params={"encoder": encoder, "profile": profile},
    ).to_arrow_table()
    return rows["wnid"].to_pylist(), matrix(rows["embedding"].combine_chunks())


def _write_shares(work: Work) -> None:
    """Mean share of nearer false classes by own similarity."""
    from laionet_assets.stats.text_rank import share_by_similarity

    rows = []
    for key, own, share, _ in ranked_captions(work):
        for number, each in enumerate(share_by_similarity(own, share, bins=BINS)):
            rows.append({**key, "bin": number, **asdict(each)})
    work.write_rows(rows)


def ranked_captions(
    work: Work,
) -> "Iterator[tuple[dict[str, str], np.ndarray, np.ndarray, np.ndarray]]":
    """Of each profile, encoder and image set of core.text_ranks: own similarity and share of nearer false classes of
    its captions (nan where there is none), and their classes.
    """
    import numpy as np

    keys = work.connection.execute("select distinct profile, encoder, image_set from core.text_ranks order by all")
    for key in keys.fetchall():
        rows = work.connection.execute(
            """
            select similarity, share_nearer, coalesce(wnid, '') as wnid from core.text_ranks
            where profile = ? and encoder = ? and image_set = ? order by name
            """,
            key,
        ).fetchnumpy()
        own, share = (np.ma.filled(rows[name].astype(np.float64), np.nan) for name in ("similarity", "share_nearer"))
        named = dict(zip(("profile", "encoder", "image_set"), key, strict=True))
        yield named, own, share, np.asarray(rows["wnid"], dtype=np.str_)


def matrix(vectors: Any) -> "np.ndarray":
    """A column of equally long vectors as a matrix of shape (rows, dimension)."""
    return vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(vectors), -1)


def known(values: "np.ndarray") -> list[float | None]:
    """Figures, None where there is none."""
    return [None if value != value else float(value) for value in values]
