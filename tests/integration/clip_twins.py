"""A small random CLIP text tower, saved for two libraries."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from laionet_assets.models.spec import TEXT_ENCODER, ModelSpec, parse_model


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
