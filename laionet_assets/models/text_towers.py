"""The text towers of sentence-transformers, open_clip and transformers, each cut down to two functions: texts to
token ids, ids to vectors.

A tower decides nothing about batches, devices' precision or normalisation: that is `text.py`.
"""

import contextlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laionet_assets.models.spec import ModelSpec
from laionet_assets.models.weights import first_line, hub_folder, model_folder, unreachable

if TYPE_CHECKING:
    import torch

_CLIP_CHARACTERS = 10_000
"""Characters of a caption that a CLIP tokenizer reads: 77 tokens of at most 32 bytes lie far inside, and its work
grows with the square of a word."""


@dataclass(frozen=True)
class TextTower:
    """A text tower on its device.

    `tokenize` gives each text's token ids, truncated to the model's context and without padding. `embed` takes ids,
    padded with `pad_id`, and their mask (1 = a token of the text), both int64 of shape (batch, tokens) with any
    number of tokens up to the context, and gives vectors (batch, dimension). Padding changes no vector beyond
    rounding.
    """

    module: "torch.nn.Module"
    dimension: int
    pad_id: int
    tokenize: Callable[[Sequence[str]], list[list[int]]]
    embed: Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def load_tower(spec: ModelSpec) -> TextTower:
    """The text tower of a spec, in fp32 on the CPU, for inference. Raises EncoderError for a user's mistakes."""
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
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise spec.error(f"{folder} is no sentence-transformers model: {first_line(error)}") from error
    if model.default_prompt_name is not None:
        raise spec.error(f"it puts the prompt {model.default_prompt_name!r} before texts; use a model without prompts")

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        return model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]

    tokenize = _truncating(model.tokenizer, model.max_seq_length)
    return TextTower(model, model.get_embedding_dimension(), model.tokenizer.pad_token_id, tokenize, embed)


def _transformer(spec: ModelSpec) -> TextTower:
    from transformers import AutoConfig

    folder = model_folder(spec)
    try:
        model_type = AutoConfig.from_pretrained(folder).model_type
    except (OSError, ValueError) as error:
        raise spec.error(f"{folder} has no config of transformers: {first_line(error)}") from error
    loaders = {"clip": _transformers_clip, "clip_text_model": _transformers_clip, "bert": _transformers_bert}
    if model_type not in loaders:
        raise spec.error(f"it is a {model_type!r} model; text encoders are known for {', '.join(loaders)}")
    return loaders[model_type](spec, folder)


def _transformers_clip(spec: ModelSpec, folder: Path) -> TextTower:
    """CLIP's joint embedding of a text: the end-of-text token's state, projected."""
    from transformers import CLIPTextModelWithProjection

    model, tokenizer = _from_pretrained(CLIPTextModelWithProjection, spec, folder)
    end = tokenizer.eos_token_id
    truncating = _truncating(tokenizer, model.config.max_position_embeddings)

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        rows = truncating([text[:_CLIP_CHARACTERS] for text in texts])
        return [row[: row.index(end) + 1] for row in rows]

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        return model(input_ids=ids).text_embeds

    return TextTower(model, model.config.projection_dim, end, tokenize, embed)


