"""Texts to token ids: arrays instead of lists, in several threads, by the Rust of `tokenizers`.

Here: the ids of many texts in one array, the threads, and the proof that a faster tokenizer gives a library's own ids.
Not here: which tokenizer a model has (`text_towers`), CLIP's (`clip_tokens`).

Rust gives up Python's lock while it works, so that n threads keep n cores busy, and a batch is tokenized while the one
before is computed. The libraries' own calls keep the lock to make Python objects of all that Rust knows of a token.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Rows = Callable[[Sequence[str]], list[list[int]]]
"""The token ids of each text, special tokens included, cut to the model's context, without padding."""

_SLICE_TEXTS = 1_024
"""Texts that a thread takes at a time."""

PROBES = (
    "",
    " ",
    "a photo of a dog",
    'Antique Brass MANTEL Clock, made in Germany (1890s) - 12" x 8"',
    "it's they'll I'd we've you're 'TIS rock 'n' roll's",
    "no 12 with 2,400 clues; 3.14159 & counting... #1!!! @home $5/£5",
    "caf\u00e9 na\u00efve \u00fcber Stra\u00dfe \u0130stanbul \u01c4 \ufb01n",
    "cafe\u0301 with a mark of its own, \u00c3\u00a9 broken, &eacute; &amp;lt; escaped",
    "\u65e5\u672c\u8a9e\u306e\u8aac\u660e \ud55c\uad6d\uc5b4 \u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "\u05e2\u05d1\u05e8\u05d9\u05ea \u0639\u0631\u0628\u064a \u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2603\ufe0f \u00bd \u2167 \u0663 \u00b2",
    "tabs\tand\nlines\r\nand\u00a0spaces\u3000of \x0b \x1c all\u2009kinds  ",
    "<start_of_text> is <end_of_text> not [CLS] special <|endoftext|> [MASK]here",
    "aaaaaaaaaaaaaaaa bbbbbbbb hahahahahaha ................ -------- ========",
    "pneumonoultramicroscopicsilicovolcanoconiosis Donaudampfschifffahrtsgesellschaft",
    "https://example.org/a_b-c?d=e%20f&g=h#i foo_bar C:\\dir\\file.txt user@host",
    "x" * 600,
    "sailing boat at sunset, " * 60,
    "word " * 300 + "end",
)
"""Texts that tokenizers treat in different ways where they differ: what a faster one is held to when it is loaded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tokens:
    """The token ids of many texts, one text after another: `ids` of shape (tokens,), `lengths` of shape (texts,)."""

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Tokens":
        """The ids of each text, in one array."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths)

    @classmethod
    def together(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """The texts of each part, in order."""
        if not parts:
            return cls.of([])
        return cls(np.concatenate([part.ids for part in parts]), np.concatenate([part.lengths for part in parts]))

    def padded(self, texts: NDArray[np.int64], *, pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and mask (1 = a token) of some texts, by their positions, each of shape (texts, longest of them)."""
        lengths = self.lengths[texts]
        columns = np.arange(lengths.max(initial=0))
        is_token = columns < lengths[:, None]
        starts = np.cumsum(self.lengths)[texts] - lengths
        ids = np.full(is_token.shape, pad_id, dtype=np.int64)
        ids[is_token] = self.ids[(starts[:, None] + columns)[is_token]]
        return ids, is_token.astype(np.int64)


@dataclass(frozen=True)
class Tokenizer:
    """Texts to token ids. `rows` is called from several threads at once if it `is_shared`."""

    rows: Rows
    is_shared: bool

    def tokens(self, texts: Sequence[str], *, threads: int = 1) -> Tokens:
        """The token ids of each text."""
        slices = (texts[start : start + _SLICE_TEXTS] for start in range(0, len(texts), _SLICE_TEXTS))
        if not self.is_shared or threads < 2 or len(texts) <= _SLICE_TEXTS:
            return Tokens.together([Tokens.of(self.rows(each)) for each in slices])
        with ThreadPoolExecutor(threads) as pool:
            return Tokens.together(list(pool.map(lambda each: Tokens.of(self.rows(each)), slices)))


def proven(faster: Rows, own: Rows, *, what: str) -> Tokenizer:
    """The faster of two ways to tokenize if both give the same ids for `PROBES`, else a library's own, which is logged.

    `what` is the tokenizer, for the log.
    """
    try:
        differing = [text for text in PROBES if faster([text]) != own([text])]
    except Exception as error:  # whatever Rust or a binding raises over a vocabulary that it does not take
        _log.warning("%s: tokenized by its own library, slowly: in Rust it fails: %s", what, error)
        return Tokenizer(own, is_shared=False)
    if differing:
        _log.warning(
            "%s: tokenized by its own library, slowly: in Rust %d of %d probes have other ids, such as %r",
            what, len(differing), len(PROBES), differing[0][:40],
        )  # fmt: skip
        return Tokenizer(own, is_shared=False)
    return Tokenizer(faster, is_shared=True)


def truncating(tokenizer: Any, context: int, *, what: str) -> Tokenizer:
    """A tokenizer of transformers, with special tokens, cut to the context of tokenizer and model, without padding."""
    longest = min(context, tokenizer.model_max_length)

    def own(texts: Sequence[str]) -> list[list[int]]:
        rows: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=longest, padding=False)["input_ids"]
        return rows

    if not tokenizer.is_fast:
        return Tokenizer(own, is_shared=False)
    return proven(_in_rust(tokenizer, longest), own, what=what)


def _in_rust(tokenizer: Any, longest: int) -> Rows:
    """The Rust behind a tokenizer of transformers, a copy with settings of its own: calls of the original change it."""
    from tokenizers import Tokenizer as RustTokenizer

    backend = tokenizer.backend_tokenizer
    rust: Any = RustTokenizer.from_str(backend.to_str())
    rust.encode_special_tokens = backend.encode_special_tokens
    rust.no_padding()
    rust.enable_truncation(longest, direction=tokenizer.truncation_side)
    return lambda texts: [encoding.ids for encoding in rust.encode_batch_fast(list(texts))]


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each made in a thread while the one before is worked on."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, iterator, end)
        while (item := pending.result()) is not end:
            pending = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # `end` is told apart
