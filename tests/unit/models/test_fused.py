"""A module made faster computes what it computed."""

import pytest
import torch
from torch import nn

from laionet_assets.models.fused import faster_on_cpu


def trained(module: nn.Module) -> nn.Module:
    """With running statistics and weights that no folding could leave out unnoticed."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.normal_(part.weight, 1, 0.2)
            nn.init.normal_(part.bias)
    return module.eval().requires_grad_(False)


def example() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def kinds(module: nn.Module) -> set[str]:
    return {type(part).__name__ for part in module.modules()}


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish])
@pytest.mark.parametrize("has_bias", [True, False])
def test_normalisation_and_activation_go_into_the_convolution(activation: type[nn.Module], has_bias: bool) -> None:
    module = trained(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=has_bias),
            nn.BatchNorm2d(16),
            activation(),
            nn.Conv2d(16, 16, 3, groups=16, padding=2, dilation=2, bias=has_bias),
            nn.BatchNorm2d(16),
            activation(),
        )
    )
    fused = faster_on_cpu(module, example())
    assert kinds(fused) == {"Sequential", "FusedConv2d", "Identity"}
    assert "BatchNorm2d" in kinds(module)
    with torch.inference_mode():
        torch.testing.assert_close(fused(example()), module(example()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_models_of_timm(name: str) -> None:
    import timm

    model = trained(timm.create_model(name, pretrained=False))
    fused = faster_on_cpu(model, example())
    assert fused is not model
    assert "FusedConv2d" in kinds(fused)
    assert not {"BatchNorm2d", "BatchNormAct2d"} & kinds(fused)
    other = torch.randn(3, 3, 64, 48)
    with torch.inference_mode():
        expected = model(other)
        torch.testing.assert_close(fused(other), expected, atol=1e-3 * float(expected.std()), rtol=1e-3)


def test_a_residual_added_in_place_comes_before_the_activation() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.normalisation = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.activation = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.normalisation(self.convolution(x))
            y += x
            return self.activation(y)

    module = trained(Residual())
    fused = faster_on_cpu(module, example())
    assert kinds(fused) == {"Residual", "Conv2d", "Identity", "ReLU"}
    with torch.inference_mode():
        torch.testing.assert_close(fused(example()), module(example()), atol=1e-5, rtol=1e-5)


def test_a_module_without_such_layers_is_left_alone() -> None:
    module = nn.Sequential(nn.Flatten(), nn.LayerNorm(3 * 32 * 32)).eval()
    assert faster_on_cpu(module, example()) is module


def test_linear_layers_are_packed() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.GELU(), nn.Linear(64, 5)).eval()
    packed = faster_on_cpu(module, example())
    assert kinds(packed) == {"Sequential", "Flatten", "PackedLinear", "GELU"}
    assert kinds(module) == {"Sequential", "Flatten", "Linear", "GELU"}
    with torch.inference_mode():
        torch.testing.assert_close(packed(example()), module(example()), atol=1e-5, rtol=1e-4)


def test_a_model_that_reads_its_linear_weights_itself_keeps_them() -> None:
    """Timm's BEiT does: its query, key and value layers have no bias of their own."""
    from timm.models.beit import Beit

    torch.manual_seed(0)
    module = Beit(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, init_values=0.1).eval()
    faster = faster_on_cpu(module.requires_grad_(False), example())
    assert "PackedLinear" not in kinds(faster)
    with torch.inference_mode():
        torch.testing.assert_close(faster(example()), module(example()))


def test_a_convolution_whose_output_is_used_twice_is_left_alone() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.normalisation = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.convolution(x)
            return self.normalisation(x) - x

    module = trained(Branching())
    assert faster_on_cpu(module, example()) is module


def test_a_convolution_that_is_called_twice_is_left_alone() -> None:
    convolution = nn.Conv2d(3, 3, 3, padding=1)
    module = trained(nn.Sequential(convolution, nn.BatchNorm2d(3), convolution, nn.BatchNorm2d(3)))
    fused = faster_on_cpu(module, example())
    with torch.inference_mode():
        torch.testing.assert_close(fused(example()), module(example()))
