"""Stage similarity, how alike pictures are: core.class_similarity, what compares image sets by it, and rank
correlations with it.

Belongs here: reading vectors class by class, and rows into and out of statistics. Does not belong here: the statistics
(`stats`), which pictures count (core.compared_images is SQL), vectors (`embeddings`).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from laionet_assets.assets.steps import Computation, Step, Work
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.intra_class import PAPER_MIN_PAIRS, ClassImages, summarise_classes
from laionet_assets.warehouse.warehouse import digest

if TYPE_CHECKING:
    import pyarrow as pa

    from laionet_assets.stats.comparison import ClassMeans, DrawnMeans

CLASS_SIMILARITY = "core.class_similarity"
SUMMARY = "class similarity"
"""The computation of core.class_similarity: a class's figures from its vectors."""
PROFILES = ("corrected", "paper")
_COMPARED = "select * from core.compared_images"
_VECTORS_AT_ONCE = 2_048
_SUMMARISED = (
    "images", "pairs", "mean_similarity", "se", "ci_low", "ci_high", "pairs_se", "pairs_ci_low", "pairs_ci_high",
    "mean_distinct", "se_distinct", "n_exact", "n_near", "vendi", "drawn_pairs", "drawn_mean",
)  # fmt: skip


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the five tables."""
    models = project.models
    return {
        CLASS_SIMILARITY: Step(
            model=models[CLASS_SIMILARITY],
            write=_write_class_similarity,
            computations=(Computation(SUMMARY, summarise_classes),),
        ),
        "marts.similarity_comparison": Step(model=models["marts.similarity_comparison"], write=_write_comparison),
        "marts.similarity_shares": Step(model=models["marts.similarity_shares"], write=_write_shares),
        "marts.cross_set_similarity": Step(model=models["marts.cross_set_similarity"], write=_write_cross_set),
        "marts.class_correlations": Step(model=models["marts.class_correlations"], write=_write_correlations),
    }


def _write_class_similarity(work: Work) -> None:
    write_class_summaries(work, _COMPARED, ("profile", "image_set"))


def write_class_summaries(work: Work, compared: str, sets: tuple[str, str]) -> None:
    """A row a class of sets of pictures. Classes whose pictures, vectors' models and code are as before keep their
    rows; the others are read, one at a time.

    `compared`: a SELECT of rows as core.compared_images has them; `sets` names the two columns that say which set.
    """
    connection, table = work.connection, work.model.table
    grain = ", ".join((*sets, "encoder", "wnid"))
    connection.execute(
        f"""
        create temp table classes as
        select
            {grain},
            md5($1 || string_agg(
                concat_ws(' ', image_id, sha256, look, coalesce(phash, 0), model_identity, nullif(copies, 1)),
                chr(10) order by image_id
            )) as content,
        from ({compared})
        group by all
        """,
        [digest(work.labels[SUMMARY], *table.column_names)],
    )
    connection.execute(f"""
        create temp table kept as
        select p.* from ({work.published_select}) as p semi join classes using ({grain}, content)
    """)
    connection.execute(f"create temp table missing as select * from classes anti join kept using ({grain})")
    ((kept,),) = connection.execute("select count(*) from kept").fetchall()
    ((missing,),) = connection.execute("select count(*) from missing").fetchall()
    work.log(f"{kept + missing:,} classes of image sets and encoders: {kept:,} are as before")
    rows = list(_summaries(work, compared, sets))
    made = work.typed({name: [row[name] for row in rows] for name in table.column_names}) if rows else None
    if made is not None:
        connection.register("made", made)
    columns = ", ".join(table.column_names)
    made_too = f"union all select {columns} from made" if rows else ""
    work.write_rows(f"select {columns} from kept {made_too}")


def _summaries(work: Work, compared: str, sets: tuple[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of the classes that are missing, one set and encoder after the other."""
    named = ", ".join((*sets, "encoder"))
    groups = work.connection.execute(f"select distinct {named} from missing order by all").fetchall()
    contents = dict(
        ((*key,), content)
        for *key, content in work.connection.execute(f"select {named}, wnid, content from missing").fetchall()
    )
    for group in groups:
        work.log(f"{', '.join(group)}: pictures compared class by class")
        key = dict(zip((*sets, "encoder"), group, strict=True))
        for found in summarise_classes(_classes(work, compared, key)):
            wnid = found.row["wnid"]
            yield {
                **key,
                "wnid": wnid,
                **{name: found.row[name] for name in _SUMMARISED},
                "histogram": found.histogram.tolist(),
                "content": contents[*group, wnid],
            }


def _classes(work: Work, compared: str, key: Mapping[str, str]) -> Iterator[ClassImages]:
    """The missing classes of a set of pictures, each with its vectors."""
    is_asked = " and ".join(f"c.{name} = ${name}" for name in key)
    asked = f"select c.* from ({compared}) as c semi join missing using ({', '.join(key)}, wnid) where {is_asked}"
    for wnid, images in groupby(_images(_reader(work, asked, key)), key=lambda image: image[0]):
        yield _class_images(wnid, list(images))


