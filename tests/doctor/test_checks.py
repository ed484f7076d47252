"""The checks on their own: what cannot be planted in the simulator, and the edges of what can."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.config import load
from recorderd.config.profiles import countries, load_profile
from recorderd.config.values import Hook, Ring, Seal
from recorderd.doctor import boxcheck, country, filecheck, hookcheck, modemcheck, ringcheck
from recorderd.doctor.box import RealBox
from recorderd.doctor.country import CADENCES_MS, Heard, dial_hz_of, judge_country
from recorderd.events import (
    Caller,
    CallerIdReported,
    DriverLost,
    EdgesLost,
    HookEdge,
    ModemBytes,
    ModemRang,
    ModemReady,
    ModemSilent,
    RingEdge,
)
from recorderd.units import ClockReading, MonoNs, WallNs, ms
from tests.doctor.walks import make_box

HOOK = Hook("gpiod", 17, "low", "up", "/dev/gpiochip0", None, 15, -45)
RING = Ring(27, "low", "up")


def at(milliseconds):
    return MonoNs(ms(milliseconds))


def found(outcome):
    return [finding.code for finding in outcome.findings]


# ---------------------------------------------------------------- hook and ring


def edges(*times_ms):
    return [HookEdge(at(time), "a", number % 2 == 0) for number, time in enumerate(times_ms)]


def test_a_good_hook_is_measured():
    outcome = hookcheck.judge_hook("a", 0, HOOK, edges(0, 3, 5, 2000), idle=False)
    assert found(outcome) == []
    assert outcome.measured == {
        "idle_level": "on-hook",
        "moves": 2,
        "bounce_ms": 5.0,
        "lifted_s": 2.0,
    }


@pytest.mark.parametrize(
    ("idle", "seen", "code"),
    [
        (None, [], "hook-missing"),
        (False, [], "hook-open"),
        (False, edges(0), "hook-not-replaced"),
        (True, [], "hook-stuck"),
        (False, [*edges(0, 2000), EdgesLost(at(3), "a", "hook", 700)], "hook-chatter"),
        (False, edges(0, 12, 31, 44, 50, 2000), "hook-bounce"),
    ],
)
def test_what_is_wrong_with_a_hook(idle, seen, code):
    assert found(hookcheck.judge_hook("a", 0, HOOK, seen, idle=idle)) == [code]


def test_an_inverted_hook_names_the_other_level():
    seen = [HookEdge(at(0), "a", off_hook=False), HookEdge(at(2000), "a", off_hook=True)]
    (change,) = hookcheck.judge_hook("a", 1, HOOK, seen, idle=True).changes
    assert (change.path, change.value) == (("line", 1, "hook", "active"), "high")


@given(st.lists(st.tuples(st.integers(0, 60_000), st.booleans()), max_size=40), st.booleans())
def test_any_edges_give_an_outcome(stream, idle):
    seen = [HookEdge(at(time), "a", level) for time, level in sorted(stream)]
    rung = [RingEdge(at(time), "a", level) for time, level in sorted(stream)]
    assert hookcheck.judge_hook("a", 0, HOOK, seen, idle=idle).verdict in {"ok", "wrong"}
    outcome = ringcheck.judge_ring("a", 0, RING, [], rung, phone_rang=True)
    assert outcome.verdict in {"ok", "wrong"}


def ringing(*cadence_ms, hz=20, times=3):
    """Ring edges of whole cadences."""
    seen, now = [], 0.0
    for _ in range(times):
        for on_ms, off_ms in zip(cadence_ms[::2], cadence_ms[1::2], strict=True):
            cycle = 1000 / hz
            for number in range(round(on_ms / cycle)):
                seen.append(RingEdge(at(now + number * cycle), "a", active=True))
                seen.append(RingEdge(at(now + (number + 0.5) * cycle), "a", active=False))
            now += on_ms + off_ms
    return seen


def test_ringing_is_measured():
    bursts = ringcheck.bursts_of(ringing(2000, 4000))
    assert [round(burst.on_ms, -2) for burst in bursts] == [2000] * 3
    assert ringcheck.ring_hz_of(bursts) == pytest.approx(20, abs=0.5)


def test_a_detector_that_gives_the_envelope_rings_too():
    seen = [
        RingEdge(at(start + end), "a", active=not end)
        for start in (0, 3000, 6000)
        for end in (0, 1000)
    ]
    bursts = ringcheck.bursts_of(seen)
    assert ringcheck.cadence_of(bursts) == [(1000, 2000), (1000, 2000)]
    assert found(ringcheck.judge_ring("a", 0, RING, [], seen, phone_rang=True)) == []


def test_a_phone_that_rang_and_was_not_seen_is_not_a_phone_that_did_not_ring():
    rang = ringcheck.judge_ring("a", 0, RING, [], [ModemRang(at(0), "a")], phone_rang=False)
    assert found(rang) == ["ring-open"]
    assert found(ringcheck.judge_ring("a", 0, RING, [], [], phone_rang=False)) == ["ring-none"]
    assert found(ringcheck.judge_ring("a", 0, None, [], [], phone_rang=False)) == []


# ---------------------------------------------------------------- country


def test_every_country_with_a_profile_has_a_cadence_and_a_dial_tone():
    assert set(CADENCES_MS) == set(countries())
    assert all(map(dial_hz_of, countries()))


@pytest.mark.parametrize("code", sorted(CADENCES_MS))
def test_a_countrys_own_line_fits_it(code):
    bursts = ringcheck.bursts_of(ringing(*CADENCES_MS[code], hz=25))
    own = Heard(ringcheck.cadence_of(bursts), tuple(map(float, dial_hz_of(code))), None)
    assert found(judge_country("a", code, own)) == []


@pytest.mark.parametrize(
    ("configured", "standard", "offered"),
    [("US", "number-display", {"JP"}), ("JP", "bell202-mdmf", {"US"}), ("US", "v23-mdmf", {"GB"})],
)
def test_a_caller_id_of_another_standard_shows_another_country(configured, standard, offered):
    outcome = judge_country("a", configured, Heard(caller_id=standard))
    assert found(outcome) == ["country-wrong"]
    assert standard in outcome.findings[0].what
    assert offered <= {change.value for change in outcome.changes}
    kinds = {load_profile(change.value).caller_id for change in outcome.changes}
    assert all(standard.startswith(kind) for kind in kinds)


def test_what_fits_no_country_accuses_none():
    odd = Heard(cadence_ms=[(700, 700)] * 3, dial_hz=(333.0,))
    outcome = judge_country("a", "JP", odd)
    assert (found(outcome), outcome.changes) == ([], ())


def test_a_pbx_that_is_a_little_off_is_no_other_country():
    assert found(judge_country("a", "US", Heard([(1700, 4400)] * 3, (356.0, 445.0)))) == []


def test_the_british_spelling_is_known():
    assert found(judge_country("a", "UK", Heard([(400, 200), (400, 2000)] * 2))) == []
    assert country.load_profile("UK").country == "GB"


# ---------------------------------------------------------------- modem


@pytest.mark.parametrize(
    ("said", "code"),
    [(b"", "modem-dead"), (b"\x00\xfe3", "modem-babbles"), (b"ERROR\r\n", "modem-no-caller-id")],
)
def test_why_a_modem_cannot_be_used(said, code):
    events = [ModemBytes(at(0), "a", said), ModemSilent(at(1), "a", "why")]
    assert found(modemcheck.judge_modem("a", "/dev/ttyACM0", events)) == [code]


def test_a_port_that_is_not_there():
    events = [DriverLost(at(0), "modem", "a", "no such port")]
    assert found(modemcheck.judge_modem("a", "", events)) == ["modem-missing"]
    assert found(modemcheck.judge_modem("a", "", [ModemReady(at(0), "a", "x", "y")])) == []


def test_a_caller_id_in_the_audio_alone_blames_the_modem():
    rang = [ModemRang(at(0), "a"), ModemRang(at(1), "a")]
    outcome = modemcheck.judge_caller_id("a", rang, 2, "", "bell202-mdmf")
    assert found(outcome) == ["caller-id-missing"]
    assert "bell202-mdmf" in outcome.findings[0].what


# ---------------------------------------------------------------- the box


@pytest.mark.parametrize(
    ("flags", "codes"),
    [
        (0x0, []),
        (0x1, ["power-low"]),
        (0x50005, ["power-low"]),
        (0x10000, ["power-was-low"]),
        (0x50000, ["power-was-low"]),
        (0x20002, ["hot"]),
        (0x80008, ["hot"]),
        (0xE0000, ["hot"]),
    ],
)
def test_the_flags_of_a_pi(flags, codes):
    outcome = boxcheck.judge_power(flags)
    assert found(outcome) == codes
    assert outcome.measured["throttled"] == hex(flags)


@pytest.mark.parametrize(
    ("sync_s", "write_kb_s", "codes"),
    [
        ([0.01] * 8, 9000, []),
        ([0.01] * 8, 60, ["disk-slow"]),  # quick to sync, and too slow for the sound of a line
        ([0.6] * 8, 9000, ["disk-slow"]),
        ([0.01] * 7 + [2.5], 9000, ["disk-slow"]),
        ([0.01] * 7 + [1.5], 9000, []),
    ],
)
def test_a_disk_is_slow_in_three_ways(tmp_path, sync_s, write_kb_s, codes):
    config = load(make_box(tmp_path))
    seen = boxcheck.DiskSeen(sync_s=sync_s, write_kb_s=write_kb_s, free_mb=9000)
    assert found(boxcheck.judge_disk(config, seen)) == codes


@pytest.mark.parametrize(
    ("called_from", "codes"),
    [
        ("0312345678", []),
        ("+81 3-1234-5678", []),
        ("", []),
        ("0312995678", ["caller-id-wrong"]),  # the same at its end, and another telephone
        ("5678", []),  # who writes only the end means the end
        ("5679", ["caller-id-wrong"]),
    ],
)
def test_a_number_is_compared_by_its_last_eight_digits(called_from, codes):
    caller = Caller("0312345678", None, None, "modem", "", None, None)
    seen = [
        ModemRang(MonoNs(0), "front-desk"),
        CallerIdReported(MonoNs(1), "front-desk", caller),
    ]
    assert found(modemcheck.judge_caller_id("front-desk", seen, 2, called_from, None)) == codes


def test_a_box_without_flags_is_no_finding():
    assert boxcheck.judge_power(None).verdict == "skipped"


def test_the_exchanges_time_shows_a_wrong_clock():
    wall = WallNs(int(datetime(2026, 11, 23, 9, 0, tzinfo=UTC).timestamp()) * 10**9)
    reading = ClockReading("b", MonoNs(0), wall, synchronised=True, source="ntp")
    caller = Caller("0312345678", None, None, "modem", "", "1123", "1200")
    outcome = boxcheck.judge_clock(reading, ZoneInfo("UTC"), is_right=None, caller=caller)
    assert found(outcome) == ["clock-off"]
    assert outcome.measured["exchange_ahead_s"] == 3 * 3600 + 30
    outcome = boxcheck.judge_clock(
        reading, ZoneInfo("Africa/Nairobi"), is_right=None, caller=caller
    )
    assert found(outcome) == []


class NoClock:
    def reading(self):
        raise AssertionError

    def now(self):
        raise AssertionError


def fake_sys(tmp_path, directory):
    """A kernel's view of one eMMC partition that holds `directory`."""
    import os

    device = directory.stat().st_dev
    partition = tmp_path / "sys/devices/mmcblk0/mmcblk0p2"
    (partition.parent / "device").mkdir(parents=True)
    partition.mkdir()
    (partition.parent / "device/name").write_text("SD64G\n")
    (partition.parent / "device/life_time").write_text("0x02 0x0b\n")
    (partition.parent / "device/pre_eol_info").write_text("0x01\n")
    link = tmp_path / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(partition)
    errors = tmp_path / "sys/fs/ext4/mmcblk0p2"
    errors.mkdir(parents=True)
    (errors / "errors_count").write_text("7\n")
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    return tmp_path / "sys"


