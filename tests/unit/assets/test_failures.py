"""What is retried, and what a failure says of itself."""

import errno
import importlib
import pkgutil
from types import SimpleNamespace

import dagster as dg
import pytest

import laionet_assets
from laionet_assets.assets.failures import (
    failure_message,
    is_transient,
    told,
    transient_faults_retried,
    user_errors_shown,
)
from laionet_assets.errors import UserError, with_causes


def raised(error: Exception, cause: BaseException | None = None, *, hidden: bool = False) -> Exception:
    """An error as it is caught: raised from a cause, or while handling it with `from None`."""
    try:
        try:
            if cause is not None:
                raise cause
        except BaseException as first:
            if hidden:
                raise error from None
            raise error from first
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (raised(ConnectionError("reset")), True),
        (raised(TimeoutError("slow")), True),
        (raised(RuntimeError("wrapped"), ConnectionError("reset")), True),
        (raised(RuntimeError("decided"), ConnectionError("reset"), hidden=True), False),
        (raised(OSError("no such file"), ConnectionError("hub")), True),
        (raised(ValueError("no")), False),
        (raised(UserError("mend it")), False),
        (raised(UserError("the hub cannot be reached"), ConnectionError("reset")), False),
        (raised(RuntimeError("wrapped"), raised(UserError("mend it"), ConnectionError("reset"))), False),
    ],
)
def test_only_faults_that_may_be_gone_in_a_moment_are_retried(error: Exception, wanted: bool) -> None:
    assert is_transient(error) is wanted
    with (
        pytest.raises((dg.RetryRequested, dg.Failure, type(error))) as caught,
        transient_faults_retried(),
        user_errors_shown("/warehouse"),
    ):
        raise error
    assert isinstance(caught.value, dg.RetryRequested) is wanted
    if isinstance(error, UserError):
        assert isinstance(caught.value, dg.Failure) and caught.value.allow_retries is False
        assert caught.value.description == str(error)


def test_a_full_disk_is_shown_as_one_message() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/warehouse/core/x/data.parquet")
    with pytest.raises(dg.Failure) as caught, transient_faults_retried(), user_errors_shown("/warehouse"):
        raise full
    assert caught.value.allow_retries is False and "in /warehouse: the warehouse." in str(caught.value.description)
    assert told(full, warehouse="/warehouse") == caught.value.description
    assert "Traceback" not in caught.value.description and "ValueError: no" in told(ValueError("no"), warehouse="/x")


def kinds_of(error: type[UserError]) -> set[type[UserError]]:
    """All classes of an error that the package defines."""
    for module in pkgutil.walk_packages(laionet_assets.__path__, "laionet_assets."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds, left = set(), [error]
    while left:
        kind = left.pop()
        kinds.add(kind)
        left += kind.__subclasses__()
    return {kind for kind in kinds if kind.__module__.startswith("laionet_assets.")}


def test_no_error_of_the_user_is_retried_whatever_caused_it() -> None:
    kinds = kinds_of(UserError)
    assert len(kinds) > 10
    for kind in kinds:
        error = kind.__new__(kind, "mend it")
        for cause in (ConnectionError("reset"), TimeoutError(), OSError("no such file")):
            assert not is_transient(raised(error, cause)), kind
            assert not is_transient(raised(RuntimeError("wrapped"), raised(error, cause))), kind


def test_an_error_tells_its_causes() -> None:
    hub = raised(OSError("cannot load the model"), raised(ConnectionError("Connection refused"), TimeoutError()))
    assert with_causes(hub) == "cannot load the model; because of Connection refused; because of TimeoutError"
    assert with_causes(raised(OSError("x: No such file"))) == "x: No such file"
    twice = raised(OSError("cannot load: reset"), ConnectionError("reset"))
    assert with_causes(twice) == "cannot load: reset", "nothing is said twice"
    assert with_causes(raised(OSError("cannot load"), ConnectionError("reset"), hidden=True)) == "cannot load"


def failure_in_a_step(error: Exception) -> str:
    """The message of a step that raised an error."""

    @dg.op
    def broken() -> None:
        raise error

    @dg.job
    def job() -> None:
        broken()

    result = job.execute_in_process(raise_on_error=False)
    (event,) = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    return failure_message(event.step_failure_data)


def test_a_failed_step_tells_the_error_its_cause_and_where() -> None:
    message = failure_in_a_step(raised(OSError("cannot load the model"), ConnectionError("Connection refused")))
    assert message.splitlines()[:2] == ["OSError: cannot load the model", "ConnectionError: Connection refused"]
    assert "test_failures.py" in message and "Dagster" not in message.splitlines()[0]
    assert failure_in_a_step(dg.Failure("mend it", allow_retries=False)) == "mend it"
    assert failure_message(SimpleNamespace(user_failure_data=None, error=None)) == "failed without a message"