def _reader(work: Work, asked: str, parameters: Mapping[str, str]) -> "pa.RecordBatchReader":
    """The pictures asked for (rows of core.compared_images of $encoder) with their vectors, by class and image set:
    sorting them is DuckDB's, on disk where memory is short.
    """
    return work.connection.sql(
        f"""
        with asked as (
            select *, unnest(range(1, copies + 1)) as copy from ({asked})
        ),
        of_parts as (
            select source, part, sha256, profile as look, encoder, embedding
            from core.image_embeddings where encoder = $encoder
        ),
        of_sets as (
            select image_set, image_id, encoder, embedding from core.set_embeddings where encoder = $encoder
        )
        select a.wnid, a.image_set, a.image_id || if(a.copy > 1, '#' || a.copy, '') as image_id, a.sha256, a.phash,
            v.embedding,
        from asked as a join of_parts as v using (source, part, sha256, look, encoder)
        union all
        select a.wnid, a.image_set, a.image_id, a.sha256, a.phash, v.embedding
        from asked as a join of_sets as v using (image_set, image_id, encoder)
        where a.source is null
        order by wnid, image_set, image_id
        """,
        params=dict(parameters),
    ).to_arrow_reader(_VECTORS_AT_ONCE)


def _images(reader: "pa.RecordBatchReader") -> Iterator[tuple[Any, ...]]:
    """Pictures with their vectors, one after the other."""
    for batch in reader:
        lists = batch.column("embedding")
        vectors = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
        ids = (batch.column(name).to_pylist() for name in ("wnid", "image_set", "image_id", "sha256", "phash"))
        yield from zip(*ids, vectors, strict=True)


def _class_images(wnid: str, images: Sequence[tuple[Any, ...]]) -> ClassImages:
    import numpy as np

    _, _, ids, sha256, hashes, vectors = zip(*images, strict=True)
    return ClassImages(wnid, ids, np.stack(vectors), sha256, hashes)


SIDES = f"""
    select * exclude (histogram, content) from {CLASS_SIMILARITY}
    where pairs > 0 and (profile = 'corrected' or pairs >= {PAPER_MIN_PAIRS})
    order by profile, encoder, image_set, wnid
"""


