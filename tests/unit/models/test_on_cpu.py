"""A module made faster computes what it computed."""

import logging

import pytest
import torch
from torch import nn

from laionet_assets.models import on_cpu
from laionet_assets.models.on_cpu import faster_on_cpu


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


def example(pictures: int = 2) -> torch.Tensor:
    return torch.randn(pictures, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def convolutions(activation: type[nn.Module] = nn.ReLU6, *, has_bias: bool = False) -> nn.Module:
    return trained(
        nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=has_bias),
            nn.BatchNorm2d(16),
            activation(),
            nn.Conv2d(16, 16, 3, groups=16, padding=2, dilation=2, bias=has_bias),
            nn.BatchNorm2d(16),
            activation(),
        )
    )


def kinds(module: nn.Module) -> set[str]:
    return {type(part).__name__ for part in module.modules()}


def is_in_onnx_runtime(outputs: object) -> bool:
    return not isinstance(outputs, nn.Module)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_convolutional_network_runs_in_onnx_runtime(activation: type[nn.Module], has_bias: bool) -> None:
    module = convolutions(activation, has_bias=has_bias)
    faster = faster_on_cpu(module, example())
    assert is_in_onnx_runtime(faster)
    with torch.inference_mode():
        torch.testing.assert_close(faster(example()), module(example()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_models_of_timm(name: str) -> None:
    import timm

    model = trained(timm.create_model(name, pretrained=False))
    faster = faster_on_cpu(model, example())
    assert is_in_onnx_runtime(faster)
    with torch.inference_mode():
        expected = model(example(3))
        torch.testing.assert_close(faster(example(3)), expected, atol=1e-3 * float(expected.std()), rtol=1e-3)


@pytest.mark.parametrize("pictures", [1, 2, 3, 4, 7])
def test_any_number_of_pictures_in_any_layout(pictures: int) -> None:
    module, batch = convolutions(), example(pictures)
    faster = faster_on_cpu(module, example(3))
    with torch.inference_mode():
        found = faster(batch.contiguous(memory_format=torch.channels_last))
        assert found.shape == module(batch).shape
        torch.testing.assert_close(found, module(batch), atol=1e-5, rtol=1e-5)


def test_the_output_of_a_picture_does_not_depend_on_its_neighbours() -> None:
    faster = faster_on_cpu(convolutions(), example(4))
    together = faster(example(4))
    for i in range(4):
        assert torch.equal(faster(example(4)[i : i + 1]), together[i : i + 1])


@pytest.mark.parametrize("shape", [(2, 3, 64, 48), (1, 3, 16, 16)])
def test_pictures_of_another_shape_run_in_torch(shape: tuple[int, ...]) -> None:
    module = convolutions()
    faster = faster_on_cpu(module, example())
    assert torch.equal(faster(torch.ones(shape)), module(torch.ones(shape)))


def test_a_network_that_cannot_be_exported_stays_in_torch_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Unknown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = convolutions()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.i1e(self.layers(x))

    module = trained(Unknown())
    with caplog.at_level(logging.WARNING):
        assert faster_on_cpu(module, example()) is module
    assert "Unknown: not computed by _in_onnx_runtime" in caplog.text


def test_an_export_that_computes_something_else_is_not_taken() -> None:
    class Counting(nn.Module):
        """Says something else the second time: tracing keeps the second for good."""

        def __init__(self) -> None:
            super().__init__()
            self.layers, self.calls = convolutions(), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.layers(x) * self.calls

    module = trained(Counting())
    assert faster_on_cpu(module, example()) is module


def test_a_network_beyond_one_message_stays_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    module = convolutions()
    monkeypatch.setattr(on_cpu, "_PROTOBUF_BYTES", 100)
    assert faster_on_cpu(module, example()) is module


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