def test_what_the_kernel_tells_of_disk_and_supply(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    box = RealBox(NoClock(), fake_sys(tmp_path, state))
    seen = box.disk(state, 32_000)
    assert (seen.errors, seen.model, seen.worn_share, seen.is_failing) == (7, "SD64G", 1.1, True)
    assert len(seen.sync_s) == 8
    assert seen.write_kb_s > 0
    assert seen.free_mb > 0
    assert box.throttled() == 0x50005
    assert list(state.iterdir()) == []


def test_a_kernel_that_tells_nothing(tmp_path):
    box = RealBox(NoClock(), tmp_path / "none")
    seen = box.disk(tmp_path, 1000)
    assert (seen.errors, seen.worn_share, seen.is_failing, seen.model) == (None, None, False, None)
    assert box.throttled() is None


# ---------------------------------------------------------------- files


def test_a_file_that_the_disk_alters_is_found_and_none_is_left(tmp_path, monkeypatch):
    config = load(make_box(tmp_path))
    sound = np.random.default_rng(1).integers(-9000, 9000, (8000, 2)).astype(np.int16)
    assert found(filecheck.check_file(config, sound)) == []

    def alter(path):
        data = bytearray(path.read_bytes())
        data[-100] ^= 0xFF
        path.write_bytes(data)

    monkeypatch.setattr(filecheck.files, "sync_file", alter)
    assert found(filecheck.check_file(config, sound)) in (["file-differs"], ["file-failed"])
    assert list((tmp_path / "state").iterdir()) == []


def test_where_calls_are_sealed_no_sound_goes_to_the_disk_in_plain(tmp_path, monkeypatch):
    config = load(make_box(tmp_path))
    sealed = replace(config, seal=Seal(("age1x", "age1y"), allow_single_recipient=False))
    monkeypatch.setattr(filecheck, "encode_segment", lambda *_: pytest.fail("written"))
    outcome = filecheck.check_file(sealed, np.zeros((80, 2), np.int16))
    assert "sealed" in outcome.skipped
