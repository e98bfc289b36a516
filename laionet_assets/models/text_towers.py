"""The text towers of sentence-transformers, open_clip and transformers, each cut down to two functions: texts to
token ids, ids to vectors.

A tower decides nothing about batches, devices, precision or normalisation: that is `text_encoder`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.checkpoints import loading
from laionet_assets.models.clip_tokens import clip_rows
from laionet_assets.models.open_clip_models import load_open_clip, open_clip_name
from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.tokens import Rows, Tokenizer, proven, truncating
from laionet_assets.models.transformers_models import load_pretrained, quiet_transformers
from laionet_assets.models.weights import model_folder

if TYPE_CHECKING:
    import torch

_CLIP_CHARACTERS = 10_000
"""Characters of a caption that a CLIP tokenizer reads: 77 tokens of at most 32 bytes lie far inside, and its work
grows with the square of a word."""

_LONGEST_CONTEXT = 1_000_000
"""Tokens; a tokenizer that knows no limit says a number far beyond."""
_MODULE = re.compile(r"sentence_transformers(\.\w+)+")
_ACTIVATION = re.compile(r"torch\.nn\.modules\.\w+\.\w+")


@dataclass(frozen=True)
class TextTower:
    """A text tower on its device.

    `tokenizer` gives each text's token ids, truncated to the model's context and without padding. `embed` takes ids,
    padded with `pad_id`, and their mask (1 = a token of the text), both int64 of shape (batch, tokens) with any
    number of tokens up to the context, and gives vectors (batch, dimension). Padding changes no vector beyond
    rounding.
    """

    module: "torch.nn.Module"
    dimension: int
    pad_id: int
    tokenizer: Tokenizer
    embed: Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def load_tower(spec: ModelSpec) -> TextTower:
    """The text tower of a spec, in fp32 on the CPU, for inference. Raises ModelError for a user's mistakes."""
    loaders = {
        "sentence-transformers": _sentence_transformer,
        "open_clip": _open_clip,
        "transformers": _transformer,
    }
    with quiet_transformers():
        tower = loaders[spec.provider](spec)
    tower.module.float().eval().requires_grad_(False)
    return tower


def _sentence_transformer(spec: ModelSpec) -> TextTower:
    from sentence_transformers import SentenceTransformer

    folder = model_folder(spec)
    if not (folder / "modules.json").is_file():
        raise spec.error(f"{folder} has no modules.json, so it is no sentence-transformers model; try transformers:")
    _refuse_code(spec, folder)
    with loading(spec, f"{folder}, which should hold a sentence-transformers model,"):
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=False)
    if model.default_prompt_name is not None:
        raise spec.error(f"it puts the prompt {model.default_prompt_name!r} before texts; use a model without prompts")

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        return model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]

    dimension = model.get_embedding_dimension()
    if dimension is None:
        raise spec.error(f"{folder} does not say how long its vectors are; expected a pooling or dense module")
    context = model.max_seq_length or model.tokenizer.model_max_length
    if context > _LONGEST_CONTEXT:
        raise spec.error(
            f"{folder} does not say how many tokens it takes; put max_seq_length into its sentence_bert_config.json"
        )
    tokenizer = truncating(model.tokenizer, context, what=f"the tokenizer in {folder}")
    return TextTower(model, dimension, model.tokenizer.pad_token_id, tokenizer, embed)


def _refuse_code(spec: ModelSpec, folder: Path) -> None:
    """Raise ModelError for a model that names code of its own: some versions of the library import what a folder names
    without asking.
    """
    foreign = []
    with loading(spec, folder / "modules.json"):
        for module in json.loads((folder / "modules.json").read_text(encoding="utf-8")):
            config = folder / module.get("path", "") / "config.json"
            described = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
            activation = str(described.get("activation_function") or "torch.nn.modules.linear.Identity")
            foreign += [module["type"]] if not _MODULE.fullmatch(module["type"]) else []
            foreign += [activation] if not _ACTIVATION.fullmatch(activation) else []
    if foreign:
        raise spec.error(f"{folder} names code of its own: {', '.join(foreign)}; use a model of the library's modules")


