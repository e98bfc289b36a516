"""Linear layers whose weights lie in oneDNN's own layout: the fp32 matrix product of torch's CPU build, without MKL.

torch sends fp32 matrix products to MKL, which leaves AVX-512 unused on AMD. Measured on one EPYC (Zen 5) core for the
shapes of MiniLM: MKL 96 GFLOP/s, oneDNN 207, and with AVX2 alone 95 against 104; captions of MiniLM per cpu-second
205 against 404. Vectors differ by 3e-7.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def pack_linear_layers(module: "torch.nn.Module") -> int:
    """Replace the fp32 linear layers below `module`, in place, by layers that multiply with oneDNN; how many.

    For inference on a CPU. Subclasses of Linear and the projections inside `torch.nn.MultiheadAttention` are left
    alone: their owners read the weights themselves. Where torch has no oneDNN (other processors than x86), nothing is
    replaced: the layers compute the same.
    """
    import torch

    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return 0

    class PackedLinear(torch.nn.Module):
        """A linear layer with an opaque weight."""

        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.weight = linear.weight.detach().to_mkldnn()
            self.bias = None if linear.bias is None else linear.bias.detach()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    found = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if type(child) is torch.nn.Linear and child.weight.dtype == torch.float32 and child.weight.is_cpu
    ]
    for parent, name, child in found:
        setattr(parent, name, PackedLinear(child))
    return len(found)
