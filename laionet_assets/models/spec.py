"""Names of models: `provider:name[@revision]`, each in the role that it is used for.

Nothing here loads a model or imports its library: the code location parses names at every start.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from laionet_assets.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "cuda:<n>", "mps")
DTYPES = ("auto", "float32", "float16", "bfloat16")

PINNED_REVISIONS = {
    "openai/clip-vit-base-patch32": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    "bert-base-uncased": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "google-bert/bert-base-uncased": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "sentence-transformers/all-mpnet-base-v2": "e8c3b32edf5434bc2275fc9bab85f82640a19130",
}
"""Revisions of the paper's three text encoders on the Hugging Face hub, used where none is named."""

DECODERS = ("cpu", "card")

_TORCHSCRIPT_PROVIDERS = ("open_clip", "timm")
"""Libraries whose checkpoints may be TorchScript archives."""


class ModelError(UserError):
    """A model that cannot be had as asked: an unknown name, missing or unfitting weights, a hub out of reach."""


@dataclass(frozen=True)
class Role:
    """What a model is used for: what messages call it, and the libraries that it may come from.

    `examples` are names that work, `bundled` is one whose weights come with a package and need no network.
    """

    name: str
    providers: tuple[str, ...]
    examples: tuple[str, ...]
    bundled: str


TEXT_ENCODER = Role(
    "text encoder",
    ("sentence-transformers", "open_clip", "transformers"),
    (
        "sentence-transformers:all-MiniLM-L6-v2",
        "open_clip:ViT-B-32-quickgelu/openai",
        "transformers:bert-base-uncased@<revision>",
    ),
    bundled="sentence-transformers:all-MiniLM-L6-v2",
)
IMAGE_ENCODER = Role(
    "image encoder",
    ("timm", "open_clip", "transformers"),
    ("timm:tf_efficientnet_lite0", "open_clip:ViT-B-32-quickgelu/openai", "transformers:microsoft/resnet-50"),
    bundled="timm:tf_efficientnet_lite0",
)
PREDICTOR = Role(
    "predictor",
    ("timm", "transformers", "open_clip"),
    ("timm:tf_efficientnet_lite0", "open_clip:ViT-B-32-quickgelu/openai", "transformers:microsoft/resnet-50"),
    bundled="timm:tf_efficientnet_lite0",
)
RECOGNIZER = Role(
    "text recogniser",
    ("rapidocr", "trocr"),
    ("rapidocr:fast", "rapidocr:default", "trocr:microsoft/trocr-base-stage1"),
    bundled="rapidocr:fast",
)


@dataclass(frozen=True)
class ModelSpec:
    """A model as a user named it.

    `name` is the user's label (a column of the tables that it makes), `model` the name inside the provider: a hub id,
    or an architecture of open_clip with `/tag` of its weights. `weights` is a local file or folder that replaces the
    hub. `device` and `dtype` "auto" let the loader choose. `allow_torchscript`: weights may be a TorchScript archive,
    which holds code. `code` is the label of the code that computes with it, where results are kept. `decode_on` is
    who decodes pictures for it, one of `DECODERS`.
    """

    role: Role
    name: str
    provider: str
    model: str
    revision: str | None = None
    weights: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    allow_torchscript: bool = False
    code: str = ""
    decode_on: str = "cpu"

    def error(self, message: str) -> ModelError:
        """An error about this model: which one, in which role, then the message."""
        return ModelError(f"{self.role.name} {self.name!r} ({self}): {message}")

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" + (f"@{self.revision}" if self.revision else "")


def parse_model(
    role: Role,
    model: str,
    *,
    name: str,
    weights: Path | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    allow_torchscript: bool = False,
    decode_on: str = "cpu",
) -> ModelSpec:
    """The spec of `provider:name[@revision]` in a role.

    sentence-transformers: a hub id; without an organisation it is one of the organisation sentence-transformers, as on
    the hub. transformers: a hub id. open_clip: `architecture/tag`, or an architecture with weights. timm: an
    architecture with the tag of its weights (`resnet50.a1_in1k`). The paper's text encoders get their pinned revision.
    Raises ModelError, with all faults in one message.
    """
    provider, colon, rest = model.partition(":")
    model_name, _, revision = rest.partition("@")
    if not (provider and colon and model_name) or model.endswith("@"):
        raise ModelError(
            f"{role.name} {name!r}: {model!r} is not of the form provider:name[@revision], such as "
            f"{' or '.join(role.examples)}"
        )
    path = Path(weights) if weights is not None else None
    faults = []
    if provider not in role.providers:
        faults.append(f"unknown provider {provider!r}; known are {', '.join(role.providers)}")
    if path is not None and not path.exists():
        faults.append(f"weights {path} do not exist; name a local file or folder")
    if path is not None and revision:
        faults.append(f"revision {revision!r} has no meaning beside local weights; drop one of them")
    if provider == "open_clip" and path is None and "/" not in model_name:
        faults.append(
            f"{model_name!r} names no weights; write open_clip:{model_name}/<tag> (such as /openai), or weights: <file>"
        )
    if device not in DEVICES and not re.fullmatch(r"cuda:\d+", device):
        faults.append(f"unknown device {device!r}; known are {', '.join(DEVICES)}")
    if dtype not in DTYPES:
        faults.append(f"unknown dtype {dtype!r}; known are {', '.join(DTYPES)}")
    if decode_on not in DECODERS:
        faults.append(f"unknown decode_on {decode_on!r}; known are {', '.join(DECODERS)}")
    if decode_on == "card" and (device in ("cpu", "mps")):
        faults.append(f"decode_on: card needs a CUDA device, and device is {device!r}; take one of them away")
    if allow_torchscript and provider not in _TORCHSCRIPT_PROVIDERS:
        faults.append(f"allow_torchscript has a meaning for {' and '.join(_TORCHSCRIPT_PROVIDERS)} alone; take it away")
    if faults:
        raise ModelError(f"{role.name} {name!r} ({model}): " + "; ".join(faults))
    if provider == "sentence-transformers" and "/" not in model_name:
        model_name = f"sentence-transformers/{model_name}"
    if not revision and path is None:
        revision = PINNED_REVISIONS.get(model_name, "")
    return ModelSpec(
        role,
        name,
        provider,
        model_name,
        revision or None,
        path,
        device,
        dtype,
        allow_torchscript,
        decode_on=decode_on,
    )