def _transformer(spec: ModelSpec) -> TextTower:
    from transformers import AutoConfig

    folder = model_folder(spec)
    with loading(spec, f"the config in {folder}"):
        model_type = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).model_type
    loaders = {"clip": _transformers_clip, "clip_text_model": _transformers_clip, "bert": _transformers_bert}
    if model_type not in loaders:
        raise spec.error(f"it is a {model_type!r} model; text encoders are known for {', '.join(loaders)}")
    return loaders[model_type](spec, folder)


def _transformers_clip(spec: ModelSpec, folder: Path) -> TextTower:
    """CLIP's joint embedding of a text: the end-of-text token's state, projected."""
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    model, tokenizer = load_pretrained(spec, folder, CLIPTextModelWithProjection, AutoTokenizer, what="text encoder")
    end = tokenizer.eos_token_id
    truncated = truncating(tokenizer, model.config.max_position_embeddings, what=f"the tokenizer in {folder}")

    def rows(texts: Sequence[str]) -> list[list[int]]:
        found = truncated.rows([text[:_CLIP_CHARACTERS] for text in texts])
        return [row[: row.index(end) + 1] for row in found]

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        return model(input_ids=ids).text_embeds

    return TextTower(model, model.config.projection_dim, end, Tokenizer(rows, truncated.is_shared), embed)


def _transformers_bert(spec: ModelSpec, folder: Path) -> TextTower:
    """BERT's pooled output: the tanh layer over [CLS] that next-sentence prediction trained."""
    from transformers import AutoTokenizer, BertModel

    model, tokenizer = load_pretrained(spec, folder, BertModel, AutoTokenizer, what="text encoder")

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        return model(input_ids=ids, attention_mask=mask).pooler_output

    truncated = truncating(tokenizer, model.config.max_position_embeddings, what=f"the tokenizer in {folder}")
    return TextTower(model, model.config.hidden_size, tokenizer.pad_token_id, truncated, embed)


def _open_clip(spec: ModelSpec) -> TextTower:
    import open_clip
    import torch
    from open_clip.transformer import TextTransformer, text_global_pool

    text: Any = load_open_clip(spec, has_text_tower=True).text
    name = open_clip_name(spec)
    theirs = open_clip.get_tokenizer(name)
    is_causal = isinstance(text, TextTransformer) and text.attn_mask is not None and text.cls_emb is None
    can_cut = is_causal and text.pool_type == "argmax"

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        if not can_cut:
            return text(ids)
        tokens = ids.shape[1]
        x = text.token_embedding(ids) + text.positional_embedding[:tokens]
        x = text.ln_final(text.transformer(x, attn_mask=text.attn_mask[:tokens, :tokens]))
        pooled = text_global_pool(x, ids, pool_type=text.pool_type)
        projection = text.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection

    tokenizer = _open_clip_tokenizer(theirs, can_cut=can_cut, what=f"open_clip's tokenizer of {name}")
    return TextTower(text, open_clip.get_model_config(name)["embed_dim"], 0, tokenizer, embed)


def _open_clip_tokenizer(theirs: Any, *, can_cut: bool, what: str) -> Tokenizer:
    """The ids of a tokenizer of open_clip: with `can_cut` up to the token that is pooled, the first of the largest id,
    else the whole context.
    """

    def own(texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = theirs(list(texts)).tolist()
        return found

    def kept(rows: Rows) -> Rows:
        if can_cut:
            cut = lambda row: row[: row.index(max(row)) + 1]  # noqa: E731
        else:
            cut = lambda row: row + [0] * (theirs.context_length - len(row))  # noqa: E731
        return lambda texts: [cut(row) for row in rows([text[:_CLIP_CHARACTERS] for text in texts])]

    faster = clip_rows(theirs, theirs.context_length)
    return Tokenizer(kept(own), is_shared=False) if faster is None else proven(kept(faster), kept(own), what=what)
