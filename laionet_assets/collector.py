"""Python's collector of cycles, and the libraries that a run loads.

Now and then the collector looks at every object that lives. Loading a library makes hundreds of thousands of them,
which stay as long as the process does: of a first run on little input, looking at them was a fifteenth.
"""

import gc
import sys

MANY_MODULES = 100
"""So many modules more are a library, or several."""
_passed_over = 0
"""How many modules there were when what had been loaded was last taken out."""


def pass_over_libraries() -> None:
    """Take what the libraries hold that were loaded since out of what the collector looks at. What is garbage is
    collected before; so few times a process that what is in use now, and is taken out along with them, is no loss.
    """
    global _passed_over
    if len(sys.modules) - _passed_over >= MANY_MODULES:
        gc.collect()
        gc.freeze()
        _passed_over = len(sys.modules)
