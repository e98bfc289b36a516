"""Digests of a small package: what reaches what, and what of it counts."""

import ast
import importlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from laionet_assets.assets.source_code import SourceCode, SourceCodeError

PACKAGE = "menagerie"
FILES = {
    "__init__.py": "",
    "errors.py": "class Told(Exception):\n    pass\n",
    "tables.py": '''
"""Two tables."""

from menagerie.feeding import portion
from menagerie.kinds import Animal
from menagerie.weighing import scales


def write_meals(animals, work):
    """Writes meals."""
    work.log("meals")
    return [portion(animal) for animal in animals]


def write_weights(animals, log):
    from menagerie.weighing import weight

    log(f"{len(animals)} animals")
    return [weight(animal, progress=lambda done: log(done)) for animal in animals]


def write_makers(work):
    return scales.MAKER
''',
    "feeding/__init__.py": "from menagerie.feeding.portions import portion\n",
    "feeding/portions.py": '''
import math

from menagerie.errors import Told
from menagerie.feeding.rates import RATES
from menagerie.units import grams


class Hungry(Told):
    """It must be fed."""


def portion(animal: "Animal") -> float:
    if animal.kind not in RATES:
        raise Hungry(f"{animal} has no rate")
    if animal.legs < 0:
        raise ValueError("legs")
    assert animal.legs, "legs"
    return math.ceil(grams(animal.legs) * RATES[animal.kind])
''',
    "feeding/rates.py": 'RATES = {"cat": 2, "cow": 40}\nUNUSED = 3\n',
    "units.py": "PER_LEG = 7\n\n\ndef grams(legs):\n    return legs * PER_LEG\n\n\ndef miles(legs):\n    return legs\n",
    "kinds.py": '''
from dataclasses import dataclass
from typing import ClassVar, NamedTuple


@dataclass(frozen=True)
class Animal:
    """An animal."""

    kind: str
    legs: int = 4
    """Legs."""


class Pair(NamedTuple):
    left: int
    right: int
''',
    "weighing/__init__.py": "",
    "weighing/scales.py": 'MAKER = "Roe"\nYEAR = 1900\n',
    "weighing/methods.py": "def by_hand(animal):\n    return 1\n\n\ndef by_scales(animal):\n    return 2\n",
}
FILES["weighing/__init__.py"] = """
from menagerie.weighing import methods, scales


def weight(animal, progress=None):
    ways = {"hand": methods.by_hand, "scales": methods.by_scales}
    if animal.provider == "hand":
        return ways[animal.provider](animal)
    return ways[animal.provider](animal) + scales.YEAR
"""


