"""Linear layers of oneDNN against torch's own."""

import pytest

torch = pytest.importorskip("torch")

from laionet_assets.models.packed import pack_linear_layers  # noqa: E402

needs_onednn = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()), reason="torch without oneDNN"
)


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
def test_packed_layers_compute_the_same(bias: bool) -> None:
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Linear(32, 64, bias=bias), torch.nn.GELU(), torch.nn.Linear(64, 16, bias=bias))
    model = torch.nn.Sequential(inner, torch.nn.LayerNorm(16)).eval().requires_grad_(False)
    x = torch.randn(3, 7, 32)
    with torch.inference_mode():
        expected = model(x)
        assert pack_linear_layers(model) == 2
        assert not any(type(layer) is torch.nn.Linear for layer in model.modules())
        torch.testing.assert_close(model(x), expected, atol=1e-6, rtol=0)


@needs_onednn
def test_layers_that_others_read_or_that_are_not_fp32_are_left_alone() -> None:
    attention = torch.nn.MultiheadAttention(16, 2)
    half = torch.nn.Sequential(torch.nn.Linear(4, 4).half())
    assert pack_linear_layers(attention) == 0
    assert pack_linear_layers(half) == 0
    assert isinstance(attention.out_proj, torch.nn.Linear)
