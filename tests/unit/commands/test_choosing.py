"""What `laionet run` makes: tables and parts as people write them."""

from pathlib import Path

import dagster as dg
import pytest

from laionet_assets.assets.ingestion import untagged_sources
from laionet_assets.assets.parts import sync_parts
from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.assets.publishing import make
from laionet_assets.commands.running import chosen_parts, in_dagsters_syntax, selected_tables
from laionet_assets.definitions import build_defs
from laionet_assets.errors import UserError
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.table import PartKey

TABLES = ("core.laionet", "core.candidates", "marts.funnel")
PARTS = [PartKey("s", name) for name in ("a", "b", "x[1]", "x1", "c,d", "lang=en/part-0")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("core.laionet", 'key:"core/laionet"'),
        ("+core.laionet", '+key:"core/laionet"'),
        ("core.candidates+", 'key:"core/candidates"+'),
        ("core.candidates or marts.funnel", 'key:"core/candidates" or key:"marts/funnel"'),
        ("key:core.laionet", 'key:"core/laionet"'),
        ("group:laionet", 'group:"6_laionet"'),
        ('+group:"laionet" and not core.laionet', '+group:"6_laionet" and not key:"core/laionet"'),
        ('key:"core/laionet"', 'key:"core/laionet"'),
        ('group:"6_laionet"', 'group:"6_laionet"'),
        ("core.nothing", "core.nothing"),
        ("group:nothing", "group:nothing"),
    ],
)
def test_tables_and_groups_are_named_as_people_write_them(written: str, meant: str) -> None:
    from laionet_assets.assets.build import group_name

    meant = meant.replace("6_laionet", group_name("laionet"))
    found = in_dagsters_syntax(written.replace("6_laionet", group_name("laionet")), TABLES)
    assert found == meant
    if "nothing" not in written:
        dg.AssetSelection.from_string(found)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ([], ["a", "b", "c,d", "lang=en/part-0", "x1", "x[1]"]),
        (["x[1]"], ["x[1]"]),
        (["s/x[1]"], ["x[1]"]),
        (["x[12]"], ["x1"]),
        (["x*"], ["x1", "x[1]"]),
        (["c,d"], ["c,d"]),
        (["a,b"], ["a", "b"]),
        (["a", "s/b , x1"], ["a", "b", "x1"]),
        (["lang=en/part-0"], ["lang=en/part-0"]),
        (["lang=*"], ["lang=en/part-0"]),
    ],
)
def test_parts_by_name_by_key_and_by_pattern(patterns: list[str], names: list[str]) -> None:
    assert [part.part for part in chosen_parts(PARTS, patterns)] == names


@pytest.mark.parametrize("patterns", [["z"], ["a,z"], ["A"]])
def test_a_pattern_that_matches_nothing_is_named(patterns: list[str]) -> None:
    with pytest.raises(UserError, match=r"--parts '[zA]' matches no part; expected some of: s/a, s/b"):
        chosen_parts(PARTS, patterns)


@pytest.mark.parametrize("tags", ["[UNLIKELY]", "[UNLIKELY, UNKNOWN]"])
def test_a_source_without_tags_is_told_of_unknown(tags: str, tmp_path: Path) -> None:
    (tmp_path / "cc3m.tsv").write_text("a tench\thttp://images.invalid/a\n")
    (tmp_path / "part-0.csv").write_text("SAMPLE_ID,URL,TEXT,NSFW\n1,http://a,a tench,\n")
    (tmp_path / "laionet.yaml").write_text(
        "sources: [{name: cc, path: cc3m.tsv}, {name: laion, path: part-0.csv}]\n"
        'text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]\n'
        f"recipes: [{{name: strict, encoder: e, text_threshold: 0.5, nsfw: {tags}}}]\n"
    )
    settings = load_settings(tmp_path / "laionet.yaml")
    pipeline = build_pipeline(settings)
    assert untagged_sources(settings, pipeline.warehouse) == []
    (step,) = (step for step in pipeline.steps if step.name == "raw.parts")
    for part in sync_parts(settings, pipeline.warehouse).present:
        make(pipeline.warehouse, step, part, log=lambda message: None)
    told = untagged_sources(settings, pipeline.warehouse)
    if "UNKNOWN" in tags:
        assert told == []
    else:
        assert len(told) == 1 and told[0].startswith("source cc: ") and "by strict; add UNKNOWN" in told[0]


def test_that_a_set_cannot_be_read_is_told_with_what_reads_it(tmp_path: Path) -> None:
    (tmp_path / "laionet.yaml").write_text(
        "warehouse: ./w\nsources: [{name: web, adapter: laion400m, path: ./parts}]\n"
        'text_encoders: [{name: minilm, model: "sentence-transformers:all-MiniLM-L6-v2"}]\n'
        "recipes: [{name: r, matching: paper, encoder: minilm, text_threshold: 0.5}]\n"
    )
    settings = load_settings(tmp_path / "laionet.yaml")
    pipeline = build_pipeline(settings)
    defs = build_defs(settings, pipeline=pipeline)

    def of(select: str) -> set[str]:
        return selected_tables(defs, pipeline, select)

    assert of("core.set_images") == {"core.set_images", "core.unreadable_sets"}
    assert of("core.set_files") == {"core.set_files", "core.unreadable_sets"}
    assert {"core.set_files", "core.unreadable_sets"} <= of("+core.predictions")
    assert of("raw.synsets") == {"raw.synsets"}
