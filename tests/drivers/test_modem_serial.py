"""The serial driver on pseudo-terminals: a toy modem on the far side, unplugged by closing it."""

from __future__ import annotations

import errno
import os
import pty
import queue
import select
import sys
import threading
import time
import tty
from pathlib import Path

import pytest

from recorderd.commands import WriteModem
from recorderd.config.values import ModemPort
from recorderd.core.modem import ModemMachine
from recorderd.drivers import modem_serial
from recorderd.drivers.modem_serial import SerialModem
from recorderd.events import (
    CallerIdReported,
    DriverLost,
    DriverReady,
    ModemBytes,
    ModemReady,
    ModemSilent,
    TimePassed,
)
from recorderd.units import MonoNs

LINE = "front-desk"
DEADLINE_S = 10


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def now():
    return MonoNs(time.monotonic_ns())


class Device:
    """A plugged-in device: the far end of a pseudo-terminal, behind a link as udev makes them."""

    def __init__(self, link) -> None:
        self.link = link
        self.far, near = pty.openpty()
        tty.setraw(near)
        self.node = os.ttyname(near)
        self._near = near  # held, so that the terminal lives until it is unplugged
        link.unlink(missing_ok=True)
        link.symlink_to(self.node)

    def send(self, data: bytes) -> None:
        os.write(self.far, data)

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            ready, _, _ = select.select([self.far], [], [], DEADLINE_S)
            assert ready, f"only {data!r} came"
            data += os.read(self.far, size - len(data))
        return data

    def unplug(self, *, keep_link: bool = False) -> None:
        if not keep_link:
            self.link.unlink(missing_ok=True)
        for descriptor in (self.far, self._near):
            if descriptor >= 0:
                os.close(descriptor)
        self.far = self._near = -1


ANSWERS = {b"ATI": b"5601\r\n\r\nOK", b"AT#CID=1": b"OK", b"AT&D0": b"OK", b"ATZ": b"OK"}


class ToyModem(threading.Thread):
    """Speaks AT on a device, with echo."""

    def __init__(self, device: Device) -> None:
        super().__init__(daemon=True)
        self.device = device
        self._stop_read, self._stop_write = os.pipe()

    def run(self) -> None:
        command = b""
        while True:
            ready, _, _ = select.select([self.device.far, self._stop_read], [], [])
            if self._stop_read in ready:
                return
            command += os.read(self.device.far, 100)
            while b"\r" in command:
                one, _, command = command.partition(b"\r")
                self.answer(one)

    def answer(self, command: bytes) -> None:
        answer = b"OK" if b"S0=0" in command else ANSWERS.get(command, b"ERROR")
        self.device.send(command + b"\r\r\n" + answer + b"\r\n")

    def stop(self) -> None:
        os.write(self._stop_write, b"s")
        self.join(DEADLINE_S)
        os.close(self._stop_read)
        os.close(self._stop_write)


@pytest.fixture
def link(tmp_path):
    return tmp_path / "usb-modem-if00"


@pytest.fixture
def device(link):
    device = Device(link)
    yield device
    device.unplug()


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch):
    monkeypatch.setattr(modem_serial, "LOOK_S", 0.02)
    monkeypatch.setattr("recorderd.core.backoff.FIRST_NS", 10_000_000)
    monkeypatch.setattr("recorderd.core.backoff.LONGEST_NS", 40_000_000)


@pytest.fixture
def posted():
    return queue.Queue()


@pytest.fixture
def driver(link, posted):
    driver = SerialModem(ModemPort("serial", str(link), 57600), LINE, posted.put, now)
    yield driver
    driver.close()


def bytes_of(posted, size: int) -> bytes:
    data = b""
    while len(data) < size:
        event = posted.get(timeout=DEADLINE_S)
        assert isinstance(event, ModemBytes), event
        assert now() - event.at < DEADLINE_S * 1e9
        data += event.data
    return data


def next_event(posted, kind):
    event = posted.get(timeout=DEADLINE_S)
    assert isinstance(event, kind), event
    return event


