"""What processes are given to do in tests: as a decoder that ends its process over one picture."""

import os
import signal

from laionet_assets.pictures.inspection import Inspection, hash_and_inspect

DEADLY = b"\xff\xd8\xff deadly"


def hash_and_inspect_or_end(data: bytes) -> tuple[str, Inspection]:
    if data == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return hash_and_inspect(data, min_pixels=1, max_pixels=1_000_000)
