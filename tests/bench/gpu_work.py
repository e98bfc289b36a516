"""What `tests.bench.gpu` works on: texts, pictures, weights of the right size and no content, models over them."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from laionet_assets.models.spec import PREDICTOR, TEXT_ENCODER, ModelSpec, parse_model

NOT_INSTALLED = "not installed: its rows are left out"
CLIP = "ViT-B-32-quickgelu"
MINILM_LAYERS, MINILM_WIDTH, MINILM_VOCABULARY = 6, 384, 30_522


class Missing(Exception):
    """Something that a row needs is not here."""


class Work:
    """Captions and pictures, and a folder for weights. `real` has real ones."""

    def __init__(self, folder: Path, real: Path | None, *, device: str | None = None) -> None:
        import torch

        self.folder, self.real = folder, real
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def captions(self) -> list[str]:
        """Real captions, or synsets with their definitions."""
        if self.real is not None:
            import pyarrow.parquet as pq

            files = sorted((self.real / "captions").glob("*.parquet"))
            found = [text for file in files for text in pq.read_table(file, columns=["TEXT"])["TEXT"].to_pylist()]
            return [text for text in found if text]
        from laionet_assets.taxonomy import load_synsets

        return [f"{synset.name} which is {synset.definition}" for synset in load_synsets("imagenet-1k")]

    def captions_of(self, count: int) -> list[str]:
        """So many captions, each its own."""
        return [f"{self.captions[i % len(self.captions)]} {i}" for i in range(count)]

    @cached_property
    def files(self) -> list[bytes]:
        """Real photographs, or noise that is as large."""
        if self.real is not None:
            return [path.read_bytes() for path in sorted((self.real / "images").glob("*/*.jpg"))]
        return [_made_up(seed) for seed in range(32)]

    def pictures_of(self, count: int) -> list[tuple[int, bytes]]:
        """So many pictures, again and again the same."""
        return [(i, self.files[i % len(self.files)]) for i in range(count)]

    @property
    def mean_bytes(self) -> float:
        return float(np.mean([len(data) for data in self.files]))

    @property
    def has_open_clip(self) -> bool:
        return find_spec("open_clip") is not None

    @property
    def description(self) -> str:
        """Where captions and pictures are from."""
        return f"{'real' if self.real else 'made-up'} captions and pictures"

    def synchronize(self) -> None:
        """Wait for the card."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def weights(self, name: str, make: Callable[[Path], Any]) -> Path:
        """A file or folder of weights, made once, always the same."""
        import torch

        path = self.folder / name
        if not path.exists():
            torch.manual_seed(0)
            make(path)
        return path


@dataclass(frozen=True)
class TextRivals:
    """Parts and peers of a text encoder, each a function of how many texts."""

    own_tokenizer: Callable[[int], Any]
    tokenizer: Callable[[int], Any]
    forward: Callable[[int], Any]
    peer: Callable[[int], Any]
    peer_name: str


def clip_text(work: Work, device: str) -> Any:
    """A text encoder of CLIP ViT-B/32. Raises Missing without open_clip."""
    from laionet_assets.models.text_encoder import load_text_encoder

    spec = parse_model(TEXT_ENCODER, f"open_clip:{CLIP}", name=f"clip-{device}", weights=_clip(work), device=device)
    return load_text_encoder(spec)


def minilm_text(work: Work, device: str) -> Any:
    """A BERT as large as MiniLM, with a vocabulary trained on the captions."""
    from laionet_assets.models.text_encoder import load_text_encoder

    folder = work.weights("minilm", lambda path: _save_minilm(work, path))
    return load_text_encoder(
        parse_model(TEXT_ENCODER, "transformers:made/minilm", name=f"minilm-{device}", weights=folder, device=device)
    )


