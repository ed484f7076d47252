"""The story of the rig, fifth part: the other GPIO driver, and what a line costs."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.rig.box import EDIT, figure

pytestmark = pytest.mark.rig


MEASURED_S = 45
SETTLED_S = 30
"""What a start leaves to be done is done by then."""


def host(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_pins_through_rpi_lgpio(box):
    box.run("systemctl disable -q --now recorderd-upload; systemctl stop recorderd")
    box.configure(driver="rpi-gpio")
    chip = "RPI_LGPIO_CHIP=0 RPI_LGPIO_REVISION=c03111"
    box.edit(EDIT, f"[Service]\nEnvironment={chip}\n")
    box.run("systemctl start recorderd", 180)
    box.wait_until_ready()
    before = len(box.calls())
    box.call()
    assert len(box.calls()) == before + 1


def spent(box):
    """Processor time of the recorder and its children in microseconds, and their memory in bytes."""
    group = "/sys/fs/cgroup/system.slice/recorderd.service"
    usage = box.run(f"cat {group}/cpu.stat").split()[1]
    return int(usage), int(box.run(f"cat {group}/memory.current"))


def measured(box):
    """The part of the processor that the idle recorder takes, and its memory in MB."""
    box.run(f"sleep {SETTLED_S}")
    before, _ = spent(box)
    began = time.monotonic()
    box.run(f"sleep {MEASURED_S}")
    after, memory = spent(box)
    return (after - before) / 1e6 / (time.monotonic() - began), memory / 1e6


def ready_after(box):
    """From the start of the process to READY=1, in seconds."""
    names = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    started, ready = (int(box.show("recorderd", name)) for name in names)
    return (ready - started) / 1e6


LOOP = "import time; t = time.process_time(); sum(i * i for i in range(10**6)); print(time.process_time() - t)"


def test_what_a_line_costs(box):
    """Figures of an emulated processor: the factor tells how much slower it is than this one."""
    figure("a loop of a million here", float(host(LOOP)) * 1000, "ms")
    figure("the same in the guest", float(box.run(f"python3 -c '{LOOP}'")) * 1000, "ms")
    figure("start to ready, two lines", ready_after(box))
    two_cpu, two_mb = measured(box)
    box.run(
        "sed -i '/^name = \"back-office\"/,$d' /etc/recorderd/recorderd.toml && "
        "sed -i '$d' /etc/recorderd/recorderd.toml && recorderd check && systemctl restart recorderd"
    )
    box.wait_until_ready()
    figure("start to ready, one line", ready_after(box))
    one_cpu, one_mb = measured(box)
    figure("processor with one line", 100 * one_cpu, "%")
    figure("processor with two lines", 100 * two_cpu, "%")
    figure("memory with one line", one_mb, "MB")
    figure("memory with two lines", two_mb, "MB")
    assert two_mb - one_mb < 60
