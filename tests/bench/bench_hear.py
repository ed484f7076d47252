"""Caller ID and digits out of noise, out of a conversation, and what it costs, beside the peers.

    python -m tests.bench.bench_hear [--messages 40] [--only caller-id|limit|digits|talk|cost|files]
        [--minutes 60] [--corpus FOLDER]

Caller ID: messages of random content under white noise over 0 to 4 kHz, whose power is measured
against the burst's. "limit" is what a receiver could do at most that knows phase, clock and
frequencies: the probability of the nearest error, Q(sqrt(d2 Eb/N0)), for each bit, with
d2 = 2 (1 - sin(2 pi h) / (2 pi h)) of the two-bit error event of a modulation index h (Anderson,
Aulin, Sundberg, "Digital Phase Modulation", chapter 2). Senders' bits begin at whole samples.

The peers get every chance: spandsp is told the standard, minimodem's bytes are searched for the
message and its checksum is worked out here, multimon-ng gets its rate.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recorderd.cli.hear import listen
from recorderd.dsp.health import HealthMeter
from recorderd.dsp.hearing import STANDARDS, CallerIdHeard, DigitHeard, Ear
from recorderd.dsp.voice import VoiceTrigger
from tests.bench import hear_peers as peers
from tests.dsp import signals
from tests.dsp.conversation import conversation

SPANDSP_MODES = {"mdmf": "class", "sdmf": "class", "v23": "clip", "number-display": "jclip"}
MODULATION = {"mdmf": "bell202", "sdmf": "bell202", "v23": "v23", "number-display": "v23"}
DIGITS = "0123456789ABCD*#"
CELLS = [
    *(("mdmf", snr, -14, 1.0) for snr in (10, 8, 6, 4)),
    *(("sdmf", snr, -14, 1.0) for snr in (10, 8, 6, 4)),
    *(("v23", snr, -14, 1.0) for snr in (12, 10, 8, 6, 4)),
    *(("number-display", snr, -14, 1.0) for snr in (12, 10, 8, 6, 4)),
    *((form, snr, -14, 1.0) for form in ("dtmf-c", "dtmf-#") for snr in (10, 8, 6)),
    *(
        (form, 20, level, speed)
        for form in ("mdmf", "sdmf", "v23", "number-display", "dtmf-c", "dtmf-#")
        for level, speed in ((-36, 1.0), (-14, 0.98), (-14, 1.02))
    ),
]


@dataclass
class Sent:
    number: str
    data: bytes  # the message as on the wire; empty where it is digits
    samples: np.ndarray


def message(form: str, random: np.random.Generator) -> tuple[str, bytes]:
    number = "".join(random.choice(list("0123456789"), random.integers(7, 12)))
    date = "{:02}{:02}{:02}{:02}".format(*random.integers((1, 1, 0, 0), (13, 29, 24, 60))).encode()
    if form == "sdmf":
        return number, signals.sdmf(date, number.encode())
    if form == "number-display":
        return number, signals.number_display((2, number.encode()))
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    name = "".join(random.choice(letters, random.integers(5, 16))).encode()
    return number, signals.mdmf((1, date), (2, number.encode()), (7, name))


def send(form: str, snr: float, level: float, speed: float, random: np.random.Generator) -> Sent:
    number, data = message(form, random)
    if form.startswith("dtmf"):
        end = "C" if form == "dtmf-c" else "#"
        burst = signals.digits("A" + number + end, dbm0=level - 3, speed=speed)
        return Sent(number, b"", signals.on_line(burst, snr, random))
    seizure = 0 if form == "number-display" else 300 if MODULATION[form] == "bell202" else 256
    mark = {"mdmf": 80, "sdmf": 80, "v23": 55, "number-display": 75}[form]
    stops = 4 if form == "number-display" else 1
    bits = signals.bits_of(data, seizure, mark, stops)
    phase = random.uniform(0, 2 * math.pi)
    burst = signals.cpfsk(bits, signals.TONES[MODULATION[form]], level, speed, phase)
    alert = signals.tone(signals.ALERT, 0.1, level) if form == "v23" else np.zeros(0)
    whole = np.concatenate((alert, signals.silence(0.06), burst))
    return Sent(number, data, signals.on_line(whole, snr, random, power_of=burst))


def limit(form: str, snr: float, sent: list[Sent]) -> float:
    mark, space = signals.TONES[MODULATION[form]]
    turn = 2 * math.pi * (space - mark) / 1200
    distance = 2 * (1 - math.sin(turn) / turn)
    energy = 10 ** (snr / 10) * 4000 / 1200
    wrong = 0.5 * math.erfc(math.sqrt(distance * energy / 2))
    return sum((1 - wrong) ** (8 * len(each.data)) for each in sent)


def ours(sent: Sent) -> tuple[int, int]:
    """Right and wrong messages."""
    ear = Ear()
    heard = ear.feed(sent.samples) + ear.finish()
    numbers = [each.message.number for each in heard if isinstance(each, CallerIdHeard)]
    return min(1, numbers.count(sent.number)), len(numbers) - numbers.count(sent.number)


def of_spandsp(form: str, sent: list[Sent], spandsp: peers.Spandsp) -> tuple[int, int]:
    lines = spandsp.hear(SPANDSP_MODES.get(form, "clip-dtmf"), [each.samples for each in sent])
    right = wrong = 0
    for line, each in zip(lines, sent, strict=True):
        for found in (bytes.fromhex(text) for text in line.split()):
            fits = each.number.encode() in found and (
                form == "number-display"
                or not each.data
                or found[: len(each.data) - 1] in each.data
            )
            right, wrong = right + fits, wrong + (not fits)
    return right, wrong


def of_minimodem(form: str, sent: list[Sent], folder: Path) -> tuple[int, int]:
    right = wrong = 0
    for each in sent:
        path = folder / "signal.wav"
        peers.write_wav(path, each.samples)
        found = peers.minimodem(path, MODULATION[form])
        right += each.data in found
        at = found.find(each.data[:1])
        whole = found[at : at + len(each.data)]
        wrong += each.data not in found and len(whole) == len(each.data) and not sum(whole) % 256
    return right, wrong


def bench_caller_id(messages: int, folder: Path) -> None:
    spandsp = peers.Spandsp(folder)
    print(f"\ncaller ID, right (wrong) of {messages}")
    print(
        f"{'':16}{'SNR':>5}{'dBm0':>6}{'speed':>6}{'ours':>10}{'limit':>7}{'spandsp':>10}{'minimodem':>11}"
    )
    for form, snr, level, speed in CELLS:
        seed = [*form.encode(), snr, -level, round(speed * 100)]
        random = np.random.default_rng(seed)
        sent = [send(form, snr, level, speed, random) for _ in range(messages)]
        pairs = [ours(each) for each in sent]
        row = [pair_text(sum(a for a, _ in pairs), sum(b for _, b in pairs))]
        is_fsk = form in MODULATION
        row.append(f"{limit(form, snr, sent):.1f}" if is_fsk else "")
        row.append(pair_text(*of_spandsp(form, sent, spandsp)))
        row.append(pair_text(*of_minimodem(form, sent, folder)) if is_fsk else "")
        print(
            f"{form:16}{snr:5}{level:6}{speed:6}{row[0]:>10}{row[1]:>7}{row[2]:>10}{row[3]:>11}",
            flush=True,
        )


def bench_limit(messages: int) -> None:
    """How far from the limit: where half of the messages are lost."""
    print("\ncaller ID, noise at which half of the messages are lost, in dB SNR")
    for form in MODULATION:
        random = np.random.default_rng([*form.encode()])
        levels = np.arange(6.0, -3.1, -1.0)
        shares, limits = [], []
        for snr in levels:
            sent = [send(form, snr, -14, 1.0, random) for _ in range(messages)]
            shares.append(sum(ours(each)[0] for each in sent) / messages)
        for snr in (fine := np.arange(8.0, -6.0, -0.05)):
            limits.append(limit(form, snr, sent) / messages)
        mine, best = crossing(levels, shares), crossing(fine, limits)
        print(
            f"  {form:16} ours {mine:5.1f}   limit {best:5.1f}   apart {mine - best:4.1f}",
            flush=True,
        )


def crossing(levels: np.ndarray, shares: list[float]) -> float:
    """The level at which the share falls to a half, between the two measured beside it."""
    below = int(np.argmax(np.array(shares) < 0.5))
    upper, lower = shares[below - 1], shares[below]
    part = (upper - 0.5) / max(upper - lower, 1e-9)
    return float(levels[below - 1] + part * (levels[below] - levels[below - 1]))


def pair_text(right: int, wrong: int) -> str:
    return f"{right} ({wrong})" if wrong else str(right)


# ---------------------------------------------------------------- digits


def digit_cells() -> list[tuple[str, dict[str, float], float, bool]]:
    """Name, what is sent, signal to noise, and whether the digits must be heard (or must not)."""
    wanted = [
        *((f"{snr} dB SNR", {}, snr, True) for snr in (20, 10, 8, 6)),
        *(
            (f"{on} ms on and off", {"on_s": on / 1000, "off_s": on / 1000}, 25, True)
            for on in (40, 50, 100)
        ),
        ("40 ms at 6 dB SNR", {"on_s": 0.04, "off_s": 0.04}, 6, True),
        *((f"twist {twist:+} dB", {"twist_db": twist}, 25, True) for twist in (-8, -4, 4, 8)),
        *((f"twist {twist:+} dB at 6 dB SNR", {"twist_db": twist}, 6, True) for twist in (-8, 4)),
        *((f"{error:+} %", {"error": error / 100}, 25, True) for error in (-1.8, -1.5, 1.5, 1.8)),
        *((f"{error:+} % at 6 dB SNR", {"error": error / 100}, 6, True) for error in (-1.5, 1.5)),
        *((f"{level} dBm0", {"dbm0": level}, 25, True) for level in (-3, -30, -40, -45)),
    ]
    unwanted = [
        *((f"{error:+} %", {"error": error / 100}, 25, False) for error in (-3.5, 3.5)),
        *((f"{on} ms on", {"on_s": on / 1000, "off_s": 0.05}, 25, False) for on in (15, 20, 23)),
    ]
    return [*wanted, *unwanted]


def bench_digits(count: int, folder: Path) -> None:
    spandsp = peers.Spandsp(folder)
    print("\ndigits, heard of those sent (and others)")
    print(f"{'':28}{'ours':>12}{'spandsp':>12}{'multimon-ng':>12}")
    for name, changes, snr, is_wanted in digit_cells():
        random = np.random.default_rng(7)
        texts = ["".join(random.choice(list(DIGITS), 20)) for _ in range(max(1, count // 8))]
        sent = [on_line_tones(text, changes, snr, random) for text in texts]
        mine, theirs, multi = [], spandsp.hear("dtmf", sent), []
        for samples in sent:
            mine.append(keys_of(samples))
            path = folder / "digits.wav"
            peers.write_wav(path, samples)
            multi.append(peers.multimon(path))
        row = [percent(texts, heard) for heard in (mine, theirs, multi)]
        sign = "" if is_wanted else "  must be 0 %"
        print(f"{name:28}{row[0]:>12}{row[1]:>12}{row[2]:>12}{sign}", flush=True)


def on_line_tones(
    text: str, changes: dict[str, float], snr: float, random: np.random.Generator
) -> np.ndarray:
    """Noise is measured against the tones while they last."""
    burst = signals.digits(text, **changes)
    return signals.on_line(burst, snr, random, power_of=burst[np.abs(burst) > 0])


def keys_of(samples: np.ndarray) -> str:
    ear = Ear(())
    heard = ear.feed(samples) + ear.finish()
    keys = sorted(
        (each for each in heard if isinstance(each, DigitHeard)), key=lambda each: each.start
    )
    return "".join(each.digit for each in keys)


def percent(texts: list[str], heard: list[str]) -> str:
    right = sum(in_order(text, found) for text, found in zip(texts, heard, strict=True))
    extra = sum(map(len, heard)) - right
    total = sum(map(len, texts))
    return f"{100 * right / total:.1f} %" + (f" +{extra}" if extra else "")


def in_order(text: str, found: str) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(found) + 1)
    for key in text:
        before = row[:]
        for place, other in enumerate(found):
            row[place + 1] = (
                before[place] + 1 if key == other else max(row[place], before[place + 1])
            )
    return row[-1]


# ---------------------------------------------------------------- talk, cost, files


def bench_talk(minutes: float, folder: Path) -> None:
    spandsp = peers.Spandsp(folder)
    pieces = list(conversation(minutes))
    whole = np.concatenate(pieces)
    path = folder / "talk.wav"
    peers.write_wav(path, whole)
    seconds = len(whole) / 8000
    print(f"\n{seconds / 60:.1f} minutes of voices, music and tones")
    ear = Ear()
    started = time.process_time()
    heard = ear.feed(whole) + ear.finish()
    spent = time.process_time() - started
    callers = [each for each in heard if isinstance(each, CallerIdHeard)]
    print(
        f"  ours         {len(heard) - len(callers)} digits, {len(callers)} caller IDs, {seconds / spent:.0f} times real time a channel"
    )
    for each in heard:
        print(f"    at {each.start / 8000:.2f} s: {each}")
    for mode in ("dtmf", "class", "clip", "jclip", "clip-dtmf"):
        started = time.perf_counter()
        found = spandsp.hear(mode, [whole])[0]
        spent = time.perf_counter() - started
        many = len(found) if mode == "dtmf" else len(found.split())
        print(f"  spandsp      {many} with {mode}, {seconds / spent:.0f} times real time")
    started = time.perf_counter()
    found = peers.multimon(path)
    spent = time.perf_counter() - started
    print(f"  multimon-ng  {len(found)} digits, {seconds / spent:.0f} times real time")


def bench_cost(folder: Path) -> None:
    """Two channels: a call with voices on both, and an idle line."""
    print("\ntimes real time on one core, two channels with all detectors")
    talk = np.concatenate(list(conversation(1, seed=5)))
    idle = np.random.default_rng(1).normal(0, 20, len(talk)).astype(np.int16)
    for name, pair in (("conversation", (talk, talk[::-1])), ("idle line", (idle, idle))):
        for block in (160, 1600):
            ears = Ear(), Ear()
            started = time.process_time()
            for at in range(0, len(talk), block):
                for ear, samples in zip(ears, pair, strict=True):
                    ear.feed(samples[at : at + block])
            spent = time.process_time() - started
            print(f"  {name:14} blocks of {block:5}: {len(talk) / 8000 / spent:6.0f}")
    both = np.stack((talk, talk[::-1]), axis=1)
    for name, listener in (("health", HealthMeter()), ("voice trigger", VoiceTrigger())):
        started = time.process_time()
        for at in range(0, len(both), 1600):
            listener.feed(both[at : at + 1600])
        spent = time.process_time() - started
        print(f"  {name:14} blocks of {1600:5}: {len(talk) / 8000 / spent:6.0f}")


def bench_files(corpus: Path) -> None:
    """WAV files with their truth: `cid/truth.csv` and `dtmf/truth.csv` in a folder."""
    print(f"\nfiles in {corpus.name}")
    rows = list(csv.DictReader((corpus / "cid/truth.csv").open()))
    right = wrong = 0
    for row in rows:
        found = [
            each
            for each in listen(corpus / "cid" / row["file"], STANDARDS, (), {})
            if each["kind"] == "caller-id"
        ]
        fits = [
            each
            for each in found
            if (each["number"] or "") == row["number"]
            and (each["name"] or "") == row["name"]
            and bool(each["absence"]) == bool(row["absence"])
        ]
        right, wrong = right + bool(fits), wrong + len(found) - len(fits)
        if not fits:
            print(f"  not heard: {row['file']}")
    print(f"  caller IDs: {right} of {len(rows)}, {wrong} wrong")
    for row in csv.DictReader((corpus / "dtmf/truth.csv").open()):
        keys = "".join(
            each["digit"]
            for each in listen(corpus / "dtmf" / row["file"], STANDARDS, (), {})
            if each["kind"] == "digit"
        )
        if keys != row["digits"]:
            print(f"  {row['file']}: {percent([row['digits']], [keys])}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=40, help="a cell")
    parser.add_argument("--minutes", type=float, default=60, help="of conversation")
    parser.add_argument("--only", choices=["caller-id", "limit", "digits", "talk", "cost", "files"])
    parser.add_argument("--corpus", type=Path, help="a folder of files with their truth")
    options = parser.parse_args()
    peers.require()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.corpus is not None:
            bench_files(options.corpus)
        parts = {
            "caller-id": lambda: bench_caller_id(options.messages, folder),
            "limit": lambda: bench_limit(options.messages // 2),
            "digits": lambda: bench_digits(options.messages, folder),
            "talk": lambda: bench_talk(options.minutes, folder),
            "cost": lambda: bench_cost(folder),
        }
        for part, run in parts.items():
            if options.only in {None, part}:
                run()


if __name__ == "__main__":
    main()
