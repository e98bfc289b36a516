"""`image_sets`, `published_results`, `neighbours`: what LAIONet is compared with."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from laionet_assets.settings.values import Name, NsfwTag, Profile, Section


class ComparedSettings(Section):
    """An image set that stands beside LAIONet: which of its classes count, and whose frequencies weight them."""

    name: Name = Field(description="Name of the image set in tables; no two, of recipes too, have the same.")
    classes: Path | None = Field(
        None, description="Label list (.json, .pkl) of the classes that count; all of the set's own without it."
    )
    weighted_by: Name | None = Field(
        None, description="Recipe or published result set whose class frequencies weight it; default: the first recipe."
    )


class ImageSetSettings(ComparedSettings):
    """A local set of labelled images."""

    layout: Literal["imagefolder", "ilsvrc2012-val", "imagenetv2", "img2dataset", "webdataset"] = Field(
        description="How the pictures lie there, and what tells their classes."
    )
    path: str = Field(
        description="Local folder, or sample://curated; ?per_class=5&selection_frequency=0.73 for one like ImageNet-V2."
    )
    devkit: Path | None = Field(
        None,
        description="ilsvrc2012-val: the development kit or Kaggle's LOC_val_solution.csv, if not near the images.",
    )
    label_column: str | None = Field(None, description="webdataset, img2dataset: column with the class of a picture.")
    profile: Profile = Field(
        "corrected", description="Which pictures take part: paper (RGB only) or corrected (other modes are converted)."
    )
    selection_frequency: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How often people chose its pictures when asked; of ImageNet-V2 0.73, 0.85 and 0.93.",
    )
    captions: str | None = Field(
        None,
        description="File of captions of its pictures (.json as ImageNet-Captions, .csv, .tsv, .parquet), or "
        "sample://curated for those of the drawn set.",
    )


class PublishedResultsSettings(ComparedSettings):
    """A published result file: whether the top k predictions of models are right, image by image."""

    path: str = Field(description="Parquet file with columns top_{k}_is_correct_{model}.")
    labels: Path | None = Field(None, description="Label list (.json, .pkl) of its images, if the file has no classes.")
    zero_shot_missing: Literal["missing", "wrong"] = Field(
        "missing",
        description="False values of zero-shot models where no other model has one: unknown, or wrong as published.",
    )


class NeighboursSettings(ComparedSettings):
    """An image set of the captions of the web that lie nearest to those of an image set."""

    name: Name = Field("neighbours", description="Name of the image set that is made of their pictures.")
    captions_of: Name | None = Field(
        None, description="One of `image_sets` that has captions; default: the first that has."
    )
    encoder: Name | None = Field(None, description="Name of one of `text_encoders`; default: the first.")
    over: Literal["all", "candidates"] = Field(
        "all", description="Captions that are searched: all of a source, or those alone that name a class."
    )
    threshold: float = Field(0.7, ge=-1, le=1, description="Cosine of both captions must be strictly above this.")
    fetch_above: float = Field(
        0.5, ge=-1, le=1, description="Pictures are asked for strictly above this; the sweep of thresholds begins here."
    )
    profile: Profile = Field(
        "corrected", description="Which pictures take part: paper (RGB only) or corrected (others too)."
    )
    nsfw: tuple[NsfwTag, ...] = Field(
        ("UNLIKELY",), min_length=1, description="Safety tags allowed; UNKNOWN admits rows without a tag."
    )
    max_punsafe: float = Field(0.45, ge=0, le=1, description="Highest allowed probability of unsafe, where published.")

    @model_validator(mode="after")
    def _fetches_what_it_keeps(self) -> "NeighboursSettings":
        if self.fetch_above > self.threshold:
            raise ValueError(
                f"fetch_above: {self.fetch_above} is above threshold: {self.threshold}; what is kept needs its picture"
            )
        return self
