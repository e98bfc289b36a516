"""Checkpoints: files from anywhere that give tensors and nothing else.

A pickle runs whatever code it names, and a library that is handed a file decides by itself how to read it. Here a file
is read as safetensors, or by torch's unpickler of tensors alone (`weights_only`); a TorchScript archive, which holds
code, only where the user allows it. Nothing in a file can change which of the three it is read by.
"""

import argparse
import contextlib
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.spec import ModelError, ModelSpec
from laionet_assets.models.weights import first_line

if TYPE_CHECKING:
    import torch

_ENDINGS = (".safetensors", ".bin", ".pth", ".pt")
_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which training scripts keep the weights beside their own state; the averaged ones come first."""
_WRAPPERS = re.compile(r"^(?:_orig_mod\.|module\.)+")
"""What torch.compile and data-parallel training put before the names of weights."""
_SCALARS = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Numbers that OpenAI's archives of CLIP hold among the weights."""
_SHOWN = 160
"""Characters of a line of a library's message that an error shows."""


def read_tensors(spec: ModelSpec, file: Path) -> "dict[str, torch.Tensor]":
    """The weights in a checkpoint by name, on the CPU. Raises ModelError for a file that is cut off, is no checkpoint,
    or holds more than tensors.
    """
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        with loading(spec, file):
            return load_file(file)
    with loading(spec, file):
        read = _read_torchscript if _is_torchscript(file) else _read_archive
    return read(spec, file)


@contextlib.contextmanager
def tensors_file(spec: ModelSpec, file: Path) -> Iterator[Path]:
    """A checkpoint as a file of tensors alone, for a library that reads files itself: a safetensors file as it is,
    anything else as a temporary one. Raises ModelError as `read_tensors`.
    """
    if file.suffix == ".safetensors":
        yield file
        return
    from safetensors.torch import save_file

    tensors = read_tensors(spec, file)
    with tempfile.TemporaryDirectory(prefix="laionet-weights-") as folder:
        copy = Path(folder) / "model.safetensors"
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, copy)
        yield copy


@contextlib.contextmanager
def tensors_folder(spec: ModelSpec, folder: Path, *, config: str, names: Sequence[str]) -> Iterator[Path]:
    """A folder with nothing but the config of a model's folder and its checkpoint as a file of tensors, called
    `names[0]`, for a library that chooses among files itself.

    `names` are those that a checkpoint may have, without ending, the preferred ones first; safetensors come before
    other files. Raises ModelError as `read_tensors`, and if the folder has no config, or no or several checkpoints.
    """
    if not (folder / config).is_file():
        raise spec.error(f"{folder} has no {config}, so it is no folder of a model of {spec.provider}")
    checkpoint = _checkpoint_in(spec, folder, names)
    with tempfile.TemporaryDirectory(prefix="laionet-model-") as links, tensors_file(spec, checkpoint) as file:
        (Path(links) / config).symlink_to((folder / config).resolve())
        (Path(links) / f"{names[0]}.safetensors").symlink_to(file.resolve())
        yield Path(links)


@contextlib.contextmanager
def loading(spec: ModelSpec, what: object) -> Iterator[None]:
    """Within it, whatever a library raises over a file becomes a ModelError about `what`: a file that is no checkpoint,
    or is another model's, fails in as many ways as there are files.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise spec.error(f"{what} does not load: {_reason(error)}{_what_to_do(error)}") from error


def _checkpoint_in(spec: ModelSpec, folder: Path, names: Sequence[str]) -> Path:
    files = [file for ending in _ENDINGS for file in sorted(folder.glob(f"*{ending}"))]
    known = [file for ending in _ENDINGS for name in names if (file := folder / f"{name}{ending}") in files]
    if not known and len(files) != 1:
        found = ", ".join(file.name for file in files[:5]) or "no checkpoint"
        raise spec.error(f"{folder} holds {found}; expected one checkpoint, such as {names[0]}.safetensors")
    return (known or files)[0]


def _read_archive(spec: ModelSpec, file: Path) -> "dict[str, torch.Tensor]":
    import pickle

    import torch

    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # timm keeps its arguments beside the weights
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise spec.error(
            f"{file} is no checkpoint, or holds more than tensors{_named_code(file)}, and reading it could run code. "
            "Use the same weights as .safetensors"
        ) from error
    except Exception as error:  # what is no checkpoint fails in as many ways as there are files
        raise spec.error(
            f"{file} is cut off or no checkpoint of torch ({_reason(error)}). Copy or download it again"
        ) from error
    return _weights(spec, file, content)


def _read_torchscript(spec: ModelSpec, file: Path) -> "dict[str, torch.Tensor]":
    import torch

    if not spec.allow_torchscript:
        raise spec.error(
            f"{file} is a TorchScript archive, which holds code. Use the same weights as .safetensors, or set "
            "allow_torchscript: true for this model if you trust the file"
        )
    with loading(spec, file):
        content = torch.jit.load(str(file), map_location="cpu").state_dict()
    return _weights(spec, file, {name: tensor for name, tensor in content.items() if name not in _SCALARS})


def _weights(spec: ModelSpec, file: Path, content: Any) -> "dict[str, torch.Tensor]":
    """The tensors of what a training script saved."""
    import torch

    if isinstance(content, dict):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), dict)), content)
    if not isinstance(content, dict) or not content:
        raise spec.error(f"{file} holds {type(content).__name__}, expected the weights of a model by name")
    others = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise spec.error(f"{file} holds no tensor under {', '.join(others[:5])}, expected the weights of a model alone")
    return {_WRAPPERS.sub("", name): tensor for name, tensor in content.items()}


def _is_torchscript(file: Path) -> bool:
    """Whether torch would read the file as a TorchScript archive: a zip with a member constants.pkl."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _named_code(file: Path) -> str:
    """What a checkpoint would call, as far as it can be told without calling it."""
    import torch

    with contextlib.suppress(Exception):
        if named := torch.serialization.get_unsafe_globals_in_checkpoint(file):
            return f" (it names {', '.join(sorted(named)[:5])})"
    return ""


def _what_to_do(error: Exception) -> str:
    """About an error that has a known cause."""
    if type(error).__name__ == "SafetensorError":
        return ". It is cut off or damaged: copy or download it again"
    if str(error).startswith("Error(s) in loading state_dict"):
        return ". Name the model that they belong to, or give the weights of this one"
    return ""


def _reason(error: Exception) -> str:
    """A library's message in one line: of weights that do not fit a model, with the first names that differ."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Error(s) in loading state_dict"):
        shown = [line if len(line) <= _SHOWN else f"{line[:_SHOWN]} ..." for line in lines[1:3]]
        return f"the weights are another model's. {' '.join(shown)}"
    return first_line(error)