def test_bytes_go_both_ways(device, driver, posted):
    driver.start()
    ready = next_event(posted, DriverReady)
    assert (ready.kind, ready.name) == ("modem", LINE)
    driver.write(b"ATI\r")
    assert device.receive(4) == b"ATI\r"
    device.send(b"\r\nRING\r\n\x00\xff\x11\x13\x03")
    assert bytes_of(posted, 13) == b"\r\nRING\r\n\x00\xff\x11\x13\x03"


def test_unplug_is_told_once_and_a_replug_elsewhere_is_found(
    device, driver, posted, link, monkeypatch
):
    ports = []
    really_open = driver._open

    def noting_open():
        ports.append(really_open())
        return ports[-1]

    monkeypatch.setattr(driver, "_open", noting_open)
    driver.start()
    next_event(posted, DriverReady)
    device.unplug()
    assert "went away" in next_event(posted, DriverLost).reason
    assert not ports[0].is_open
    assert "there is no modem" in next_event(posted, DriverLost).reason
    driver.write(b"LOST\r")
    again = Device(link)
    try:
        assert isinstance(posted.get(timeout=DEADLINE_S), DriverReady)
        driver.write(b"AT\r")
        assert again.receive(3) == b"AT\r"  # what was written while it was lost is gone
        again.send(b"OK\r\n")
        assert bytes_of(posted, 4) == b"OK\r\n"
    finally:
        again.unplug()


def test_a_link_that_leads_elsewhere_is_followed(device, driver, posted, link):
    """The old node stays open and silent, as after a renumbering that nobody noticed."""
    driver.start()
    next_event(posted, DriverReady)
    again = Device(link)
    try:
        assert "another device" in next_event(posted, DriverLost).reason
        next_event(posted, DriverReady)
        again.send(b"hello")
        assert bytes_of(posted, 5) == b"hello"
    finally:
        again.unplug()


def test_without_its_library_the_modem_is_lost_and_the_recorder_is_not(
    device, driver, posted, monkeypatch
):
    """Calls are recorded without a modem; a start that failed for it would record none."""
    monkeypatch.setitem(sys.modules, "serial", None)
    driver.start()
    assert "pip install 'recorderd[pi]'" in next_event(posted, DriverLost).reason
    monkeypatch.undo()
    next_event(posted, DriverReady)


def test_an_error_that_nobody_foresaw_ends_no_modem(device, driver, posted, monkeypatch):
    exchange, falls = SerialModem._exchange, iter([True])

    def fall_once(self, port):
        if next(falls, False):
            raise TypeError("a defect")
        exchange(self, port)

    monkeypatch.setattr(SerialModem, "_exchange", fall_once)
    driver.start()
    next_event(posted, DriverReady)
    assert "a defect" in next_event(posted, DriverLost).reason
    next_event(posted, DriverReady)
    device.send(b"RING\r\n")
    assert bytes_of(posted, 6) == b"RING\r\n"


def test_a_missing_port_is_told_once_with_what_is_plugged_in(driver, posted, tmp_path, monkeypatch):
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-Other_modem").touch()
    monkeypatch.setattr(modem_serial, "BY_ID", by_id)
    opened = threading.Semaphore(0)
    really_open = driver._open

    def counting_open():
        opened.release()
        return really_open()

    monkeypatch.setattr(driver, "_open", counting_open)
    driver.start()
    for _ in range(4):
        assert opened.acquire(timeout=DEADLINE_S)
    reason = next_event(posted, DriverLost).reason
    assert "usb-modem-if00" in reason
    assert str(by_id / "usb-Other_modem") in reason
    assert posted.empty()


def test_nothing_plugged_in_is_said(driver, posted, tmp_path, monkeypatch):
    monkeypatch.setattr(modem_serial, "BY_ID", tmp_path / "none")
    driver.start()
    assert "no serial device is plugged in" in next_event(posted, DriverLost).reason


def test_a_port_in_use_is_explained_and_taken_when_free(device, link, driver, posted):
    other_posted = queue.Queue()
    other = SerialModem(ModemPort("serial", str(link), 57600), "other", other_posted.put, now)
    other.start()
    next_event(other_posted, DriverReady)
    driver.start()
    assert "in use by another program" in next_event(posted, DriverLost).reason
    other.close()
    next_event(posted, DriverReady)


