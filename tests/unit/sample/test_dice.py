"""Dice: the same words give the same stream, and the choices have the frequencies they promise."""

from collections import Counter

from laionet_assets.sample.dice import Dice


def test_same_seed_same_stream_and_words_matter() -> None:
    def stream(*seed: str | int) -> list[float]:
        dice = Dice(*seed)
        return [dice.between(0, 1) for _ in range(5)]

    assert stream("web", 1) == stream("web", 1)
    assert stream("web", 1) != stream("web", 2)
    assert stream("web", 12) != stream("web", 1, 2)


def test_stream_is_fixed_for_ever() -> None:
    dice = Dice("laionet sample", 0, 0)
    assert [dice.below(1000) for _ in range(6)] == [620, 196, 932, 153, 549, 837]


def test_frequencies() -> None:
    dice = Dice("frequencies")
    counts = Counter(dice.weighted({"often": 3, "seldom": 1, "never": 0}) for _ in range(8000))
    assert 5800 < counts["often"] < 6200 and counts["never"] == 0
    assert {dice.pick("abc") for _ in range(100)} == set("abc")
    assert 4700 < sum(dice.chance(0.6) for _ in range(8000)) < 4900
    bells = [dice.bell(10, 2) for _ in range(8000)]
    mean = sum(bells) / len(bells)
    deviation = (sum((value - mean) ** 2 for value in bells) / len(bells)) ** 0.5
    assert abs(mean - 10) < 0.1 and abs(deviation - 2) < 0.1
