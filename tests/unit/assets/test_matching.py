"""How captions are streamed through threads, and what the step is made from."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from laionet_assets.assets.matching import _mapped, steps
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import load_project


def test_results_come_in_order_and_few_items_are_held_at_once() -> None:
    taken = 0
    given_back = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(200):
            taken += 1
            assert taken - given_back <= 5
            yield item

    with ThreadPoolExecutor(3) as pool:
        for expected, result in enumerate(_mapped(pool, lambda item: (item, threading.get_ident()), items(), ahead=4)):
            given_back += 1
            assert result[0] == expected
            assert result[1] != threading.get_ident()
    assert (taken, given_back) == (200, 200)


def test_a_fault_in_a_thread_is_raised() -> None:
    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError):
        list(_mapped(pool, lambda item: 1 // (item - 3), range(10), ahead=2))


def test_a_changed_macro_changes_what_matches_are_made_from() -> None:
    """The step asks the macros, though no SQL of its table names them."""
    project = load_project()

    def version(changed: str | None = None) -> str:
        macros = dict(project.macros)
        if changed:
            macros[changed] = replace(macros[changed], statement=f"create macro {changed}(text) as text;")
        (step,) = steps(Settings.model_construct(), replace(project, macros=macros)).values()
        return step.code_version

    for name in ("blank_entities", "blank_signs", "ignored", "fold", "fold_words"):
        assert version(name) != version()
    assert version("says_name") == version()
