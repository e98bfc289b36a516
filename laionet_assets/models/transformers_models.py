"""Models of transformers from a local folder, without code of their own, and without weights filled at random."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.checkpoints import loading
from laionet_assets.models.preparing import Preparation, Processed
from laionet_assets.models.spec import ModelSpec

if TYPE_CHECKING:
    import torch


def load_pretrained(
    spec: ModelSpec, folder: Path, model_class: Any, processor_class: Any, *, what: str, unused: str = ""
) -> tuple[Any, Any]:
    """The model and the tokenizer or image processor of a folder, for inference, in fp32 on the CPU.

    `what` is the kind of model that is expected, for messages. Raises ModelError if the folder does not hold one, or
    if a weight is missing, which transformers fills at random; names that contain `unused` may be.
    """
    model, processor, untrained = load_with_gaps(spec, folder, model_class, processor_class, what=what)
    missing = [name for name in untrained if not unused or unused not in name]
    if missing:
        raise spec.error(f"the weights in {folder} lack {', '.join(missing[:5])}; use a checkpoint of a whole {what}")
    return model, processor


def load_with_gaps(
    spec: ModelSpec, folder: Path, model_class: Any, processor_class: Any, *, what: str
) -> tuple[Any, Any, list[str]]:
    """As `load_pretrained`, with the names of the weights that the folder lacks: they are random, and for the caller
    to keep away from.
    """
    with quiet_transformers(), loading(spec, f"{folder}, which should hold a {what} of transformers,"):
        model, info = model_class.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, weights_only=True, trust_remote_code=False
        )
        processor = processor_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return model.eval().requires_grad_(False), processor, sorted(info["missing_keys"])


def transformers_prepare(processor: Any) -> Preparation:
    """What a model's own image processor makes of a picture."""
    return Preparation(Processed(processor))


def linear_head(model: Any) -> "torch.nn.Linear | None":
    """The linear layer of a model's classification head; None without one."""
    import torch

    heads = [module for name, module in model.named_modules() if name.split(".")[-1] in ("classifier", "head")]
    return next((m for head in heads for m in head.modules() if isinstance(m, torch.nn.Linear)), None)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' own progress bars and loading reports: the caller shows progress."""
    from transformers.utils import logging

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
