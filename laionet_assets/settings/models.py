"""`text_encoders`, `image_encoders`, `predictors`, `ocr`: the models that read captions and pictures."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from laionet_assets.settings.values import Name, Section

QueryTemplate = Literal[
    "name",
    "name_def",
    "lemmas",
    "a_photo_of_name",
    "a_photo_of_name_def",
    "a_clear_photo_of_name_def",
    "a_photo_of_lemmas",
]


class ModelSettings(Section):
    """A model: `provider:name[@revision]`, with `weights` when they come from a local file."""

    name: Name = Field(description="Name of the model in tables and in other keys.")
    model: str = Field(description="`provider:name[@revision]`, such as sentence-transformers:all-MiniLM-L6-v2.")
    weights: Path | None = Field(None, description="Local file or folder of weights.")
    device: str = Field("auto", description="Where it computes: auto, cpu, cuda, cuda:1, mps.")
    allow_torchscript: bool = Field(
        False,
        description="open_clip and timm: weights may be a TorchScript archive, which holds code that is run. Without "
        "it, only files of tensors are read.",
    )


class TextEncoderSettings(ModelSettings):
    """A text encoder and the template of the class query that it compares captions with."""

    query_template: QueryTemplate = Field("name_def", description="Published template; the paper's is name_def.")


class PictureModelSettings(ModelSettings):
    """A model that sees pictures, and who decodes them for it."""

    decode_on: Literal["cpu", "card"] = Field(
        "cpu",
        description="card: JPEG files are decoded and resized by the CUDA device that the model computes on, faster "
        "and with other rounding: rows of both ways are kept apart.",
    )


class PredictorSettings(PictureModelSettings):
    """An ImageNet classifier, or the towers of open_clip for zero-shot prediction."""

    prompts: Literal["query", "templates"] = Field(
        "query", description="Zero-shot only: the paper's one query a class, or OpenAI's 80 templates."
    )
    baseline: bool | None = Field(
        None,
        description="Whether it makes the line that effective robustness is measured from; default: all but zero-shot.",
    )


class OcrSettings(Section):
    """What reads the text in pictures."""

    model: str = Field("rapidocr:default", description="rapidocr:default, rapidocr:fast or trocr:<hub id>[@revision].")
    weights: Path | None = Field(None, description="Local folder of TrOCR's weights.")
    device: str = Field("auto", description="Where TrOCR computes: auto, cpu, cuda, cuda:1, mps.")
