"""All keys together: defaults, paths, units, and what must hold between keys."""

import re
from pathlib import Path

import pytest

from laionet_assets.settings import SettingsError, load_settings
from tests.unit.settings.files import MINIMAL, write


def test_defaults_and_paths_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, MINIMAL))
    assert settings.warehouse_root == str(tmp_path / "warehouse")
    assert settings.taxonomy_source == "imagenet-1k"
    assert settings.resolve("s3://bucket/x") == "s3://bucket/x"
    assert settings.recipes[0].nsfw == ("UNLIKELY",)
    assert settings.recipes[0].top_k is None
    assert settings.refresh.enabled is False


def test_sizes_are_read_with_their_units(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, MINIMAL + "images: {quota: 5GB, location: pictures}"))
    assert settings.images.quota == 5_000_000_000
    assert settings.image_location == str(tmp_path / "pictures")
    assert load_settings(write(tmp_path, MINIMAL)).image_location == str(tmp_path / "warehouse" / "images")


@pytest.mark.parametrize("name", ["imagenet-mine.txt", "imagenet-21k.txt", "mine/imagenet-1k"])
def test_a_file_of_wnids_may_be_named_like_a_taxonomy(tmp_path: Path, name: str) -> None:
    """And is looked for beside the settings, wherever the command is run."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("n01440764\n")
    settings = load_settings(write(tmp_path, f"taxonomy: {name}\n{MINIMAL}"))
    assert settings.taxonomy_source == str(tmp_path / name)


def test_recipe_naming_an_unknown_encoder(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("encoder: e", "encoder: clip"))
    with pytest.raises(SettingsError, match=r"recipes\[0\]\.encoder: found 'clip', expected one of text_encoders: e"):
        load_settings(path)


def test_names_used_twice(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL.replace("recipes: [", "recipes: [{name: r, encoder: e, text_threshold: 0.1}, "))
    with pytest.raises(
        SettingsError, match="recipes, image_sets, published_results, neighbours: the name 'r' is used twice"
    ):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: {fetch: {enabled: true}}", "images.fetch: enabled: true needs `contact`"),
        ("ocr: null", r"recipes\[0\].drop_text_in_image: needs `ocr`"),
        (
            "published_results: [{name: r, path: ./parts, weighted_by: s}]",
            r"published_results\[0\].weighted_by: found 's', expected a recipe or one of published_results: r",
        ),
        ("images: {removals: gone.csv}", "images.removals: .*gone.csv does not exist"),
        ("images: {quota: lots}", "images.quota: .*lots"),
    ],
)
def test_images_predictions_and_text(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "parts").mkdir()
    path = write(tmp_path, MINIMAL.replace("0.5}", "0.5, drop_text_in_image: true}") + text)
    with pytest.raises(SettingsError, match=message):
        load_settings(path)


NEAR = """
warehouse: w
sources: [{name: web, path: parts}]
text_encoders: [{name: e, model: "sentence-transformers:all-MiniLM-L6-v2"}]
image_encoders: [{name: lite, model: "timm:tf_efficientnet_lite0"}, {name: clip, model: "open_clip:ViT-B-32/openai"}]
recipes:
  - {name: plain, encoder: e, text_threshold: 0.5}
  - {name: first, encoder: e, text_threshold: 0.5, image_threshold: 0.2}
  - {name: clip, encoder: e, text_threshold: 0.5, image_threshold: 0.2, image_similarity: {encoder: clip}}
  - {name: pool, encoder: e, text_threshold: 0.5, image_similarity: {encoder: clip, kind: query}}
"""


def test_a_picture_is_compared_as_its_encoder_can(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, NEAR))
    found = [settings.image_similarity_of(recipe) for recipe in settings.recipes]
    assert [each and (each[0].name, each[1]) for each in found] == [
        None, ("lite", "head"), ("clip", "query"), ("clip", "query"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("encoder: clip, kind: query", "encoder: lost"), "recipes[3].image_similarity.encoder: found 'lost'"),
        (("kind: query", "kind: prototype"), "recipes[3].image_similarity.kind: prototype needs `prototypes`"),
        (("warehouse: w", "warehouse: w\nprototypes: lost"), "prototypes: found 'lost'"),
    ],
)
def test_what_pictures_are_compared_by_must_be_there(tmp_path: Path, edit: tuple[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        load_settings(write(tmp_path, NEAR.replace(*edit)))


def test_an_image_threshold_needs_an_image_encoder(tmp_path: Path) -> None:
    text = MINIMAL.replace("0.5}", "0.5, image_threshold: 0.2}")
    with pytest.raises(SettingsError, match=re.escape("recipes[0].image_threshold: needs `image_encoders`")):
        load_settings(write(tmp_path, text))


CAPTIONED = """
image_sets: [{name: v, layout: imagefolder, path: ./v, captions: ./c.csv}, {name: w, layout: imagefolder, path: ./v}]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("neighbours: {over: all}", "neighbours: needs an image set with captions: set image_sets"),
        (CAPTIONED + "neighbours: {captions_of: w}", "neighbours.captions_of: found 'w', expected an image set with"),
        (CAPTIONED + "neighbours: {encoder: f}", "neighbours.encoder: found 'f', expected one of text_encoders: e"),
        (CAPTIONED + "neighbours: {weighted_by: v}", "neighbours.weighted_by: found 'v', expected a recipe"),
        (CAPTIONED + "neighbours: {name: v}", "the name 'v' is used twice; each names an image set"),
        (CAPTIONED + "neighbours: {threshold: 0.4}", "neighbours: fetch_above: 0.5 is above threshold: 0.4"),
        (CAPTIONED.replace("./c.csv", "./d.csv"), r"image_sets\[0\].captions: .*d.csv does not exist"),
        (CAPTIONED + "neighbours: {classes: ./d.json}", "neighbours.classes: .*d.json does not exist"),
    ],
)
def test_neighbours_need_captions_and_what_they_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "c.csv").touch()
    with pytest.raises(SettingsError, match=message):
        load_settings(write(tmp_path, MINIMAL + text))


def test_neighbours_of_the_first_set_with_captions(tmp_path: Path) -> None:
    from laionet_assets.assets.nearest_captions import search_row

    (tmp_path / "v").mkdir()
    (tmp_path / "c.csv").touch()
    settings = load_settings(write(tmp_path, MINIMAL + CAPTIONED + "neighbours: {}"))
    assert settings.neighbours is not None
    row = search_row(settings, settings.neighbours)
    assert (row["image_set"], row["captions_of"], row["encoder"], row["over"]) == ("neighbours", "v", "e", "all")
    assert [one.name for one in settings.compared] == ["v", "w", "neighbours"]
