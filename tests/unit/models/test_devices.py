"""Which device a spec means, on a machine with cards that are only said to be there."""

import pytest
import torch

from laionet_assets.models.devices import device_of
from laionet_assets.models.spec import TEXT_ENCODER, ModelError, ModelSpec, parse_model


def spec(device: str) -> ModelSpec:
    return parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="toy", device=device)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cards, of which the second is current."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)


@pytest.mark.parametrize(
    ("device", "found"), [("auto", "cuda:1"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")]
)
@pytest.mark.usefixtures("cards")
def test_a_card_has_its_number_whichever_way_it_is_named(device: str, found: str) -> None:
    assert device_of(spec(device)) == torch.device(found)


@pytest.mark.usefixtures("cards")
def test_a_card_beyond_those_that_are_there_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(ModelError, match="device 'cuda:2' is not to be had here"):
        device_of(spec("cuda:2"))


def test_without_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_of(spec("auto")) == device_of(spec("cpu")) == torch.device("cpu")
    for absent in ("cuda", "cuda:0", "mps"):
        with pytest.raises(ModelError, match=f"device '{absent}' is not to be had here; use device: auto or cpu"):
            device_of(spec(absent))
