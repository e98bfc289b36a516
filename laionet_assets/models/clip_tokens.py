"""CLIP's byte-pair encoder in Rust: the ids of open_clip's `SimpleTokenizer`.

open_clip cleans a caption (ftfy, HTML entities), splits it by a pattern, and merges the bytes of each piece, all in
Python. Merging is done in Rust here. Of printable ASCII without `&` and `<` cleaning leaves all but case and white
space, so that Rust splits it too; any other caption is cleaned and split by open_clip itself. Measured on real
captions: docs/benchmarks.md.
"""

from collections.abc import Sequence
from typing import Any

from laionet_assets.models.tokens import Rows

_PLAIN_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""open_clip's pattern without its special tokens, for texts in lower case."""


def clip_rows(theirs: Any, context: int) -> Rows | None:
    """What gives the ids of a tokenizer of open_clip, cut to `context` tokens; None for one that is not its
    `SimpleTokenizer`, or that leaves out tokens at random.
    """
    from open_clip.tokenizer import SimpleTokenizer, get_clean_fn

    if type(theirs) is not SimpleTokenizer or theirs.reduction_fn is not None:
        return None
    specials = {theirs.decoder[number] for number in theirs.all_special_ids}
    is_lower = theirs.clean_fn is get_clean_fn("lower") and all("<" in special for special in specials)
    split, merge = _rust(theirs, splits=True), _rust(theirs, splits=False)

    def rows(texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in texts]
        plain = [i for i, text in enumerate(texts) if is_lower and _is_plain(text)]
        others: dict[int, list[str]] = {}
        for i in set(range(len(texts))).difference(plain):
            pieces = theirs.pat.findall(theirs.clean_fn(texts[i]))
            if not specials.isdisjoint(pieces):
                found[i] = theirs.encode(texts[i])
            elif pieces:
                others[i] = pieces
        whole = split.encode_batch_fast([texts[i].lower() for i in plain], add_special_tokens=False)
        in_pieces = merge.encode_batch_fast(list(others.values()), is_pretokenized=True, add_special_tokens=False)
        for i, encoding in zip([*plain, *others], [*whole, *in_pieces], strict=True):
            found[i] = encoding.ids
        return [_framed(ids, theirs.sot_token_id, theirs.eot_token_id, context) for ids in found]

    return rows


def _is_plain(text: str) -> bool:
    """Whether cleaning changes no more than case and white space, and no special token can be in it."""
    return text.isascii() and text.isprintable() and "&" not in text and "<" not in text


def _framed(ids: list[int], start: int, end: int, context: int) -> list[int]:
    return [start, *ids[: context - 2], end]


def _rust(theirs: Any, *, splits: bool) -> Any:
    """The merges of a tokenizer of open_clip; with `splits`, of whole texts in lower case, else of pieces."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    rust: Any = Tokenizer(models.BPE(vocab=theirs.encoder, merges=list(theirs.bpe_ranks), end_of_word_suffix="</w>"))
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = pre_tokenizers.Split(Regex(_PLAIN_PATTERN), behavior="removed", invert=True)
    rust.pre_tokenizer = pre_tokenizers.Sequence([pieces, in_bytes]) if splits else in_bytes
    return rust
