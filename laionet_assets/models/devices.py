"""Where a model computes, in which precision, and with how many of torch's threads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from laionet_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


def device_of(spec: ModelSpec) -> "torch.device":
    """The device of a spec: with `auto`, the GPU where torch sees one. Raises ModelError if it is not to be had."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if spec.device == "auto":
        return torch.device(next(device for device, is_available in available.items() if is_available))
    if not available[spec.device.partition(":")[0]]:
        raise spec.error(f"device {spec.device!r} is not to be had here; use device: auto or cpu")
    return torch.device(spec.device)


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
