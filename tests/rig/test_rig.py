"""recorderd installed on a real kernel, under a real systemd: one story, in the order of the tests.

`pytest -m rig -s tests/rig` also prints the figures. Each test goes on where the one before ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.rig.box import Box
from tests.rig.machine import GuestError

pytestmark = pytest.mark.rig

NUMBER = "0312345678"
RATE_HZ = 8000
MEASURED_S = 20
BACK_HOOK = 22
BACK_CARD = 1

# Finds the strongest tone of each channel of a recorded file, with the recorder's own libraries.
TONES = """
import sys, numpy, soundfile
sound, rate = soundfile.read(sys.argv[1], always_2d=True)
power = numpy.abs(numpy.fft.rfft(sound[len(sound) // 4 : len(sound) * 3 // 4], axis=0))
print([round(int(at) * rate / (len(sound) * 3 // 4 - len(sound) // 4)) for at in power.argmax(axis=0)])
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    box = Box(tmp_path_factory.mktemp("rig"))
    box.put_release("release")
    with box.machine:
        figure("boot", box.machine.start())
        yield box


def figure(name, value, unit="s"):
    print(f"\n{name}: {value:.1f} {unit}", end="")


def host(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def timed(name, work, *arguments):
    began = time.monotonic()
    done = work(*arguments)
    figure(name, time.monotonic() - began)
    return done


def sound_of(box, call):
    """The tones of a call's middle file, near and far, in hertz."""
    (box.shared / "tones.py").write_text(TONES, "utf-8")
    file = call["segments"][len(call["segments"]) // 2]["file"]
    path = box.run(f"find /var/lib/recorderd/calls -name '{file}'").strip()
    return json.loads(box.run(f"/opt/recorderd/bin/python /mnt/host/tones.py {path}"))


def missing_of(call):
    """Which part of a call's sound is missing: a slow host makes a card lose some."""
    return sum(gap["frames"] for gap in call["gaps"]) / call["audio"]["frames"]


# ---------------------------------------------------------------- the installer


def test_it_installs_on_a_fresh_debian(box):
    said = timed("install", box.install, "release")
    assert "is a sample: it must be edited" in said
    assert "not started" in said
    assert box.run("systemctl is-active recorderd", check=False).strip() == "inactive"
    assert box.run("stat -c '%U %G %a' /var/lib/recorderd /dev/gpiochip0").splitlines() == [
        "recorderd recorderd 700",
        "root gpio 660",
    ]
    found = json.loads(box.run("recorderd devices --json"))
    assert sum("(hw:0,1)" in card["name"] for card in found["sound"]) == 1
    assert found["gpio"] == ["/dev/gpiochip0"]
    assert len(found["serial"]) == 1


def test_run_again_it_starts_what_was_configured(box):
    box.configure()
    said = timed("install again", box.install, "release")
    assert "is there already" in said
    assert "is recording" in said
    assert box.run("readlink /opt/recorderd").startswith("/opt/recorderd-")
    assert box.run("systemctl is-enabled recorderd").strip() == "enabled"
    assert box.run("systemctl is-enabled recorderd-upload", check=False).strip() == "disabled"
    box.wait_until_ready()


def test_systemd_feeds_the_hardware_watchdog(box):
    assert box.run("systemctl show -p RuntimeWatchdogUSec --value").strip() == "15s"
    assert "i6300ESB" in box.run("cat /sys/class/watchdog/watchdog0/identity")


def test_names_by_the_usb_socket(box):
    names = box.run("ls /dev/recorderd").split()
    assert names == ["modem-1-1"]
    assert box.run("cat /proc/asound/card5/id").strip() == "usb-1-2"
    # The makers whose modems ModemManager must leave alone; the guest's is none of them.
    rules = box.run("udevadm test /sys/class/tty/ttyUSB0 2>&1", check=False)
    assert "ID_MM_DEVICE_IGNORE" not in rules


# ---------------------------------------------------------------- the sandbox


def test_the_recorder_runs_in_its_sandbox(box):
    box.wait_until_ready()
    pid = box.run("systemctl show -p MainPID --value recorderd").strip()
    process = dict(line.split(":\t", 1) for line in box.run(f"cat /proc/{pid}/status").splitlines())
    assert process["NoNewPrivs"] == "1"
    assert process["Seccomp"] == "2"
    assert process["CapBnd"] == process["CapEff"] == "0" * 16
    interfaces = box.run(f"cat /proc/{pid}/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    # Only the sound children are ahead of the others.
    nices = box.run(f"ps -o ni= -p {pid}; ps -o ni= --ppid {pid}").split()
    assert nices == ["0", "-11", "-11"]


def test_the_clock_is_asked_through_the_filter(box):
    """With ProtectClock= in its unit the recorder would never believe any clock."""
    assert box.status()["clock_synchronised"] is False
    # What a time daemon does: the kernel is told that its clock is right (ADJ_STATUS without
    # STA_UNSYNC, and ADJ_MAXERROR of 0: else it takes the word back within a second).
    synchronise = (
        "import ctypes; t = (ctypes.c_int * 52)(); t[0] = 0x14; "
        "raise SystemExit(ctypes.CDLL(None).adjtimex(t) < 0)"
    )
    box.run(f'python3 -c "{synchronise}"')
    box.machine.until("grep -q 'clock_synchronised.: true' /var/lib/recorderd/status.json")


# ---------------------------------------------------------------- calls


def test_a_call_from_ring_to_hang_up(box):
    box.offer(NUMBER)
    box.wait_for("talking")
    box.talk(8)
    box.hang_up()
    box.wait_for("idle")
    (call,) = box.calls()
    assert (call["direction"], call["disposition"]) == ("inbound", "recorded")
    assert call["caller"]["number"] == NUMBER
    assert call["notice"]["completed"] is True
    assert call["cut"] is False
    assert sound_of(box, call) == [440, 1000]
    figure("of the call's sound missing", 100 * missing_of(call), "%")
    assert missing_of(call) < 0.3
    box.run(f"recorderd verify {call['id']}")


def test_the_journal_finds_the_call(box):
    (call,) = box.calls()
    entries = box.run(f"journalctl -q -u recorderd CALL_ID={call['id']} -o json").splitlines()
    facts = [json.loads(entry) for entry in entries]
    assert {"front-desk"} == {fact["LINE"] for fact in facts}
    assert {"CallOffered", "CallAnswered", "CallEnded"} <= {fact["FACT"] for fact in facts}
    assert NUMBER not in box.run("journalctl -q -u recorderd -o json")


def test_a_power_cut_in_mid_call(box):
    box.offer("0663456789")
    box.wait_for("talking")
    box.talk(12)
    box.machine.cut()
    figure("boot after the cut", box.machine.start())
    box.machine.until("systemctl is-active recorderd")
    calls = box.calls()
    assert len(calls) == 2, "the first is there, and the one that was cut"
    cut = calls[1]
    assert cut["cut"] is True
    assert cut["caller"]["number"] == "0663456789"
    assert cut["audio"]["frames"] / RATE_HZ > 10, "12 s of talking and the lead, less 2 s"
    assert sound_of(box, cut) == [440, 1000]
    said = timed("verify --all", box.run, "recorderd verify --all")
    assert "Nothing altered: 2 calls" in said
    assert "Nothing missing" in said


# ---------------------------------------------------------------- the uploader


def test_the_uploader_runs_in_its_sandbox(box):
    box.run(
        "install -d -o recorderd -g recorderd /srv/archive; touch /srv/archive/recorderd-archive; "
        "printf '\\n[archive]\\nurl = \"file:///srv/archive\"\\n' >> /etc/recorderd/recorderd.toml; "
        "mkdir -p /etc/systemd/system/recorderd-upload.service.d; "
        "printf '[Service]\\nReadWritePaths=/srv/archive\\n' "
        "> /etc/systemd/system/recorderd-upload.service.d/archive.conf; "
        "systemctl daemon-reload; recorderd check && systemctl reload recorderd"
    )
    credentials = "/run/credentials/recorderd-upload.service/archive"
    box.run("systemctl start recorderd-upload", 180)
    assert box.run(f"cat {credentials}", check=False).startswith("cat:"), "none is no hindrance"
    box.machine.until("test $(find /srv/archive -name call.json | wc -l) = 2", 180)
    box.run("umask 077; echo secret > /etc/credstore/recorderd.archive")
    box.run("systemctl restart recorderd-upload", 180)
    assert box.run(f"cat {credentials}") == "secret\n"
    box.run("systemctl stop recorderd-upload")
    box.configure()
    box.run("systemctl reload recorderd")


# ---------------------------------------------------------------- upgrades


def test_a_version_that_does_not_start_is_taken_back(box):
    def break_it(release):
        daemon = release / "recorderd/daemon.py"
        text = daemon.read_text("utf-8")
        assert "        prepare_directory(self._config.storage)\n" in text
        daemon.write_text(
            text.replace(
                "        prepare_directory(self._config.storage)\n",
                '        raise StoreError("broken on purpose")\n',
            ),
            "utf-8",
        )

    box.put_release("broken", break_it)
    box.wait_until_ready()
    before = box.run("readlink /opt/recorderd")
    unit = box.run("cat /etc/systemd/system/recorderd.service")
    calls = box.calls()
    with pytest.raises(GuestError, match="is not ready") as failure:
        timed("upgrade and back", box.install, "broken")
    assert "broken on purpose" in str(failure.value)
    assert "is in place again" in str(failure.value)
    assert box.run("readlink /opt/recorderd") == before
    assert box.run("cat /etc/systemd/system/recorderd.service") == unit
    assert box.run("ls -d /opt/recorderd-*") == before, "nothing is left of it"
    assert box.run("systemctl is-active recorderd").strip() == "active"
    assert box.calls() == calls


# ---------------------------------------------------------------- the other driver


def test_pins_through_rpi_lgpio(box):
    box.run("systemctl stop recorderd")
    box.configure(driver="rpi-gpio")
    box.run(
        "mkdir -p /etc/systemd/system/recorderd.service.d && printf '[Service]\\nEnvironment="
        "RPI_LGPIO_CHIP=0 RPI_LGPIO_REVISION=c03111\\n' "
        "> /etc/systemd/system/recorderd.service.d/rig.conf && systemctl daemon-reload"
    )
    box.run("systemctl start recorderd", 180)
    box.wait_until_ready()
    before = len(box.calls())
    box.lift(BACK_HOOK)
    box.wait_for("talking", "back-office")
    box.hang_up(BACK_HOOK)
    box.wait_for("idle", "back-office")
    assert len(box.calls()) == before + 1


# ---------------------------------------------------------------- figures


def spent(box):
    """Processor time of the recorder and its children in microseconds, and their memory in bytes."""
    group = "/sys/fs/cgroup/system.slice/recorderd.service"
    usage = box.run(f"cat {group}/cpu.stat").split()[1]
    return int(usage), int(box.run(f"cat {group}/memory.current"))


def measured(box):
    """The part of the processor that the idle recorder takes, and its memory in MB."""
    before, _ = spent(box)
    began = time.monotonic()
    box.run(f"sleep {MEASURED_S}")
    after, memory = spent(box)
    return (after - before) / 1e6 / (time.monotonic() - began), memory / 1e6


def ready_after(box):
    """From the start of the process to READY=1, in seconds."""
    names = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    started, ready = (int(box.run(f"systemctl show -p {name} --value recorderd")) for name in names)
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


# ---------------------------------------------------------------- removing


def test_removed_it_leaves_the_recordings(box):
    calls = box.run("find /var/lib/recorderd/calls -name '*.flac' | sort")
    said = box.run("sh /mnt/host/release/systemd/install.sh --remove", 180)
    assert "kept: the recordings in /var/lib/recorderd" in said
    assert box.run("find /var/lib/recorderd/calls -name '*.flac' | sort") == calls
    assert box.run("ls /etc/recorderd").split() == ["recorderd.toml"]
    left = "ls -d /opt/recorderd* /usr/local/bin/recorderd /etc/systemd/system/recorderd*.service"
    assert "/opt" not in box.run(f"{left} 2>/dev/null", check=False)
    assert "erase" in box.run(
        "echo no | sh /mnt/host/release/systemd/install.sh --remove --purge", check=False
    )
    assert box.run("find /var/lib/recorderd/calls -name '*.flac' | sort") == calls