class Menagerie:
    """The package on disk, and digests of what it is now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.tables = importlib.import_module(f"{PACKAGE}.tables")

    def source(self, **options: Any) -> SourceCode:
        told = (f"{PACKAGE}.errors", "Told")
        return SourceCode(PACKAGE, self.folder, told=told, providers=("hand", "scales"), **options)

    def digests(self, **options: Any) -> dict[str, str]:
        roots = {
            "meals": self.tables.write_meals,
            "weights": self.tables.write_weights,
            "makers": self.tables.write_makers,
        }
        return {name: self.source().digest(root, **options) for name, root in roots.items()}

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def menagerie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Menagerie]:
    monkeypatch.syspath_prepend(tmp_path)
    yield Menagerie(tmp_path / PACKAGE)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tables.py", '"""Writes meals."""', '"""Writes the meals, of all animals."""'),
        ("tables.py", '    """Writes meals."""\n', ""),
        ("tables.py", "[portion(animal) for", "[\n portion(animal)  # all\n for"),
        ("tables.py", "(animals, work)", '(animals: "list[Animal]", work: object) -> list[float]'),
        ("tables.py", 'work.log("meals")', 'work.log(f"{len(animals)} meals")'),
        ("tables.py", 'work.log("meals")\n    ', ""),
        ("tables.py", 'log(f"{len(animals)} animals")', "progress(1, 2)"),
        ("tables.py", "progress=lambda done: log(done)", "log=print"),
        ("tables.py", "\n    from menagerie.weighing import weight\n", ""),
        ("feeding/portions.py", '(animal: "Animal") -> float', "(animal)"),
        ("feeding/portions.py", "has no rate", "has no rate; give it one"),
        ("feeding/portions.py", '"""It must be fed."""', "pass"),
        ("feeding/portions.py", 'legs, "legs"', "legs"),
        ("feeding/portions.py", "if animal.legs < 0", "if (animal.legs<0)"),
        ("feeding/rates.py", "UNUSED = 3", "UNUSED = 4"),
        ("units.py", "return legs\n", "return legs / 1609\n"),
        ("units.py", "PER_LEG = 7", "PER_LEG: int = 7"),
        ("kinds.py", "left: int", "left: float"),
        ("weighing/methods.py", "return 1", "return 1  # at most"),
    ],
)  # fmt: skip
def test_what_makes_no_rows_does_not_count(menagerie: Menagerie, file: str, old: str, new: str) -> None:
    before = menagerie.digests()
    menagerie.edit(file, old, new)
    if "import weight" in old:  # to the top of the module
        menagerie.edit(file, "import scales\n", "import scales, weight\n")
    assert menagerie.digests() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("tables.py", "[portion(animal) for", "[-portion(animal) for", {"meals"}),
        ("feeding/portions.py", "math.ceil", "math.floor", {"meals"}),
        ("feeding/portions.py", "import math", "import cmath as math", {"meals"}),
        ("feeding/portions.py", "legs < 0", "legs <= 0", {"meals"}),
        ("feeding/portions.py", 'ValueError("legs")', 'ValueError("no legs")', {"meals"}),
        ("feeding/portions.py", "raise Hungry(", "raise Told(", {"meals"}),
        ("feeding/portions.py", 'portion(animal: "Animal")', 'portion(animal: "Animal", more=1)', {"meals"}),
        ("feeding/portions.py", "def portion", "@staticmethod\ndef portion", {"meals"}),
        ("feeding/rates.py", '"cow": 40', '"cow": 41', {"meals"}),
        ("feeding/rates.py", '"cat": 2', '"cat": 2.0', {"meals"}),
        ("feeding/rates.py", "UNUSED = 3", 'RATES["dog"] = 9', {"meals"}),
        ("units.py", "PER_LEG = 7", "PER_LEG = 8", {"meals"}),
        ("weighing/methods.py", "return 1", "return 3", {"weights"}),
        ("weighing/scales.py", "1900", "1901", {"weights"}),
        ("weighing/scales.py", '"Roe"', '"Doe"', {"makers"}),
        ("weighing/__init__.py", "scales.YEAR", "scales.YEAR.real", {"weights"}),
    ],
)  # fmt: skip
def test_an_edit_counts_for_the_tables_that_use_it_and_no_others(
    menagerie: Menagerie, file: str, old: str, new: str, changed: set[str]
) -> None:
    """Three imports away, behind a package, behind an import inside a function, behind a module's attribute."""
    before = menagerie.digests()
    menagerie.edit(file, old, new)
    after = menagerie.digests()
    assert {name for name in before if before[name] != after[name]} == changed


def test_where_a_definition_stands_does_not_count(menagerie: Menagerie) -> None:
    before = menagerie.digests()
    (menagerie.folder / "feeding/amounts.py").write_text((menagerie.folder / "units.py").read_text())
    (menagerie.folder / "units.py").unlink()
    menagerie.edit("feeding/portions.py", "from menagerie.units import", "from menagerie.feeding.amounts import")
    assert menagerie.digests() == before


def test_two_functions_that_change_places_count(menagerie: Menagerie) -> None:
    """What is reached is the same; who calls whom is not."""
    before = menagerie.digests()
    menagerie.edit(
        "weighing/__init__.py",
        '"hand": methods.by_hand, "scales": methods.by_scales',
        '"hand": first, "scales": second',
    )
    menagerie.edit(
        "weighing/__init__.py",
        "import methods, scales",
        "import scales\nfrom menagerie.weighing.methods import by_hand as first, by_scales as second",
    )
    one = menagerie.digests()
    menagerie.edit(
        "weighing/__init__.py", "by_hand as first, by_scales as second", "by_scales as first, by_hand as second"
    )
    assert len({each["weights"] for each in (before, one, menagerie.digests())}) == 3  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("legs: int = 4", "legs: float = 4", False),
        ("legs: int = 4", "legs: int = 2", True),
        ("legs: int = 4", "legs: ClassVar[int] = 4", True),
        ("legs: int = 4", "legs = 4", True),
        ("kind: str\n", "kind: str\n    name: str\n", True),
        ("frozen=True", "frozen=False", True),
        ("left: int", "left: float", True),
        ('"""An animal."""', '"""One animal."""', False),
    ],
)
def test_annotations_count_where_a_class_reads_them(menagerie: Menagerie, old: str, new: str, counts: bool) -> None:
    kinds = importlib.import_module(f"{PACKAGE}.kinds")
    before = menagerie.source().digest(kinds.Animal, kinds.Pair)
    menagerie.edit("kinds.py", old, new)
    assert (menagerie.source().digest(kinds.Animal, kinds.Pair) != before) == counts


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("weighing/methods.py", "return 1", "return 3", {"hand", None}),
        ("weighing/methods.py", "return 2", "return 3", {"scales", None}),
        ("weighing/scales.py", "1900", "1901", {"scales", None}),
        ("weighing/__init__.py", "by_hand,", 'by_hand, "guess": methods.by_hand,', {"hand", "scales", None}),
    ],
)  # fmt: skip
def test_of_a_choice_by_provider_only_what_is_chosen_counts(
    menagerie: Menagerie, file: str, old: str, new: str, changed: set[str | None]
) -> None:
    def digests() -> dict[str | None, str]:
        source = menagerie.source()
        return {name: source.digest(menagerie.tables.write_weights, provider=name) for name in ("hand", "scales", None)}

    before = digests()
    menagerie.edit(file, old, new)
    after = digests()
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_new_provider_counts_for_nobody_else(menagerie: Menagerie) -> None:
    def digest(*more: str) -> str:
        told = (f"{PACKAGE}.errors", "Told")
        source = SourceCode(PACKAGE, menagerie.folder, told=told, providers=("hand", "scales", *more))
        return source.digest(menagerie.tables.write_weights, provider="hand")

    before = digest()
    menagerie.edit(
        "weighing/__init__.py", '"hand": methods.by_hand,', '"hand": methods.by_hand, "guess": methods.guess,'
    )
    menagerie.edit("weighing/methods.py", "def by_hand", "def guess(animal):\n    return 0\n\n\ndef by_hand")
    assert digest("guess") == before


