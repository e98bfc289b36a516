"""The same outputs in less time on a CPU: convolutional networks by ONNX Runtime, linear layers in oneDNN's layout.

Here: the export, the session, and the proof that a way computes the same. Measured beside torch.compile and others in
docs/decisions.md.
"""

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.packed import pack_linear_layers
from laionet_assets.models.weights import first_line

if TYPE_CHECKING:
    import torch

    Outputs = Callable[[torch.Tensor], torch.Tensor]

_TOLERANCE = 1e-3
"""Largest difference of an output after a change, in units of the outputs' standard deviation."""
_PROTOBUF_BYTES = 2**31 - 2**20
"""An exported model is one message, less what stands in it beside the weights."""

_log = logging.getLogger(__name__)


def faster_on_cpu(module: "torch.nn.Module", example: "torch.Tensor") -> "Outputs":
    """What computes the same as `module`, in fp32 on a CPU, for inference; `module` itself stays as it is.

    A network with batch normalisation runs in ONNX Runtime, in batches as large as `example`, of shape (batch,
    channels, height, width), filled up with zeros; inputs of another height or width run in torch. Other networks keep
    to torch and get linear layers of oneDNN. A way that does not fit the model (it cannot be exported, its outputs for
    `example` differ by more than 0.001 standard deviations, or it reads a replaced layer's weights itself) is not
    taken.
    """
    import torch

    is_convolutional = any(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())
    with torch.no_grad():
        expected = module(example)
        for way in (_in_onnx_runtime, _packed) if is_convolutional else (_packed,):
            try:
                faster = way(module, example)
                difference = float((faster(example) - expected).abs().max() / expected.std()) if faster else None
            except Exception as error:  # torch's exporter and ONNX Runtime each have their own
                _log.warning("%s: not computed by %s: %s", type(module).__name__, way.__name__, first_line(error))
                continue
            if faster and difference is not None:
                if difference <= _TOLERANCE:
                    return faster
                _log.warning(
                    "%s: not computed by %s: its outputs differ by %.2g standard deviations, expected at most %g",
                    type(module).__name__, way.__name__, difference, _TOLERANCE,
                )  # fmt: skip
    return module


def _packed(module: "torch.nn.Module", example: "torch.Tensor") -> "Outputs | None":
    """A copy with linear layers of oneDNN; None where it has none to replace."""
    packed = copy.deepcopy(module)
    return packed if pack_linear_layers(packed) else None


def _in_onnx_runtime(module: "torch.nn.Module", example: "torch.Tensor") -> "Outputs | None":
    """A session on one thread, so that threads that share it keep a core each; None for a model beyond one message."""
    import onnxruntime
    import torch

    if sum(tensor.nbytes for tensor in module.state_dict().values()) > _PROTOBUF_BYTES:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory(prefix="laionet-") as folder:
        exported = str(Path(folder) / "model.onnx")
        with warnings.catch_warnings():  # of what tracing takes for constant: the comparison with torch decides
            warnings.simplefilter("ignore")
            torch.onnx.export(module, (example,), exported, dynamo=False, input_names=["pictures"])
        session: Any = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    size = len(example)

    def outputs(batch: torch.Tensor) -> torch.Tensor:
        if batch.shape[1:] != example.shape[1:]:
            return module(batch)
        found = []
        for chunk in batch.split(size):
            full = torch.zeros(example.shape)
            full[: len(chunk)] = chunk
            (computed,) = session.run(None, {"pictures": full.numpy()})
            found.append(torch.from_numpy(computed[: len(chunk)]))
        return torch.cat(found)

    return outputs