def rivals_of_text(encoder: Any, work: Work) -> TextRivals:
    """The parts of an encoder, and what a user would write with its library: batches of 1,024, half on a card. What a
    part needs is loaded as it is first asked.
    """
    import torch

    from laionet_assets.models.tokens import Tokens

    tower, is_clip = encoder._tower, encoder.name.startswith("clip")
    device, dtype = encoder._device, torch.float16 if encoder._device.type == "cuda" else torch.float32

    @cache
    def own() -> Any:
        if is_clip:
            import open_clip

            return open_clip.get_tokenizer(CLIP)
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(work.folder / "minilm")

    @cache
    def model() -> Any:
        if is_clip:
            import open_clip

            return open_clip.create_model(CLIP).to(device, dtype).eval()
        from transformers import BertModel

        return BertModel.from_pretrained(work.folder / "minilm").to(device, dtype).eval()

    def peer_batch(texts: list[str]) -> Any:
        if is_clip:
            return model().encode_text(own()(texts).to(device), normalize=True)
        return model()(**own()(texts, padding=True, truncation=True, max_length=256, return_tensors="pt").to(device))

    def peer(count: int) -> None:
        texts = work.captions_of(count)
        with torch.inference_mode():
            for start in range(0, count, 1_024):
                peer_batch(texts[start : start + 1_024])

    block = 16_384 if device.type == "cuda" else 1_024

    @cache
    def whole() -> Tokens:
        return tower.tokenizer.tokens(work.captions_of(block), threads=torch.get_num_threads())

    def tokens(count: int) -> Tokens:
        lengths = whole().lengths[:count]
        return Tokens(whole().ids[: int(lengths.sum())], lengths)

    def forward(count: int) -> None:
        for start in range(0, count, block):
            encoder._vectors(tokens(min(block, count - start)), torch.get_num_threads(), None)

    return TextRivals(
        own_tokenizer=lambda count: own()(work.captions_of(count)),
        tokenizer=lambda count: tower.tokenizer.tokens(work.captions_of(count), threads=torch.get_num_threads()),
        forward=forward,
        peer=peer,
        peer_name="open_clip encode_text" if is_clip else "transformers",
    )


def predictors() -> dict[str, Callable[[Work, str, str], Any]]:
    """How each predictor is loaded, by what it is called: for a device, and for who decodes."""
    return {
        "ResNet-50": lambda work, device, decode_on: _timm(work, "resnet50", device, decode_on),
        "EfficientNet-Lite0": lambda work, device, decode_on: _timm(work, "tf_efficientnet_lite0", device, decode_on),
        "CLIP zero-shot": _zero_shot,
    }


def peer_loader(work: Work, cores: int) -> Callable[[int], Any]:
    """What a user would write for ResNet-50: a DataLoader of processes with timm's transform, batches of 256, half."""
    import timm
    import torch
    from PIL import Image
    from timm.data import create_transform, resolve_data_config

    made: Any = timm.create_model("resnet50").eval()
    transform: Any = create_transform(**resolve_data_config({}, model=made), is_training=False)

    @cache
    def model() -> Any:
        return made.to(work.device)

    is_cuda = work.device == "cuda"

    class Pictures(torch.utils.data.Dataset[Any]):
        def __init__(self, count: int) -> None:
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __getitem__(self, i: int) -> Any:
            return transform(Image.open(io.BytesIO(work.files[i % len(work.files)])).convert("RGB"))

    def run(count: int) -> None:
        loader: Any = torch.utils.data.DataLoader(
            Pictures(count), batch_size=256 if is_cuda else 16, num_workers=cores, pin_memory=is_cuda
        )
        with torch.inference_mode(), torch.autocast(work.device, torch.float16, enabled=is_cuda):
            for batch in loader:
                model()(batch.to(work.device, non_blocking=True)).topk(5)

    return run


