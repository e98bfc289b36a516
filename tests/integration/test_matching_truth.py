"""Matching through the whole pipeline against what is known: the truth of the web, the oracle on real captions."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from laionet_assets.warehouse.catalog import open_catalog
from tests.integration.conftest import Project
from tests.unit.sql.test_matching import BY_HAND, IMAGENET_ORACLE

pytestmark = pytest.mark.integration


def test_candidates_of_the_synthetic_web_are_the_expected_ones(project: Project) -> None:
    """Precision and recall are 1 for both profiles, over every admitted row and every trap of the web."""
    project.add_part(0, rows=1500)
    assert project.run(select='+key:"core/candidates"') == 0
    truth = project.folder / "drawn" / "truth" / "part-00000.parquet"
    query = f"""
        with truth as (select sample_id, expected_paper, expected_corrected from read_parquet('{truth}')),
        pairs as (select sample_id from raw.pairs),
        expected as (
            select 'paper' as matching, sample_id, unnest(expected_paper) as wnid
            from truth semi join pairs using (sample_id)
            union all
            select 'corrected', sample_id, unnest(expected_corrected) from truth semi join pairs using (sample_id)
        ),
        found as (select matching, sample_id, wnid from core.candidates)
        select matching, 'missed' as what, count(*) from (from expected except from found) group by all
        union all
        select matching, 'invented', count(*) from (from found except from expected) group by all
    """
    with open_catalog(project.pipeline.warehouse) as connection:
        assert connection.execute(query).fetchall() == []
        sizes = dict(connection.execute("select matching, count(*) from core.candidates group by all").fetchall())
    assert sizes["corrected"] > sizes["paper"] > 100


def test_a_part_of_captions_that_are_hard_to_fold_is_published(project: Project) -> None:
    """Lemmas that end in punctuation, emoji, what shows nothing: every check passes, the oracle's rows are there."""
    captions = [caption for caption, _, _ in BY_HAND if caption is not None]
    project.parts.mkdir()
    rows = range(len(captions))
    columns = {"SAMPLE_ID": list(rows), "URL": [f"https://a.invalid/{i}.jpg" for i in rows], "TEXT": captions}
    pq.write_table(
        pa.table({**columns, "NSFW": ["UNLIKELY" for _ in rows], "similarity": [0.3 for _ in rows]}),
        project.parts / "part-00000.parquet",
    )
    assert project.run(select='+key:"core/candidates"') == 0, project.printed[-1]
    with open_catalog(project.pipeline.warehouse) as connection:
        found = connection.execute(
            "select matching, sample_id, lemma, wnid, char_offset, char_length from core.caption_matches"
        ).fetchall()
    expected = {
        (matching, i, match.lemma, match.wnid, match.char_offset, match.char_length)
        for matching in ("paper", "corrected")
        for i, caption in enumerate(captions)
        for match in IMAGENET_ORACLE.matches(matching, caption)
    }
    assert sorted(found) == sorted(expected)
    assert ("R.V.", 3) in {(lemma, length) for _, _, lemma, _, _, length in found}


@pytest.mark.slow
@pytest.mark.real_data
def test_the_main_job_on_real_captions(project: Project, real_data: Path) -> None:
    """The 4 real parts to LAIONet and its funnel with the bundled encoder, both profiles."""
    project.parts = real_data / "captions"
    project.configure()
    wanted = '+key:"marts/funnel" or +key:"marts/matching_gain" or +key:"marts/threshold_sweep"'
    assert project.run(select=wanted) == 0, project.printed[-1]
    with open_catalog(project.pipeline.warehouse) as connection:
        rows, pairs = connection.execute("select sum(rows), sum(pairs) from raw.parts").fetchone()
        assert (rows, pairs) == (4971, 4971)
        single = connection.execute(
            "select matching, count(*), count(distinct wnid) from core.candidates "
            "where classes = 1 group by all order by all"
        ).fetchall()
        assert single == [("corrected", 890, 267), ("paper", 243, 131)]
        low, high = connection.execute(
            "select min(similarity), max(similarity) from core.caption_similarity"
        ).fetchone()
        assert -0.3 < low < 0.1 and 0.5 < high < 1
        chosen = connection.execute("select recipe, count(*) from core.laionet group by all order by all").fetchall()
        assert [recipe for recipe, _ in chosen] == ["corrected", "paper"]
    oracle = _published_rule(real_data)
    with open_catalog(project.pipeline.warehouse) as connection:
        found = connection.execute(
            "select part, sample_id % 100000000, wnid from core.candidates where matching = 'paper'"
        )
        assert set(found.fetchall()) == oracle


def _published_rule(real_data: Path) -> set[tuple[str, int, str]]:
    """(part, row, wnid) by the published rule in plain Python, over the published lemma map."""
    import json
    import string

    lemmas = json.loads((real_data / "golden/lemma_to_wnid.json").read_text())
    husky = {"n02112837": "n02110185"}
    spaces = str.maketrans(dict.fromkeys(string.punctuation, " "))
    matches = set()
    for path in sorted((real_data / "captions").glob("*.parquet")):
        rows = duckdb.sql(f"select TEXT from read_parquet('{path}')").fetchall()
        for row, (caption,) in enumerate(rows):
            text = f" {caption.translate(spaces)} "
            for lemma, wnid in lemmas.items():
                if f" {lemma} " in text:
                    matches.add((path.name.split(".")[0], row, husky.get(wnid, wnid)))
    return matches
