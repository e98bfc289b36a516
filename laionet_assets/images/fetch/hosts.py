"""Hosts that are left alone for a while: those that asked for it, and those that do not answer.

Belongs here: what is remembered of a host beyond its queue. Does not belong here: pauses within the run (`schedule`).
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from laionet_assets.images.fetch.outcomes import ErrorClass

_SILENT = frozenset({ErrorClass.DNS, ErrorClass.DNS_TEMPORARY, ErrorClass.TLS, ErrorClass.CONNECT, ErrorClass.TIMEOUT})
"""Failures to get an answer."""
_KEPT_HOSTS = 200_000


@dataclass(frozen=True, slots=True)
class Closure:
    """Why and how long a host is left alone."""

    error: ErrorClass
    detail: str
    until: float
    """Seconds of the caller's monotonic clock; infinity for the rest of the run."""


class HostRecords:
    """What is remembered of hosts: failures in a row, closures. The least recently seen are forgotten past 200,000."""

    def __init__(self, *, max_failures: int) -> None:
        self._max_failures = max_failures
        self._failures: OrderedDict[str, int] = OrderedDict()
        self._closures: OrderedDict[str, Closure] = OrderedDict()

    def closure(self, host: str, *, now: float) -> Closure | None:
        """Why a host must not be asked now, or None."""
        closure = self._closures.get(host)
        if closure is not None and closure.until <= now:
            del self._closures[host]
            return None
        return closure

    def close(self, host: str, closure: Closure) -> None:
        _keep(self._closures, host, closure)

    def record(self, host: str, error: ErrorClass | None) -> None:
        """Count how asking a host ended; after too many failures in a row it is closed for the rest of the run."""
        if error not in _SILENT:
            self._failures.pop(host, None)
            return
        failures = self._failures.get(host, 0) + 1
        _keep(self._failures, host, failures)
        if 0 < self._max_failures <= failures:
            self.close(host, Closure(error, f"host left alone after {failures} failures in a row", math.inf))


def _keep(table: OrderedDict[str, Any], host: str, value: Any) -> None:
    table[host] = value
    table.move_to_end(host)
    if len(table) > _KEPT_HOSTS:
        table.popitem(last=False)
