"""CLIP's text towers by open_clip and transformers: small models of random, saved weights."""

import copy
import json
import string
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from laionet_assets.models.devices import in_precision, reduced
from laionet_assets.models.spec import TEXT_ENCODER, ModelError, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
from laionet_assets.models.text_towers import load_tower
from tests.integration.clip_twins import Twins
from tests.integration.texts import CAPTIONS, MANY, TOLERANCE, plain_way

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp(request.param), request.param)


class TestClip:
    def test_open_clip_and_transformers_agree_on_the_same_weights(self, twins: Twins) -> None:
        ours = load_text_encoder(twins.open_clip_spec()).encode(CAPTIONS)
        theirs = load_text_encoder(twins.transformers).encode(CAPTIONS)
        assert ours.shape == (len(CAPTIONS), twins.dimension)
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)
        cosines = ours[:4] @ ours[:4].T
        assert cosines[~np.eye(4, dtype=bool)].max() < 0.95, (
            "the texts' vectors must differ for parity to mean something"
        )

    def test_a_cut_context_gives_what_the_full_context_gives(self, twins: Twins) -> None:
        full = twins.full_context(CAPTIONS)
        for name, spec in (("transformers", twins.transformers), ("open_clip", twins.open_clip_spec())):
            encoder = load_text_encoder(spec)
            np.testing.assert_allclose(encoder.encode(CAPTIONS), full[name], atol=TOLERANCE)
            for i in (1, 4, 5):
                np.testing.assert_allclose(encoder.encode([CAPTIONS[i]])[0], full[name][i], atol=TOLERANCE)

    def test_texts_beyond_77_tokens_are_truncated(self, twins: Twins) -> None:
        for spec in (twins.transformers, twins.open_clip_spec()):
            one, two = load_text_encoder(spec).encode(["dog " * 75 + "cat", "dog " * 20_000 + "crane"])
            np.testing.assert_array_equal(one, two)

    def test_one_endless_word_does_not_stall_the_tokenizer(self, twins: Twins) -> None:
        word = "".join(string.ascii_lowercase[i * i % 26] for i in range(60_000))
        start = time.process_time()
        vectors = load_text_encoder(twins.open_clip_spec()).encode([word])
        assert time.process_time() - start < 10
        assert np.linalg.norm(vectors) == pytest.approx(1)

    def test_the_other_activation_gives_other_vectors(
        self, twins: Twins, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        activation = {"gelu": "quick_gelu", "quick_gelu": "gelu"}[twins.activation]
        other = Twins(tmp_path_factory.mktemp(f"other-{activation}"), activation)
        ours, theirs = (load_text_encoder(twin.transformers).encode(CAPTIONS[:4]) for twin in (twins, other))
        assert np.abs(ours - theirs).max() > 100 * TOLERANCE

    def test_a_folder_brings_its_own_architecture(self, twins: Twins) -> None:
        spec = parse_model(TEXT_ENCODER, "open_clip:my-clip", name="oc", weights=twins.folder / "local-dir")
        expected = load_text_encoder(twins.open_clip_spec()).encode(CAPTIONS)
        np.testing.assert_array_equal(load_text_encoder(spec).encode(CAPTIONS), expected)

    @pytest.mark.filterwarnings("ignore")
    def test_a_torchscript_archive_as_openai_published_is_read(self, twins: Twins) -> None:
        import torch

        model = copy.deepcopy(twins.open_clip_model)
        mask = model._buffers.pop("attn_mask")
        model.attn_mask = mask
        archive = twins.folder / "traced.pt"
        inputs = (torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int64))
        torch.jit.save(torch.jit.trace(model, inputs, check_trace=False), archive)
        expected = load_text_encoder(twins.open_clip_spec()).encode(CAPTIONS)
        with pytest.raises(ModelError, match=r"traced.pt is a TorchScript archive.*allow_torchscript: true"):
            load_text_encoder(twins.open_clip_spec(archive))
        allowed = replace(twins.open_clip_spec(archive), allow_torchscript=True)
        np.testing.assert_allclose(load_text_encoder(allowed).encode(CAPTIONS), expected, atol=1e-6)

    def test_only_the_text_side_stays_in_memory(self, twins: Twins) -> None:
        tower = load_text_encoder(twins.open_clip_spec())._tower  # type: ignore[attr-defined]
        assert not any("visual" in name for name, _ in tower.module.named_modules())

    def test_weights_of_another_shape_are_an_error(self, twins: Twins) -> None:
        spec = parse_model(TEXT_ENCODER, "open_clip:ViT-B-32-quickgelu", name="big", weights=twins.checkpoint)
        with pytest.raises(ModelError, match=r"'big' .*open_clip.pt does not load: "):
            load_text_encoder(spec)

    def test_a_file_that_holds_no_weights_is_an_error(self, twins: Twins, tmp_path: Path) -> None:
        file = tmp_path / "page.pt"
        file.write_text("<html>")
        with pytest.raises(ModelError, match=r"page.pt is no checkpoint"):
            load_text_encoder(twins.open_clip_spec(file))


