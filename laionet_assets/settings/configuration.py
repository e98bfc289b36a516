"""All keys of `laionet.yaml`, and what must hold between them.

A key of the file can be overridden by an environment variable, `LAIONET_` + the key's path in capitals joined by two
underscores (`LAIONET_WAREHOUSE`, `LAIONET_DUCKDB__THREADS`). Relative paths are relative to the folder of the file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from laionet_assets.settings.image_sets import (
    ComparedSettings,
    ImageSetSettings,
    NeighboursSettings,
    PublishedResultsSettings,
)
from laionet_assets.settings.images import ImagesSettings
from laionet_assets.settings.models import (
    ModelSettings,
    OcrSettings,
    PictureModelSettings,
    PredictorSettings,
    TextEncoderSettings,
)
from laionet_assets.settings.recipes import ImageSimilaritySettings, RecipeSettings
from laionet_assets.settings.running import DuckDBSettings, RefreshSettings
from laionet_assets.settings.sources import SourceSettings
from laionet_assets.settings.values import InWords, Location, Name, StorageOptions

Severities = Annotated[
    dict[str, dict[str, Literal["critical", "warning"]]],
    InWords("mapping of tables to mappings of checks to critical or warning"),
]

TAXONOMIES = ("imagenet-1k", "imagenet-21k")
"""Taxonomies that come with the project."""


class Settings(BaseSettings):
    """All of `laionet.yaml`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="LAIONET_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    warehouse: Location = Field("./warehouse", description="Folder or URL of the lake of Parquet files.")
    sources: tuple[SourceSettings, ...] = Field(min_length=1)
    taxonomy: str = Field("imagenet-1k", description="The classes: imagenet-1k, imagenet-21k, or a file of wnids.")
    text_encoders: tuple[TextEncoderSettings, ...] = Field(min_length=1)
    image_encoders: tuple[PictureModelSettings, ...] = ()
    predictors: tuple[PredictorSettings, ...] = ()
    image_sets: tuple[ImageSetSettings, ...] = ()
    prototypes: Name | None = Field(
        None, description="Name of one of `image_sets` whose mean picture of a class others are compared with."
    )
    published_results: tuple[PublishedResultsSettings, ...] = ()
    images: ImagesSettings = ImagesSettings()
    ocr: OcrSettings | None = OcrSettings()
    recipes: tuple[RecipeSettings, ...] = Field(min_length=1)
    neighbours: NeighboursSettings | None = Field(
        None, description="The captions of the web nearest to those of an image set; without it none are searched."
    )
    judgements: tuple[Path, ...] = Field(
        (), description="Files of verdicts: what people wrote into the verdicts.csv of `laionet judge`."
    )
    checks: Severities = Field(
        default_factory=dict,
        description="Severity of checks, by table and name: {core.candidates: {grain_is_unique: warning}}. A critical "
        "one keeps its table from being published. Those that guard removals, block lists, clearance and opt-outs are "
        "fixed.",
    )
    duckdb: DuckDBSettings = DuckDBSettings()
    refresh: RefreshSettings = RefreshSettings()
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="Options of the fsspec filesystem of the warehouse's URL; secrets as references: ${NAME}.",
    )
    config_path: Path = Field(exclude=True, description="The file these settings were read from.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @field_validator("taxonomy")
    @classmethod
    def _taxonomy_is_known(cls, value: str) -> str:
        if value not in TAXONOMIES and "/" not in value and "." not in value:
            raise ValueError(f"found {value!r}, expected imagenet-1k, imagenet-21k or the path of a file of wnids")
        return value

    @model_validator(mode="after")
    def _names_are_consistent(self) -> "Settings":
        problems = []
        for key in ("sources", "text_encoders", "image_encoders", "predictors"):
            problems += [f"{key}: the name {name!r} is used twice" for name in _twice(getattr(self, key))]
        sets = (*self.recipes, *self.image_sets, *self.published_results, *self._neighbours)
        problems += [
            f"recipes, image_sets, published_results, neighbours: the name {name!r} is used twice; each names an image "
            "set"
            for name in _twice(sets)
        ]
        owners = [*(item.name for item in self.recipes), *(item.name for item in self.published_results)]
        problems += [
            f"{key}[{i}].weighted_by: found {item.weighted_by!r}, expected a recipe or one of published_results: "
            f"{', '.join(owners)}"
            for key in ("image_sets", "published_results")
            for i, item in enumerate(getattr(self, key))
            if item.weighted_by is not None and item.weighted_by not in owners
        ]
        problems += [problem for item in self._neighbours for problem in self._neighbours_problems(item, owners)]
        problems += [
            f"recipes[{i}].drop_text_in_image: needs `ocr`, which is switched off (ocr: null)"
            for i, recipe in enumerate(self.recipes)
            if recipe.drop_text_in_image and self.ocr is None
        ]
        encoders = [encoder.name for encoder in self.text_encoders]
        problems += [
            f"recipes[{i}].encoder: found {recipe.encoder!r}, expected one of text_encoders: {', '.join(encoders)}"
            for i, recipe in enumerate(self.recipes)
            if recipe.encoder not in encoders
        ]
        problems += self._problems_of_pictures()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems_of_pictures(self) -> list[str]:
        """What is wrong with how pictures are compared with classes."""
        encoders = [encoder.name for encoder in self.image_encoders]
        local = [image_set.name for image_set in self.image_sets]
        problems = []
        if self.prototypes is not None and self.prototypes not in local:
            problems.append(
                f"prototypes: found {self.prototypes!r}, expected one of image_sets: {', '.join(local) or 'none'}"
            )
        for i, recipe in enumerate(self.recipes):
            by = recipe.image_similarity
            if recipe.image_threshold is not None and not encoders:
                problems.append(f"recipes[{i}].image_threshold: needs `image_encoders`, of which there are none")
            if by is not None and by.encoder not in encoders:
                problems.append(
                    f"recipes[{i}].image_similarity.encoder: found {by.encoder!r}, expected one of image_encoders: "
                    f"{', '.join(encoders) or 'none'}"
                )
            if by is not None and by.kind == "prototype" and self.prototypes is None:
                problems.append(
                    f"recipes[{i}].image_similarity.kind: prototype needs `prototypes`, the name of an image set"
                )
        return problems

    def image_similarity_of(self, recipe: RecipeSettings) -> tuple[ModelSettings, str] | None:
        """The image encoder and kind that tell how near the pictures of a recipe are to their classes, None where it
        has no use for that.
        """
        if recipe.image_similarity is None and recipe.image_threshold is None:
            return None
        by = recipe.image_similarity or ImageSimilaritySettings(encoder=self.image_encoders[0].name)
        (encoder,) = (each for each in self.image_encoders if each.name == by.encoder)
        return encoder, by.kind or ("head" if encoder.model.startswith("timm:") else "query")

    @property
    def _neighbours(self) -> tuple[NeighboursSettings, ...]:
        return (self.neighbours,) if self.neighbours is not None else ()

    def _neighbours_problems(self, item: NeighboursSettings, owners: Sequence[str]) -> list[str]:
        captioned = [image_set.name for image_set in self.image_sets if image_set.captions is not None]
        encoders = [encoder.name for encoder in self.text_encoders]
        problems = []
        if not captioned:
            problems.append("neighbours: needs an image set with captions: set image_sets[].captions, or take it away")
        elif item.captions_of is not None and item.captions_of not in captioned:
            problems.append(
                f"neighbours.captions_of: found {item.captions_of!r}, expected an image set with captions: "
                f"{', '.join(captioned)}"
            )
        if item.encoder is not None and item.encoder not in encoders:
            problems.append(
                f"neighbours.encoder: found {item.encoder!r}, expected one of text_encoders: {', '.join(encoders)}"
            )
        if item.weighted_by is not None and item.weighted_by not in owners:
            problems.append(
                f"neighbours.weighted_by: found {item.weighted_by!r}, expected a recipe or one of published_results: "
                f"{', '.join(owners)}"
            )
        return problems

    @property
    def compared(self) -> Sequence[ComparedSettings]:
        """The image sets beside LAIONet, in the order of the settings."""
        return (*self.image_sets, *self._neighbours, *self.published_results)

    @property
    def home(self) -> Path:
        """Folder of the configuration file: what relative paths are relative to."""
        return self.config_path.parent

    def resolve(self, path: str | Path) -> str:
        """`path` as given if it is a URL, otherwise absolute, relative to the configuration file."""
        text = str(path)
        return text if "://" in text else str((self.home / Path(text).expanduser()).resolve())

    @property
    def warehouse_root(self) -> str:
        """Absolute folder or URL of the warehouse, without a trailing slash."""
        return self.resolve(self.warehouse.removeprefix("file://")).rstrip("/")

    @property
    def image_location(self) -> str:
        """Absolute folder or URL of the image store."""
        return self.resolve(self.images.location) if self.images.location else f"{self.warehouse_root}/images"

    @property
    def taxonomy_source(self) -> str:
        """Name of a bundled taxonomy, or the absolute path of a file of wnids."""
        return self.taxonomy if self.taxonomy in TAXONOMIES else self.resolve(self.taxonomy)


def _twice(items: Sequence[Any]) -> list[str]:
    """Names that several items have, sorted."""
    names = [item.name for item in items]
    return sorted({name for name in names if names.count(name) > 1})