def _write_comparison(work: Work) -> None:
    """Every ordered pair of image sets, class by class."""
    from laionet_assets.stats.comparison import compare

    columns = {
        "difference": "difference", "se": "se", "ci_low": "low", "ci_high": "high", "p": "p", "is_lower": "is_lower",
        "is_higher": "is_higher", "is_lower_bh": "is_lower_bh", "is_higher_bh": "is_higher_bh",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for key, one, other in pairs_of_sets(work):
        found = compare(class_means(key["profile"], one), class_means(key["profile"], other))
        arrays = {name: getattr(found, attribute).tolist() for name, attribute in columns.items()}
        for i, wnid in enumerate(found.wnids.tolist()):
            rows.append({**key, "wnid": wnid, **{name: known(values[i]) for name, values in arrays.items()}})
    write_mappings(work, rows)


def _write_shares(work: Work) -> None:
    """Every ordered pair of image sets: shares of classes, and pooled means."""
    from laionet_assets.stats.comparison import compare, pooled_difference, shares

    estimates = (
        "mean_lower", "lower", "higher", "lower_minus_higher", "lower_bh", "higher_bh", "lower_minus_higher_bh",
    )  # fmt: skip
    frequencies = dict(work.connection.execute("select image_set, selection_frequency from raw.image_sets").fetchall())
    rows: list[dict[str, Any]] = []
    for key, one, other in pairs_of_sets(work):
        differences = compare(class_means(key["profile"], one), class_means(key["profile"], other))
        if not len(differences.wnids):
            continue
        found = shares(differences)
        drawn = [drawn_means(side) for side in (one, other)]
        row = {**key, "other_selection_frequency": frequencies.get(key["other_image_set"])}
        row |= {"classes": found.classes, "tested": found.tested}
        for name in estimates:
            row |= interval(name, getattr(found, name))
        row |= interval("pooled_difference", pooled_difference(*drawn))
        common = set(differences.wnids.tolist())
        for name, side in (("pooled_mean", one), ("other_pooled_mean", other)):
            row[name] = _pooled_mean([each for each in side if each["wnid"] in common])
        rows.append(row)
    write_mappings(work, rows)


def _write_cross_set(work: Work) -> None:
    """Every two image sets that are not both recipes, class by class; recipes share pictures with each other."""
    from itertools import combinations

    import numpy as np

    from laionet_assets.stats.similarity import ClassVectors, between_sets
    from laionet_assets.stats.threads import matrix_threads

    sets = work.connection.execute("select image_set, kind from raw.image_sets order by position").fetchall()
    pairs = [(a, b) for (a, kind), (b, other) in combinations(sets, 2) if not kind == other == "recipe"]
    rows: list[dict[str, Any]] = []
    for encoder, wnid, images in classes_of_sets(work):
        sides = {
            name: ClassVectors(np.stack([image[-1] for image in group]))
            for name, group in groupby(images, key=lambda image: image[1])
        }
        for one, other in (pair for pair in pairs if set(pair) <= sides.keys()):
            with matrix_threads(max(sides[one].images, sides[other].images)):
                found = between_sets(sides[one], sides[other])
            key = {"image_set": one, "other_image_set": other, "encoder": encoder, "wnid": wnid}
            counts = {"images": sides[one].images, "other_images": sides[other].images}
            bounds = {"mean_similarity": found.mean, "ci_low": found.low, "ci_high": found.high}
            rows.append(key | counts | bounds)
    write_mappings(work, rows)


def classes_of_sets(work: Work) -> Iterator[tuple[str, str, Iterator[tuple[Any, ...]]]]:
    """Encoder, class, and the pictures of the class in every image set, by set: (wnid, image set, image id, sha256,
    perceptual hash, vector). Pictures that take part.
    """
    encoders = work.connection.execute("select distinct encoder from core.compared_images order by all").fetchall()
    for (encoder,) in encoders:
        asked = f"{_COMPARED} where profile = 'corrected' and encoder = $encoder"
        for wnid, images in groupby(_images(_reader(work, asked, {"encoder": encoder})), key=lambda image: image[0]):
            yield encoder, wnid, images


def _write_correlations(work: Work) -> None:
    """Rank correlations over classes: of similarity, its difference, relative frequency and recall."""
    import numpy as np

    from laionet_assets.stats.correlations import kendall, spearman

    pairs = (
        ("relative_frequency", "recall"),
        ("mean_similarity", "recall"),
        ("mean_similarity", "relative_frequency"),
        ("similarity_difference", "recall"),
    )
    grain = ("image_set", "other_image_set", "encoder", "model")
    profiles = work.connection.sql(
        f"select * from marts.class_profile order by {', '.join(grain)}, wnid"
    ).to_arrow_table()
    rows: list[dict[str, Any]] = []
    for key, group in groupby(profiles.to_pylist(), key=lambda row: tuple(row[name] for name in grain)):
        classes = list(group)
        for x, y in pairs:
            values = [np.array([row[name] for row in classes], dtype=np.float64) for name in (x, y)]
            rho, tau = spearman(*values), kendall(*values)
            rows.append(
                {**dict(zip(grain, key, strict=True)), "x": x, "y": y, "classes": rho.units}
                | interval("spearman", rho)
                | interval("kendall", tau)
            )
    write_mappings(work, rows)


def pairs_of_sets(work: Work) -> Iterator[tuple[dict[str, str], list[dict[str, Any]], list[dict[str, Any]]]]:
    """Ordered pairs of image sets of one profile and encoder, with the rows of their classes."""
    from itertools import permutations

    classes = work.connection.sql(SIDES).to_arrow_table().to_pylist()
    for (profile, encoder), group in groupby(classes, key=lambda row: (row["profile"], row["encoder"])):
        sets = {name: list(rows) for name, rows in groupby(group, key=lambda row: row["image_set"])}
        for one, other in permutations(sets, 2):
            key = {"profile": profile, "image_set": one, "other_image_set": other, "encoder": encoder}
            yield key, sets[one], sets[other]


def class_means(profile: str, classes: Sequence[Mapping[str, Any]], *, is_distinct: bool = False) -> "ClassMeans":
    """The means of classes, with the error of the profile; with `is_distinct`, under corrected, of one picture of each
    group of duplicates.
    """
    import numpy as np

    from laionet_assets.stats.comparison import ClassMeans

    def column(name: str) -> Any:
        return np.array([row[name] for row in classes], dtype=np.float64)

    wnids = np.array([row["wnid"] for row in classes], dtype=np.str_)
    if profile == "paper":
        return ClassMeans(wnids, column("mean_similarity"), column("pairs_se"))
    if is_distinct:
        left = column("images") - column("n_exact") - column("n_near")
        has_pair = left > 1
        values = (column("mean_distinct"), column("se_distinct"), left - 1)
        return ClassMeans(wnids[has_pair], *(each[has_pair] for each in values))
    return ClassMeans(wnids, column("mean_similarity"), column("se"), column("images") - 1)


def drawn_means(classes: Sequence[Mapping[str, Any]]) -> "DrawnMeans":
    """What classes give to the published pooled mean."""
    import numpy as np

    from laionet_assets.stats.comparison import DrawnMeans

    return DrawnMeans(
        np.array([row["wnid"] for row in classes], dtype=np.str_),
        np.array([row["drawn_mean"] for row in classes], dtype=np.float64),
        np.array([row["drawn_pairs"] for row in classes], dtype=np.int64),
    )


def _pooled_mean(classes: Sequence[Mapping[str, Any]]) -> float:
    draws = sum(row["drawn_pairs"] for row in classes)
    return sum(row["drawn_pairs"] * row["drawn_mean"] for row in classes) / draws


def interval(name: str, estimate: Any) -> dict[str, float | None]:
    """An estimate as three columns: the figure, and the ends of its interval."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def known(value: Any) -> Any:
    """A figure, None where there is none."""
    return None if value != value else value


def write_mappings(work: Work, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that may have more than the columns of the table."""
    names = work.model.table.column_names
    work.write_rows({name: [row[name] for row in rows] for name in names})