def test_tokenizing_in_rust_and_in_threads_changes_no_bit_of_a_vector(twins: Twins) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    found = SimpleTokenizer(context_length=77)(MANY)
    own = [row[: int(row.argmax()) + 1].tolist() for row in found]
    encoder = load_text_encoder(twins.open_clip_spec())
    np.testing.assert_array_equal(encoder.encode(MANY), plain_way(encoder, own))


class TestLowerPrecision:
    """What a card is given: weights in half, if vectors point where they did. Here on a CPU, which is given none."""

    @pytest.mark.parametrize("precision", ["float16", "bfloat16"])
    def test_weights_in_half_point_where_they_did(self, twins: Twins, precision: str) -> None:
        import torch

        tower = load_tower(twins.open_clip_spec())
        ids, mask = (torch.from_numpy(each) for each in tower.tokenizer.tokens(MANY).padded(np.arange(30), pad_id=0))
        before = tower.embed(ids, mask)
        dtype = getattr(torch, precision)
        is_reduced = reduced(tower.module, lambda: tower.embed(ids, mask), precision=dtype, what="twin")
        assert is_reduced
        assert {parameter.dtype for parameter in tower.module.parameters()} == {dtype}
        with torch.inference_mode():
            cosines = torch.nn.functional.cosine_similarity(before, tower.embed(ids, mask).float())
        assert cosines.min() > 0.999

    def test_weights_that_half_cannot_hold_stay_as_they_were(
        self, twins: Twins, caplog: pytest.LogCaptureFixture
    ) -> None:
        import torch

        tower = load_tower(twins.open_clip_spec())
        ids, mask = (torch.from_numpy(each) for each in tower.tokenizer.tokens(MANY).padded(np.arange(9), pad_id=0))
        tower.module.text_projection.data.mul_(1e9)
        before = tower.embed(ids, mask)
        assert not reduced(tower.module, lambda: tower.embed(ids, mask), precision=torch.float16, what="twin")
        assert "twin: float32 weights and autocast" in caplog.text
        assert torch.equal(tower.embed(ids, mask), before)

    def test_never_on_a_cpu(self, twins: Twins) -> None:
        import torch

        tower = load_tower(twins.open_clip_spec())
        cpu = torch.device("cpu")
        run = lambda: pytest.fail("nothing is tried")  # noqa: E731
        assert not in_precision(tower.module, run, device=cpu, precision=torch.float16, what="twin")
        assert load_text_encoder(twins.open_clip_spec()).told() == "cpu, float32"


def test_a_tower_that_sees_its_padding_keeps_the_full_context(tmp_path: Path) -> None:
    import open_clip
    import torch

    text = {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 1,
        "no_causal_mask": True,
        "pool_type": "last",
    }
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    file = tmp_path / "laionet-test-bidirectional.json"
    file.write_text(json.dumps({"embed_dim": 32, "custom_text": True, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(file)
    torch.manual_seed(0)
    model = open_clip.create_model(file.stem).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    encoder = load_text_encoder(
        parse_model(TEXT_ENCODER, f"open_clip:{file.stem}", name="b", weights=tmp_path / "weights.pt")
    )
    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer(file.stem)(CAPTIONS), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode(CAPTIONS), expected, atol=TOLERANCE)
