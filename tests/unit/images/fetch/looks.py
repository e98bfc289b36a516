"""What processes are given to do in tests: decoders that end their process over one picture, or never end."""

import os
import signal
import time

from laionet_assets.pictures.inspection import Inspection, hash_and_inspect

DEADLY = b"\xff\xd8\xff deadly"
ENDLESS = b"\xff\xd8\xff endless"


def hash_and_inspect_or_not(data: bytes) -> tuple[str, Inspection]:
    if data == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    if data == ENDLESS:
        time.sleep(600)
    return hash_and_inspect(data, min_pixels=1, max_pixels=1_000_000)
