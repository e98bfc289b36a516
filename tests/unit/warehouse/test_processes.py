"""Whether a process is still there: killed, not yet waited for, its number given again, the machine started again."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil

from laionet_assets.warehouse.processes import Process

ASLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def of_child(child: subprocess.Popen[bytes]) -> Process:
    started = psutil.Process(child.pid).create_time() - psutil.boot_time()
    return replace(Process.this(), number=child.pid, started=started)


def test_tags_are_read_back() -> None:
    this = Process.this()
    again = Process.of_tags({**this.tags, "dagster/partition": "web/a"})
    assert again is not None
    assert (again.host, again.boot, again.number) == (this.host, this.boot, os.getpid())
    assert again.running() is not None and not again.is_gone
    assert Process.of_tags({}) is None
    assert Process.of_tags({**this.tags, "laionet/process_started": "noon"}) is None
    assert Process.of_tags({"laionet/host": this.host, "laionet/process": "12"}) is None, "as older versions wrote"


def test_a_killed_child_is_gone_before_and_after_its_parent_looked() -> None:
    with subprocess.Popen(ASLEEP, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"up\n"
        process = of_child(child)
        assert not process.is_gone
        child.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still in the list
        assert psutil.pid_exists(child.pid) and process.is_gone
    assert process.is_gone


def test_another_process_of_the_same_number_is_not_it() -> None:
    assert replace(Process.this(), started=Process.this().started - 60).is_gone


def test_nothing_outlives_a_restart_of_the_machine() -> None:
    assert replace(Process.this(), boot="another").is_gone


def test_of_another_host_nobody_can_say() -> None:
    elsewhere = replace(Process.this(), host="elsewhere", number=1, started=-1.0)
    assert not elsewhere.is_gone and not elsewhere.is_of_this_host
