"""The hostile server in a process of its own, for tests."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path


class Web:
    """A running hostile server; `close` ends it."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("hostile_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ports = json.loads(self._process.stdout.readline())
        self.port, self.forbidden_port = ports["port"], ports["forbidden_port"]

    def stats(self) -> dict[str, dict[str, int]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", headers={"Host": "stats"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
