"""Where the processes that `laionet` starts look for code: where it is installed, and not in the working directory."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def safe_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with which `python -m ...` takes no file of the working directory for a library.

    Dagster drops the first entry of Python's path, which it takes for the folder of its script. So that it drops none
    of PYTHONPATH, a folder without libraries stands before them.
    """
    first = str(Path(sys.executable).parent)
    given = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder not in ("", first)]
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([first, *given])}
