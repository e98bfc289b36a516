"""Where a model computes, in which precision, and with how many of torch's threads."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from laionet_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch

_WORST_COSINE = 1e-3
"""Largest 1 - cosine between the rows of an example with float32 weights and with those of a lower precision."""

_log = logging.getLogger(__name__)


def device_of(spec: ModelSpec) -> "torch.device":
    """The device of a spec: with `auto`, the GPU where torch sees one. A card comes with its number, so that one card
    has one name. Raises ModelError if it is not to be had.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    automatic = next(device for device, is_available in available.items() if is_available)
    device = torch.device(automatic if spec.device == "auto" else spec.device)
    if not available[device.type] or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise spec.error(f"device {spec.device!r} is not to be had here; use device: auto or cpu")
    has_number = device.type != "cuda" or ":" in spec.device
    return device if has_number else torch.device("cuda", torch.cuda.current_device())


def precision_of(spec: ModelSpec, device: "torch.device") -> "torch.dtype":
    """The precision of a spec: with `auto`, float16 on cuda, float32 on a CPU (lower ones may be much slower there)
    and on mps.
    """
    import torch

    automatic = "float16" if device.type == "cuda" else "float32"
    return getattr(torch, automatic if spec.dtype == "auto" else spec.dtype)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """While it lasts, torch computes with so many threads here: for small work several cost more than they give.

    Measured on two busy cores: a forward pass or two of the three bundled models takes 13 cpu-seconds with two threads,
    2 with one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def torch_threads_in_workers(threads: int | None) -> Iterator[Callable[[], None]]:
    """While it lasts, torch computes with so many threads in every thread that calls what is yielded (None: as set)."""
    import torch

    before = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(threads) if threads is not None else None
    finally:
        torch.set_num_threads(before)


def described(device: "torch.device", precision: "torch.dtype") -> str:
    """Where and how a model computes, for people: `NVIDIA H100 (cuda:0), float16`, `cpu, float32`."""
    import torch

    place = f"{torch.cuda.get_device_name(device)} ({device})" if device.type == "cuda" else str(device)
    return f"{place}, {str(precision).removeprefix('torch.')}"


def in_precision(
    module: "torch.nn.Module",
    run: "Callable[[], torch.Tensor]",
    *,
    device: "torch.device",
    precision: "torch.dtype",
    what: str,
) -> bool:
    """Give a module's weights a lower precision, in place, where the device is faster so; whether that was done.

    Only on cuda: there half weights need no casts and half the memory; elsewhere lower precisions may be many times
    slower. `run` computes an example with the module, a row an item; rows must point where they did before, or the
    module keeps float32 weights, for autocast, which is logged.
    """
    import torch

    if device.type != "cuda" or precision == torch.float32:
        return False
    return reduced(module, run, precision=precision, what=what)


def reduced(
    module: "torch.nn.Module", run: "Callable[[], torch.Tensor]", *, precision: "torch.dtype", what: str
) -> bool:
    """As `in_precision`, on any device."""
    import torch

    def rows() -> torch.Tensor:
        with torch.inference_mode():
            return torch.nn.functional.normalize(run().float(), dim=1)

    before = rows()
    parts = list(module.modules())
    weights = [(parameter, parameter.data) for part in parts for parameter in part.parameters(recurse=False)]
    buffers = [(part, name, buffer) for part in parts for name, buffer in part.named_buffers(recurse=False)]
    module.to(precision)
    try:
        worst: float | None = float((1 - (before * rows()).sum(dim=1)).max())
    except RuntimeError as error:  # a part that mixes precisions itself
        _log.warning("%s: float32 weights and autocast: with %s weights it fails: %s", what, precision, error)
        worst = None
    if worst is not None and worst <= _WORST_COSINE:
        return True
    if worst is not None:
        _log.warning(
            "%s: float32 weights and autocast: with %s weights vectors differ by a cosine of %.2g, expected at most %g",
            what, precision, worst, _WORST_COSINE,
        )  # fmt: skip
    for parameter, data in weights:
        parameter.data = data
    for part, name, buffer in buffers:
        setattr(part, name, buffer)
    return False
