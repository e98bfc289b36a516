"""What the collector of cycles no longer looks at, in a process of its own."""

import subprocess
import sys

HEAD = """
import gc, sys, weakref
from laionet_assets.collector import MANY_MODULES, pass_over_libraries

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return weakref.ref(node)
"""


def said_by(program: str) -> list[str]:
    """What a program prints after HEAD."""
    done = subprocess.run([sys.executable, "-c", HEAD + program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_what_a_library_holds_is_passed_over() -> None:
    before, after, looked_at = map(
        int,
        said_by(
            "pass_over_libraries(); print(gc.get_freeze_count());"
            "import dagster; pass_over_libraries(); print(gc.get_freeze_count(), len(gc.get_objects()))"
        ),
    )
    assert after > before + 50_000
    assert looked_at < 1_000


def test_a_few_modules_more_change_nothing() -> None:
    program = "import dagster; pass_over_libraries(); before = gc.get_freeze_count(); import wave;"
    assert said_by(program + "made = [[] for _ in range(99_999)];"
                   "pass_over_libraries(); print(gc.get_freeze_count() - before)") == ["0"]  # fmt: skip


def test_what_is_garbage_is_collected_and_not_kept() -> None:
    program = "gc.disable(); import dagster; gone = cycle(); pass_over_libraries(); print(gone() is None)"
    assert said_by(program) == ["True"]


def test_garbage_of_later_is_collected_as_ever() -> None:
    program = "import dagster; pass_over_libraries(); gone = cycle(); gc.collect(); print(gone(), gc.isenabled())"
    assert said_by(program) == ["None", "True"]
