"""Other settings on a warehouse that is there, and back: each time it is what those settings make."""

import shutil
from pathlib import Path

import pytest

from laionet_assets.warehouse.catalog import open_catalog
from tests.integration.conftest import Project

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

CONFIG = """
warehouse: {warehouse}
sources: [{{name: {source}, path: {folder}/data}}]
taxonomy: {taxonomy}
text_encoders: [{{name: {encoder}, model: "sentence-transformers:all-MiniLM-L6-v2"}}]
predictors: [{predictors}]
image_sets: [{{name: drawn, layout: imagefolder, path: {folder}/drawn}}]
recipes:
  - {{name: {recipe}, matching: {profile}, encoder: {encoder}, text_threshold: 0.3, nsfw: [UNLIKELY, UNKNOWN]}}
ocr: null
"""
ONE = {
    "source": "s", "taxonomy": "three.txt", "encoder": "minilm", "recipe": "paper", "profile": "paper",
    "predictors": '{name: lite0, model: "timm:tf_efficientnet_lite0"}',
}  # fmt: skip
OTHER = {
    "source": "s", "taxonomy": "two.txt", "encoder": "renamed", "recipe": "corrected", "profile": "corrected",
    "predictors": "",
}  # fmt: skip
CAPTIONS = ("a tench on a plate", "red goldfish", "Goldfish and tench", "the great white shark", "a house", "Tench!")
TABLES = '+key:"marts/funnel" or +key:"core/predictions" or +key:"marts/class_frequency"'


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """Five small parts, a folder of four pictures, taxonomies of three classes and of two of them."""
    from PIL import Image

    folder = tmp_path / "web"
    (folder / "data").mkdir(parents=True)
    for part in range(5):
        named = [CAPTIONS[(part + i) % len(CAPTIONS)] for i in range(9)]
        lines = [f"{caption}\thttp://images.invalid/{part}-{i}" for i, caption in enumerate(named)]
        (folder / "data" / f"part-{part}.tsv").write_text("\n".join(lines) + "\n")
    for i, wnid in enumerate(("n01440764", "n01443537")):
        (folder / "drawn" / wnid).mkdir(parents=True)
        for j in range(2):
            Image.new("RGB", (64, 64), (90 * i, 80 * j, 50)).save(folder / "drawn" / wnid / f"{j}.png")
    return folder


def settings(project: Project, web: Path, chosen: dict[str, str]) -> None:
    project.folder.mkdir(parents=True, exist_ok=True)
    (project.folder / "three.txt").write_text("n01440764\nn01443537\nn01484850\n")
    (project.folder / "two.txt").write_text("n01440764\nn01443537\n")
    project.config.write_text(CONFIG.format(warehouse=project.warehouse, folder=web, **chosen))


QUESTIONS = (
    "select recipe, source, part, sample_id, wnid from core.laionet order by all",
    "select * from core.predictions order by all",
    "select * exclude (similarity) from core.caption_similarity order by all",
    "from marts.funnel order by all",
    "select source, part, ordinal, rows, pairs from raw.parts order by all",
)
SIMILARITIES = "select similarity from core.caption_similarity order by encoder, source, part, sample_id, wnid"


def made_of(project: Project, web: Path, chosen: dict[str, str]) -> tuple[list[object], list[float]]:
    """What a run by these settings publishes, similarities apart: a text that is encoded beside other texts is the same
    to the seventh digit.
    """
    settings(project, web, chosen)
    assert project.run(select=TABLES) == 0, project.printed[-1]
    with open_catalog(project.pipeline.warehouse) as connection:
        answers: list[object] = [connection.execute(question).fetchall() for question in QUESTIONS]
        similarities = [similarity for (similarity,) in connection.execute(SIMILARITIES).fetchall()]
    return answers, similarities


def assert_same(found: tuple[list[object], list[float]], expected: tuple[list[object], list[float]]) -> None:
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], abs=1e-6)


def test_another_taxonomy_encoder_recipe_and_no_predictor_and_back(web: Path, tmp_path: Path) -> None:
    project = Project(folder=tmp_path / "project", parts=web / "data")
    first = made_of(project, web, ONE)
    assert project.count("select count(distinct wnid) from core.laionet") == 3
    assert project.count("select count(distinct image_id) from core.predictions where model = 'lite0'") == 4
    made_of(project, web, OTHER)
    assert project.count("select count(distinct wnid) from core.laionet") == 2
    assert project.count("select count(*) from core.predictions") == 0
    assert project.count("select count(*) from core.caption_similarity where encoder <> 'renamed'") == 0
    assert_same(made_of(project, web, ONE), first)
    assert project.run(select=TABLES) == 0 and "up to date" in project.printed[-1]


def test_two_configurations_with_sources_of_their_own_on_one_warehouse(web: Path, tmp_path: Path) -> None:
    """Each sets the other's source aside, and takes its own up again; files of the other's stay."""
    project = Project(folder=tmp_path / "project", parts=web / "data")
    another = tmp_path / "another"
    shutil.copytree(web, another)
    first = made_of(project, web, ONE)
    made_of(project, another, {**OTHER, "source": "t"})
    assert "source s is not in the settings: its rows are set aside, its files stay" in project.printed[-1]
    assert project.count("select count(*) from raw.parts where source = 's'") == 0
    assert list(project.warehouse.glob("core/candidates/source=s/part=*/data.parquet"))
    assert_same(made_of(project, web, ONE), first)