def one_core_rates(work: Work, cores: int, seconds: float) -> dict[str, float]:
    """What this process does on the cores that it may use: texts and pictures a second."""
    import torch

    from laionet_assets.pictures.processes import are_worth_it
    from laionet_assets.predictors import predict_stream

    torch.set_num_threads(cores)
    encoder, model = minilm_text(work, "cpu"), _timm(work, "tf_efficientnet_lite0", "cpu", "cpu")
    return {
        "MiniLM-size text": steady_rate(
            lambda count: encoder.encode(work.captions_of(count)), first=64 * cores, seconds=seconds
        ),
        "EfficientNet-Lite0": steady_rate(
            lambda count: list(
                predict_stream(work.pictures_of(count), [model], workers=cores, processes=are_worth_it(cores))
            ),
            first=8 * cores,
            seconds=seconds,
        ),
    }


def steady_rate(
    run: Callable[[int], Any],
    *,
    first: int,
    seconds: float,
    most: int | None = None,
    synchronize: Callable[[], None] = lambda: None,
) -> float:
    """Items a second of `run(items)` once it runs: many take so much longer than the first few, for about `seconds`.

    What a call costs however many it is given, such as processes that start, is in both and does not count. Each is
    run once before, unmeasured.
    """

    def timed(count: int) -> float:
        synchronize()
        start = time.perf_counter()
        run(count)
        synchronize()
        return time.perf_counter() - start

    run(first)
    few = timed(first)
    count = int(first / few * seconds) if most is None else min(int(first / few * seconds), most)
    if count < 2 * first:
        return first / few
    while True:
        many = timed(count)
        steady = many - few
        if steady >= seconds / 2 or count == most:
            return (count - first) / steady if steady > 0 else count / many
        count = first + int((count - first) * min(8, max(2, seconds / max(steady, 1e-9))))
        count = count if most is None else min(count, most)


def _timm(work: Work, name: str, device: str, decode_on: str) -> Any:
    import timm
    import torch

    from laionet_assets.predictors import load_predictor
    from tests.imagenet import CLASSES

    def save(path: Path) -> None:
        torch.save(timm.create_model(name).state_dict(), path)

    spec = parse_model(
        PREDICTOR,
        f"timm:{name}",
        name=f"{name}-{device}",
        weights=work.weights(f"{name}.pth", save),
        device=device,
        decode_on=decode_on,
    )
    return load_predictor(spec, classes=CLASSES)


def _zero_shot(work: Work, device: str, decode_on: str) -> Any:
    from laionet_assets.models.prompts import query_prompts
    from laionet_assets.predictors import load_predictor
    from laionet_assets.taxonomy import load_synsets

    synsets = load_synsets("imagenet-1k")[:100]
    prompts = query_prompts({each.wnid: f"{each.name} which is {each.definition}" for each in synsets})
    spec: ModelSpec = parse_model(
        PREDICTOR,
        f"open_clip:{CLIP}",
        name=f"zero-shot-{device}",
        weights=_clip(work),
        device=device,
        decode_on=decode_on,
    )
    return load_predictor(spec, prompts=prompts, cache=work.folder)


def _clip(work: Work) -> Path:
    if not work.has_open_clip:
        raise Missing("open_clip_torch is not installed")
    import open_clip
    import torch

    return work.weights("clip.pt", lambda path: torch.save(open_clip.create_model(CLIP).state_dict(), path))


def _save_minilm(work: Work, folder: Path) -> None:
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast  # type: ignore[attr-defined]  # there at run time

    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(work.captions, vocab_size=MINILM_VOCABULARY, show_progress=False)
    folder.mkdir()
    trained.save(str(folder / "tokenizer.json"))
    BertTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_max_length=256).save_pretrained(folder)
    config = BertConfig(
        vocab_size=MINILM_VOCABULARY,
        hidden_size=MINILM_WIDTH,
        num_hidden_layers=MINILM_LAYERS,
        num_attention_heads=12,
        intermediate_size=4 * MINILM_WIDTH,
    )
    BertModel(config).save_pretrained(folder)


def _made_up(seed: int) -> bytes:
    """A JPEG of about 24 kB, 341 x 256 pixels: coarse noise."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (64, 85, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((341, 256), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=70)
    return buffer.getvalue()