def test_what_is_left_out_and_what_makes_no_rows(menagerie: Menagerie) -> None:
    meals = menagerie.tables.write_meals
    feeding = importlib.import_module(f"{PACKAGE}.feeding.portions")
    plain = menagerie.source().modules(meals)
    assert plain == [f"{PACKAGE}.{name}" for name in ("feeding.portions", "feeding.rates", "tables", "units")]
    assert menagerie.source().modules(meals, without=[feeding.portion]) == [f"{PACKAGE}.tables"]
    bounded = menagerie.source(uncounted=[f"{PACKAGE}.feeding"])
    assert bounded.modules(meals) == [f"{PACKAGE}.tables"], "what is left out is not looked through"
    bounded = menagerie.source(uncounted=[f"{PACKAGE}.feeding.rates"])
    before = bounded.digest(meals)
    menagerie.edit("feeding/rates.py", "40", "50")
    assert menagerie.source(uncounted=[f"{PACKAGE}.feeding.rates"]).digest(meals) == before


def test_a_partial_counts_with_its_functions_and_objects(menagerie: Menagerie) -> None:
    kinds: ModuleType = importlib.import_module(f"{PACKAGE}.kinds")
    root = partial(menagerie.tables.write_makers, work=kinds.Animal("cat"))
    before, alone = menagerie.source().digest(root), menagerie.source().digest(menagerie.tables.write_makers)
    menagerie.edit("kinds.py", "legs: int = 4", "legs: int = 2")
    assert menagerie.source().digest(root) != before
    assert menagerie.source().digest(menagerie.tables.write_makers) == alone


def test_a_module_counts_whole(menagerie: Menagerie) -> None:
    rates = importlib.import_module(f"{PACKAGE}.feeding.rates")
    before = menagerie.source().digest(rates)
    menagerie.edit("feeding/rates.py", "UNUSED = 3", "UNUSED = 4")
    assert menagerie.source().digest(rates) != before


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("tables.py", "import portion", "import portion, ration as more\nrations = more", None),
        ("tables.py", "portion(animal)", "ration(animal)", None),
        ("tables.py", "import portion", "import ration as portion", "menagerie.feeding has no ration"),
        ("weighing/__init__.py", "methods.by_hand", "methods.by_eye", "menagerie.weighing.methods has no by_eye"),
    ],
)
def test_a_name_that_is_not_there_is_an_error(
    menagerie: Menagerie, file: str, old: str, new: str, message: str | None
) -> None:
    """A gap in the graph would keep old rows. Names that nobody uses, and those of Python, are none."""
    menagerie.edit(file, old, new)
    if message is None:
        menagerie.digests()
        return
    with pytest.raises(SourceCodeError, match=message):
        menagerie.digests()


def test_what_cannot_be_followed_is_an_error(menagerie: Menagerie) -> None:
    def inner() -> None:
        return None

    for root in (inner, lambda work: None):
        with pytest.raises(SourceCodeError, match=r"not at the top level of a module|found no module"):
            menagerie.source().digest(root)
    menagerie.edit("tables.py", "from menagerie.feeding import portion", "from menagerie.feeding import *")
    with pytest.raises(SyntaxError, match="name by name"):
        menagerie.digests()


def test_new_empty_fields_of_a_newer_python_change_nothing(
    menagerie: Menagerie, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = menagerie.digests()
    for kind in (ast.FunctionDef, ast.ClassDef):
        monkeypatch.setattr(kind, "_fields", (*kind._fields, "of_a_newer_python"))
    assert menagerie.digests() == before