def _transformers_bert(spec: ModelSpec, folder: Path) -> TextTower:
    """BERT's pooled output: the tanh layer over [CLS] that next-sentence prediction trained."""
    from transformers import BertModel

    model, tokenizer = _from_pretrained(BertModel, spec, folder)

    def embed(ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        return model(input_ids=ids, attention_mask=mask).pooler_output

    tokenize = _truncating(tokenizer, model.config.max_position_embeddings)
    return TextTower(model, model.config.hidden_size, tokenizer.pad_token_id, tokenize, embed)


def _from_pretrained(model_class: Any, spec: ModelSpec, folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a folder; EncoderError if a weight is missing, which transformers fills at random."""
    from transformers import AutoTokenizer

    try:
        model, info = model_class.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise spec.error(f"{folder} does not load as {model_class.__name__}: {first_line(error)}") from error
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:5])
        raise spec.error(f"the weights in {folder} lack {missing}; use a checkpoint that holds the whole text encoder")
    return model, tokenizer


def _truncating(tokenizer: Any, context: int) -> Callable[[Sequence[str]], list[list[int]]]:
    """Texts to token ids with special tokens, cut to the context of tokenizer and model, without padding."""
    longest = min(context, tokenizer.model_max_length)
    return lambda texts: tokenizer(list(texts), truncation=True, max_length=longest, padding=False)["input_ids"]


def _open_clip(spec: ModelSpec) -> TextTower:
    import open_clip
    import torch
    from open_clip.transformer import TextTransformer, text_global_pool

    name, checkpoint = open_clip_source(spec)
    try:
        text = open_clip.create_model(
            name,
            pretrained=str(checkpoint) if checkpoint else None,
            force_custom_text=True,
            weights_only=not (checkpoint and is_torchscript(checkpoint)),
        ).text
    except Exception as error:  # what is no checkpoint fails in as many ways as there are files
        raise spec.error(f"weights {checkpoint or spec.weights} do not load: {first_line(error)}") from error
    tokenizer = open_clip.get_tokenizer(name)
    is_causal = isinstance(text, TextTransformer) and text.attn_mask is not None and text.cls_emb is None
    can_cut = is_causal and text.pool_type == "argmax"

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        ids = tokenizer([text[:_CLIP_CHARACTERS] for text in texts])
        lengths = (ids.argmax(dim=1) + 1).tolist() if can_cut else [ids.shape[1]] * len(texts)
        return [row[:length] for row, length in zip(ids.tolist(), lengths, strict=True)]

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

    return TextTower(text, open_clip.get_model_config(name)["embed_dim"], 0, tokenize, embed)


def open_clip_source(spec: ModelSpec) -> tuple[str, Path | None]:
    """Architecture and checkpoint file of an open_clip spec; a folder of weights brings its own architecture."""
    import open_clip

    if spec.weights is not None and spec.weights.is_dir():
        return f"local-dir:{spec.weights}", None
    architecture, _, tag = spec.model.partition("/")
    if architecture not in open_clip.list_models():
        near = get_close_matches(architecture, open_clip.list_models(), n=5) or ["see open_clip.list_models()"]
        raise spec.error(f"open_clip has no architecture {architecture!r}; near: {', '.join(near)}")
    if spec.weights is not None:
        return architecture, spec.weights
    config = open_clip.get_pretrained_cfg(architecture, tag)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(architecture) or ["none"]
        raise spec.error(f"open_clip has no weights {tag!r} for {architecture}; its tags: {', '.join(tags)}")
    has_quick_gelu = bool(open_clip.get_model_config(architecture).get("quick_gelu"))
    if bool(config.get("quick_gelu")) != has_quick_gelu:
        twin = architecture.removesuffix("-quickgelu") if has_quick_gelu else f"{architecture}-quickgelu"
        trained, computed = ("GELU", "QuickGELU") if has_quick_gelu else ("QuickGELU", "GELU")
        raise spec.error(f"the weights were trained with {trained}, the architecture has {computed}; use {twin}/{tag}")
    return architecture, _open_clip_checkpoint(spec, config)


def _open_clip_checkpoint(spec: ModelSpec, config: dict[str, Any]) -> Path:
    import open_clip

    repository, _, file = config.get("hf_hub", "").rpartition("/")
    if not repository:
        try:
            return Path(open_clip.download_pretrained(config))
        except (OSError, RuntimeError) as error:
            raise spec.error(unreachable(config["url"], error)) from error
    folder = hub_folder(spec, repository)
    safetensors = str(Path(file).with_suffix(".safetensors")) if file else "open_clip_model.safetensors"
    names = (safetensors, file or "open_clip_pytorch_model.bin")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise spec.error(f"{repository} on the hub has neither {' nor '.join(names)}; set weights: <local file>")
    return found


def is_torchscript(checkpoint: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI published CLIP: torch reads it with torch.jit, not pickle."""
    if not zipfile.is_zipfile(checkpoint):
        return False
    with zipfile.ZipFile(checkpoint) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' own progress bars and loading reports: the caller shows progress."""
    from transformers.utils import logging

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
