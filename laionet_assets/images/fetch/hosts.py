"""Hosts that are left alone for a while: those that asked for it, and those that fail again and again.

Belongs here: what is remembered of a host beyond its queue. Does not belong here: pauses within the run (`schedule`).
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from laionet_assets.images.fetch.outcomes import ErrorClass

_FAILURES = frozenset(
    {
        ErrorClass.CONNECT,
        ErrorClass.DNS,
        ErrorClass.DNS_TEMPORARY,
        ErrorClass.HTTP_5XX,
        ErrorClass.PROTOCOL,
        ErrorClass.TIMEOUT,
        ErrorClass.TLS,
    }
)
"""Failures that are likely the host's, not the picture's."""
_KEPT_HOSTS = 200_000


@dataclass(frozen=True, slots=True)
class Closure:
    """Why a host is left alone, and until when, in seconds of the caller's monotonic clock."""

    error: ErrorClass
    detail: str
    until: float


@dataclass(slots=True)
class _Row:
    """Failures and refusals of a host, one after another; `refused_at` is when the last refusal was counted."""

    failures: int = 0
    refusals: int = 0
    refused_at: float = 0.0


class HostRecords:
    """What is remembered of hosts: failures in a row, closures. The least recently seen are forgotten past 200,000.

    A host is closed for `pause` seconds after `max_failures` failures, or `max_refusals` answers 429, in a row (0:
    never); the next failure after the pause closes it again.
    """

    def __init__(self, *, max_failures: int, max_refusals: int, pause: float) -> None:
        self._max_failures = max_failures
        self._max_refusals = max_refusals
        self._pause = pause
        self._rows: OrderedDict[str, _Row] = OrderedDict()
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

    def record(self, host: str, error: ErrorClass | None, *, asked_at: float, now: float) -> None:
        """Count how a request to a host ended, that was sent at `asked_at`.

        Of several requests under way at once, one refusal counts: the others were sent before the host was given a
        pause.
        """
        row = self._rows.get(host) or _Row()
        if error is ErrorClass.HTTP_429:
            row.failures = 0
            if row.refusals and asked_at < row.refused_at:
                return
            row.refusals, row.refused_at = row.refusals + 1, now
            count, most, what = row.refusals, self._max_refusals, "answers 429"
        elif error in _FAILURES:
            row.failures, row.refusals = row.failures + 1, 0
            count, most, what = row.failures, self._max_failures, "failures"
        else:
            self._rows.pop(host, None)
            return
        _keep(self._rows, host, row)
        if 0 < most <= count:
            self.close(host, Closure(error, f"host left alone after {count} {what} in a row", now + self._pause))


def _keep(table: OrderedDict[str, Any], host: str, value: Any) -> None:
    table[host] = value
    table.move_to_end(host)
    if len(table) > _KEPT_HOSTS:
        table.popitem(last=False)
