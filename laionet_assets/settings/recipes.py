"""`recipes`: how LAIONet is chosen from the candidates."""

from typing import Literal

from pydantic import Field

from laionet_assets.settings.values import Count, Name, NsfwTag, Profile, Section


class ImageSimilaritySettings(Section):
    """What tells how near a picture is to its class."""

    encoder: Name = Field(description="Name of one of `image_encoders`.")
    kind: Literal["query", "head", "prototype"] | None = Field(
        None,
        description="query: to the class's query, by the text tower that belongs to the encoder; head: to the class's "
        "row of the encoder's own classification head; prototype: to the mean picture of the class in the image set "
        "that `prototypes` names. Without it: head for timm's models, query for others.",
    )


class PicturesSettings(Section):
    """Which pictures of its rows a recipe asks for, and what is done with them."""

    predict: bool = Field(True, description="Whether `predictors` see pictures that this recipe alone asks for.")
    per_class: Count | None = Field(
        None, description="Pictures of at most so many rows of a class in each part, drawn with a seed; all without it."
    )


class RecipeSettings(Section):
    """How LAIONet is chosen from the candidates: a row of settings, never code.

    With `image_similarity` and without `image_threshold` it is a pool: what choosing by caption, by picture or blindly
    makes of its pictures is compared (docs/method.md, 19).
    """

    name: Name = Field(description="Name of the recipe, and of the image set that it makes.")
    matching: Profile = Field(
        "paper",
        description="Profile of the caption match: the published rule to the letter, or with its defects mended.",
    )
    encoder: Name = Field(description="Name of one of `text_encoders`.")
    text_threshold: float = Field(ge=-1, le=1, description="Caption-to-query cosine must be strictly above this.")
    image_threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Cosine of picture and class must be strictly above this; rows without a picture are dropped.",
    )
    image_similarity: ImageSimilaritySettings | None = Field(
        None, description="Which cosine of picture and class; with a threshold alone it is the first image encoder's."
    )
    pictures: PicturesSettings = PicturesSettings()
    multi_label: Literal["drop", "keep"] = Field(
        "drop", description="Whether captions that name several classes are dropped or kept."
    )
    nsfw: tuple[NsfwTag, ...] = Field(
        ("UNLIKELY",), min_length=1, description="Safety tags allowed; UNKNOWN admits rows without a tag."
    )
    max_punsafe: float = Field(0.45, ge=0, le=1, description="Highest allowed probability of unsafe, where published.")
    top_k: Count | None = Field(None, description="At most this many captions a class, the most similar first.")
    drop_text_in_image: bool = Field(False, description="Drop images that have the name of the class written in them.")
    duplicates: Literal["keep", "drop"] = Field(
        "keep",
        description="Rows with the address and caption of another row: all stay, or the first of each (the smallest "
        "source and sample_id, over all parts and sources). Dropped before top_k counts.",
    )