@pytest.mark.parametrize(
    ("number", "mend"), [(errno.EACCES, "dialout"), (errno.EPERM, "DeviceAllow=")]
)
def test_a_port_without_permission_names_what_gives_it(driver, posted, monkeypatch, number, mend):
    def refuse(*args, **options):
        raise PermissionError(number, os.strerror(number))

    monkeypatch.setattr(driver, "_open", refuse)
    driver.start()
    assert mend in next_event(posted, DriverLost).reason


def test_what_is_no_serial_port_is_said(driver, posted, link):
    link.write_text("a file")
    driver.start()
    assert "cannot be opened as a serial port" in next_event(posted, DriverLost).reason


def test_an_impossible_baud_rate_is_said(device, link, posted):
    driver = SerialModem(ModemPort("serial", str(link), -5), LINE, posted.put, now)
    driver.start()
    assert "cannot be opened" in next_event(posted, DriverLost).reason
    driver.close()


def test_close_is_prompt_in_every_state_and_leaves_nothing_open(link, posted, monkeypatch):
    monkeypatch.setattr(modem_serial, "LOOK_S", 60)
    before = open_descriptors()
    never_started = SerialModem(ModemPort("serial", str(link), 57600), LINE, posted.put, now)
    never_started.close()
    missing = SerialModem(ModemPort("serial", str(link), 57600), LINE, posted.put, now)
    missing.start()
    next_event(posted, DriverLost)
    missing.close()
    device = Device(link)
    running = SerialModem(ModemPort("serial", str(link), 57600), LINE, posted.put, now)
    running.start()
    next_event(posted, DriverReady)
    began = time.monotonic()
    running.close()
    running.close()
    assert time.monotonic() - began < 1
    device.unplug()
    assert open_descriptors() == before
    assert posted.empty()
    assert not [thread for thread in threading.enumerate() if thread.name == f"modem-{LINE}"]


def test_a_port_that_takes_no_bytes_never_blocks_and_is_reported(
    device, driver, posted, monkeypatch, caplog
):
    monkeypatch.setattr(modem_serial, "WRITE_TIMEOUT_S", 0.1)
    driver.start()
    next_event(posted, DriverReady)
    began = time.monotonic()
    for _ in range(200):
        driver.write(b"x" * 4000)
    assert time.monotonic() - began < 1
    assert "takes no bytes" in caplog.text
    assert "went away" in next_event(posted, DriverLost).reason


def run_machine(machine, driver, posted, facts, until):
    """A control loop of the smallest kind, until a fact of the wanted type comes."""
    give_up = time.monotonic() + DEADLINE_S
    while not any(isinstance(fact, until) for fact in facts):
        assert time.monotonic() < give_up, facts
        deadline = machine.deadline()
        wait_s = 1.0 if deadline is None else max(0.0, (deadline - now()) / 1e9)
        try:
            event = posted.get(timeout=min(wait_s, 1.0))
        except queue.Empty:
            event = TimePassed(now())
        for output in machine.handle(event):
            if isinstance(output, WriteModem):
                driver.write(output.data)
            else:
                facts.append(output)


def test_the_machine_on_the_driver_sets_up_reports_and_survives_a_replug(
    device, driver, posted, link
):
    machine, facts = ModemMachine(LINE), []
    toy = ToyModem(device)
    toy.start()
    driver.start()
    run_machine(machine, driver, posted, facts, ModemReady)
    assert facts[0].caller_id_command == "AT#CID=1"
    device.send(b"\r\nRING\r\n\r\nDATE = 0321\r\nNMBR = 5551212\r\nNAME = ANNA\r\n\r\nRING\r\n")
    run_machine(machine, driver, posted, facts, CallerIdReported)
    assert [f.caller.number for f in facts if isinstance(f, CallerIdReported)] == ["5551212"]
    toy.stop()
    device.unplug()
    run_machine(machine, driver, posted, facts, ModemSilent)
    again = Device(link)
    toy = ToyModem(again)
    toy.start()
    try:
        machine = ModemMachine(LINE)  # its ten quiet seconds after the ring would hold the test up
        facts.clear()
        run_machine(machine, driver, posted, facts, ModemReady)
    finally:
        toy.stop()
        again.unplug()
