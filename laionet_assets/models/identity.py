"""What the outputs of a model depend on. Cheap, and without its library: the code location compares identities at
every start.
"""

import hashlib
from pathlib import Path

from laionet_assets.models.bundled import bundle_of, bundle_path, file_digest
from laionet_assets.models.spec import ModelSpec

_MODEL_FILES = {".json", ".txt", ".model", ".safetensors", ".bin", ".pt", ".pth"}


def identity(spec: ModelSpec) -> str:
    """Provider, model, and the hub revision or the content of bundled or local weights; the precision if it is reduced;
    who decodes pictures for it, if that is not the CPU; the label of the code that computes with it, if it has one.

    Two specs of one identity give the same outputs up to rounding, whatever their names and devices. A hub model
    without revision has no more than its name: name a revision where a moving model must not go unnoticed.
    """
    bundle = bundle_of(spec)
    weights = bundle_path(spec, bundle) if bundle else spec.weights
    content = f"@sha256:{digest(weights)[:16]}" if weights else ""
    precision = "" if spec.dtype in ("auto", "float32") else f"+{spec.dtype}"
    code = f"+code:{spec.code}" if spec.code else ""
    decoding = f"+decoded-on:{spec.decode_on}" if spec.decode_on != "cpu" else ""
    return f"{spec}{content}{precision}{decoding}{code}"


def digest(path: Path) -> str:
    """sha256 (hex) of a weights file, or of the names and contents of the model files of a folder."""
    if path.is_file():
        return file_digest(path)
    files = sorted(p for p in path.rglob("*") if p.suffix in _MODEL_FILES and p.is_file())
    lines = (f"{file_digest(p)} {p.relative_to(path).as_posix()}\n" for p in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
