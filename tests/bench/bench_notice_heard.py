"""Announcement clips out of a line under speech: found, how much of them, and what is not found.

    python -m tests.bench.bench_notice_heard [--recordings 200] [--impostors 500]
        [--only heard|line|impostors|people|cost] [--sounds /usr/share/asterisk]

"heard": clips that ship and clips of espeak-ng voices, at -10 to -36 dBm0 under a voice that is 0
to 5 dB louder, through a band of 300 to 3400 Hz with its phases; every second one lacks its
beginning, its end or a part within. What is audible of a clip is the template's word (frames within 24 dB of the
loudest); how much of it was left on the line is counted in samples.

"people": the prompts of Asterisk, spoken by one person, under each other, and each looked for in all
others; and in its music on hold (`apt-get install asterisk-core-sounds-en-wav
asterisk-moh-opsound-wav`).
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from recorderd.dsp.notice import HEARD_MIN, NoticeFound, NoticeTemplate, find_notice
from recorderd.dsp.notice_match import HOP
from tests.dsp import notice_lines as lines
from tests.dsp.conversation import RATE, music, speech, tones

LEAD = round(0.7 * RATE)
SHORTEST = round(0.6 * RATE)
SAID = (
    ("en-us", "This call may be recorded for quality and training."),
    ("en-gb+f3", "Your call is important to us and will be recorded from now on."),
    ("de", "Dieses Gespräch wird aufgezeichnet. Wenn Sie das nicht wünschen, sagen Sie es bitte."),
    ("fr-fr+f2", "Cet appel est enregistré."),
    ("es+m3", "Esta llamada será grabada por motivos de calidad y de seguridad. Gracias."),
    ("it+f4", "La chiamata è registrata. Se non desidera, lo dica subito al nostro operatore."),
    ("pl", "Rozmowa jest nagrywana."),
    ("sv+f1", "Hej, samtalet spelas in så att vi kan bli bättre, och sparas i ett halvår."),
)
OTHERS = (
    ("en-us", "Our office is closed today, please try again on Monday morning."),
    ("en-gb+f3", "All lines are busy, somebody will be with you in a moment."),
    ("de", "Alle Plätze sind belegt, bitte haben Sie etwas Geduld."),
    ("fr-fr+f2", "Nos bureaux sont fermés."),
    ("es+m3", "Todas las líneas están ocupadas, espere un momento."),
    ("it+f4", "Gli uffici sono chiusi fino a lunedì mattina."),
    ("pl", "Biuro jest dziś nieczynne."),
    ("sv+f1", "Kontoret är stängt, ring igen i morgon."),
)


@dataclass
class Clip:
    name: str
    samples: np.ndarray
    template: NoticeTemplate
    other: np.ndarray  # the same voice, something else


def clips() -> list[Clip]:
    ships = {name: lines.shipped(name) for name in ("notice-en.wav", "notice-ja.wav")}
    found = [
        Clip(name, samples, NoticeTemplate(samples), ships[other])
        for (name, samples), other in zip(ships.items(), reversed(ships), strict=True)
    ]
    for number, ((voice, text), (_, other)) in enumerate(zip(SAID, OTHERS, strict=True)):
        say = partial(lines.spoken, voice=voice, speed=140 + 10 * number)
        samples = say(text)
        found.append(Clip(voice, samples, NoticeTemplate(samples), say(other)))
    return found


def damage(samples: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """Where the clip is kept."""
    kept = np.ones(len(samples), bool)
    # At least 0.6 s stay.
    least, most = min(0.2, 1 - SHORTEST / len(samples)), 1 - SHORTEST / len(samples)
    size = round(len(samples) * random.uniform(least, min(0.8, most)))
    if kind == "late":
        kept[:size] = False
    elif kind == "cut":
        kept[len(samples) - size :] = False
    elif kind == "hole":
        at = round((len(samples) - size) * random.uniform(0.2, 0.8))
        kept[at : at + size] = False
    return kept


def truth(clip: Clip, kept: np.ndarray) -> float:
    """The share that was left of what is audible by the template's frames, sample by sample."""
    audible = clip.template.frames.audible
    middle = np.zeros((len(audible) + 1) * HOP)
    middle[: len(kept)] = kept
    middle = middle[HOP // 2 :][: len(audible) * HOP].reshape(-1, HOP).mean(axis=1)
    return float((middle * audible).sum() / audible.sum())


@dataclass
class Row:
    """Results of one kind of line."""

    sent: int = 0
    found: int = 0
    verdicts: int = 0
    misplaced: int = 0
    errors: list[float] = None
    scores: list[float] = None
    levels: list[float] = None

    def __post_init__(self):
        self.errors, self.scores, self.levels = [], [], []

    def add(self, result: NoticeFound, true: float, dbm0: float, start: int) -> None:
        self.sent += 1
        self.scores.append(result.score)
        if result.start is None:
            return
        self.found += 1
        self.misplaced += abs(result.start - start) > 8
        self.errors.append(abs(result.completeness - true))
        self.levels.append(abs(result.level_dbm0 - dbm0))
        self.verdicts += result.verdict == ("heard" if true >= HEARD_MIN else "partly")

    def text(self) -> str:
        errors = 100 * np.array(self.errors or [0])
        within = int((errors <= 5).sum())
        return (
            f"{self.found:5} of {self.sent:<5}{self.misplaced:6}{self.verdicts:9}"
            f"{errors.mean():8.2f}{errors.max():7.1f}{within:7}"
            f"{np.mean(self.levels or [0]):8.1f}{min(self.scores):8.2f}"
        )


HEAD = (
    f"{'':26}{'found':>14}{'place':>6}{'verdict':>9}{'error':>8}{'worst':>7}{'<=5':>7}"
    f"{'dB':>8}{'score':>8}\n{'':26}{'':>14}{'wrong':>6}{'right':>9}{'points':>8}{'':>7}{'':>7}"
    f"{'off':>8}{'least':>8}"
)


def long_voice(random: np.random.Generator) -> np.ndarray:
    parts = speech(random, 40)
    voice = np.concatenate((parts, speech(random, 40)))
    return lines.in_a_room(voice, random) if random.random() < 0.5 else voice


def one(
    clip: Clip, voices: list[np.ndarray], random: np.random.Generator, kind: str, **line
) -> tuple[NoticeFound, float]:
    kept = damage(clip.samples, kind, random)

    def change(samples: np.ndarray) -> np.ndarray:
        samples = samples.copy()
        samples[LEAD : LEAD + len(kept)] *= kept
        return samples

    voice = voices[random.integers(len(voices))] if "under_db" in line else None
    sound = lines.line(clip.samples, random, voice=voice, change=change, **line)
    return find_notice(clip.template, sound), truth(clip, kept)


def bench_heard(count: int, ready: list[Clip], voices: list[np.ndarray]) -> list[float]:
    print(f"\nunder a voice 0 to 5 dB louder\n{HEAD}")
    random = np.random.default_rng(11)
    rows = {"whole": Row(), "late": Row(), "cut": Row(), "hole": Row()}
    total = Row()
    for number in range(count):
        kind = "whole" if number % 2 else ("late", "cut", "hole")[number // 2 % 3]
        dbm0 = random.uniform(-36, -10)
        clip = ready[number % len(ready) if number % 2 else number // 2 % len(ready)]
        result, true = one(clip, voices, random, kind, dbm0=dbm0, under_db=random.uniform(0, 5))
        for row in (rows[kind], total):
            row.add(result, true, dbm0, LEAD)
    for name, row in (*rows.items(), ("all", total)):
        print(f"{name:26}{row.text()}", flush=True)
    return total.scores


def cells() -> list[tuple[str, dict]]:
    def echoed(samples):
        return lines.echo(lines.echo(samples, 1.5, -10), 45, -12)

    under = {"under_db": 5}
    return [
        ("clean", {}),
        *((f"{ppm:+} ppm", {"ppm": ppm, **under}) for ppm in (-200, 200)),
        *(
            (
                f"echo {ms} ms at -8 dB",
                {"through": partial(lines.echo, delay_ms=ms, gain_db=-8), **under},
            )
            for ms in (10, 30, 60)
        ),
        ("hybrid and line echo", {"through": echoed, **under}),
        ("A-law", {"through": lines.a_law, **under}),
        ("mu-law", {"through": lines.mu_law, **under}),
        ("mu-law, -36 dBm0", {"through": lines.mu_law, "dbm0": -36, **under}),
        ("gain +-6 dB in 1.5 s", {"through": lines.swinging, **under}),
        ("white noise 0 dB SNR", {"noise_dbm0": -20}),
        ("white noise -5 dB SNR", {"noise_dbm0": -15}),
        ("voice 8 dB louder", {"under_db": 8}),
        ("voice 12 dB louder", {"under_db": 12}),
    ]


def bench_line(count: int, ready: list[Clip], voices: list[np.ndarray]) -> None:
    print(f"\nwhat lines do, at -20 dBm0; unless said, under a voice 5 dB louder; half cut\n{HEAD}")
    for name, line in cells():
        random = np.random.default_rng(12)
        row = Row()
        for number in range(count):
            kind = "whole" if number % 2 else ("late", "cut", "hole")[number // 2 % 3]
            clip = ready[number // 2 % len(ready)]
            result, true = one(clip, voices, random, kind, **line)
            row.add(result, true, line.get("dbm0", -20), LEAD)
        print(f"{name:26}{row.text()}", flush=True)


def impostor(
    kind: str, clip: Clip, ready: list[Clip], voices: list[np.ndarray], random: np.random.Generator
) -> np.ndarray:
    line = partial(lines.line, random=random, dbm0=random.uniform(-30, -10))
    if kind == "same voice":
        return line(clip.other)
    if kind == "other clip":
        others = [each for each in ready if each is not clip]
        voice = voices[random.integers(len(voices))]
        return line(others[random.integers(len(others))].samples, voice=voice, under_db=0)
    if kind == "reversed":
        return line(clip.samples[::-1])
    if kind == "speech":
        first, second = (voices[random.integers(len(voices))] for _ in range(2))
        size = min(len(first), len(second))
        return line(lines.whole(0.1 * (first[:size] + random.uniform(0, 1) * second[:size])))
    if kind == "music":
        return line(lines.whole(0.3 * music(random)))
    if kind == "tones":
        return line(lines.whole(tones(random, 8)))
    if kind == "noise":
        return line(None, length_s=8, noise_dbm0=random.uniform(-60, -10))
    return np.zeros(8 * RATE, np.int16)


IMPOSTORS = ("same voice", "other clip", "reversed", "speech", "music", "tones", "noise", "silence")


def bench_impostors(count: int, ready: list[Clip], voices: list[np.ndarray]) -> list[float]:
    print(f"\nwithout the clip\n{'':26}{'found':>14}{'score, most':>14}")
    scores: list[float] = []
    random = np.random.default_rng(13)
    each = -(-count // len(IMPOSTORS))
    for kind in IMPOSTORS:
        mine = []
        found = 0
        for number in range(each):
            clip = ready[number % len(ready)]
            result = find_notice(clip.template, impostor(kind, clip, ready, voices, random))
            mine.append(result.score)
            found += result.verdict != "not-heard"
        print(f"{kind:26}{found:5} of {each:<5}{max(mine):14.3f}", flush=True)
        scores += mine
    return scores


def bench_hours(ready: list[Clip], voices: list[np.ndarray]) -> list[float]:
    """Each clip in an hour of voices over voices: many more chances than a call has."""
    random = np.random.default_rng(15)
    scores = []
    for clip in ready:
        parts = []
        while sum(map(len, parts)) < 3600 * RATE:
            first, second = (voices[random.integers(len(voices))] for _ in range(2))
            speed = random.uniform(0.8, 1.25)  # so that no voice comes twice
            first = np.interp(np.arange(0, len(first) - 1, speed), np.arange(len(first)), first)
            size = min(len(first), len(second))
            over = random.choice([0, 0.3, 1])
            parts.append(lines.whole(0.1 * (first[:size] + over * second[:size])))
        scores.append(find_notice(clip.template, np.concatenate(parts)).score)
    found = sum(score >= 0.5 for score in scores)
    print(f"{'voices for an hour':26}{found:5} of {len(scores):<5}{max(scores):14.3f}", flush=True)
    return scores


def read_all(folder: Path) -> list[np.ndarray]:
    return [soundfile.read(path, dtype="int16")[0] for path in sorted(folder.rglob("*.wav"))]


def bench_people(count: int, folder: Path) -> tuple[list[float], list[float]]:
    """Scores of prompts that are there, and of those that are not."""
    said, music_on_hold = read_all(folder / "sounds"), read_all(folder / "moh")
    if not said or not music_on_hold:
        print(f"\nno sounds of Asterisk in {folder}: see --help")
        return [], []
    random = np.random.default_rng(3)
    long = [number for number, sound in enumerate(said) if 1.5 * RATE <= len(sound) < 60 * RATE]
    chosen = random.choice(long, count, replace=False)
    row, false = Row(), []
    for number, which in enumerate(chosen):
        clip = Clip("", said[which], NoticeTemplate(said[which]), said[which])
        others = [sound for other, sound in enumerate(said) if other != which]
        voice = np.concatenate([others[each] for each in random.permutation(len(others))[:40]])
        kind = "whole" if number % 2 else ("late", "cut", "hole")[number // 2 % 3]
        dbm0, under_db = random.uniform(-36, -10), random.uniform(0, 5)
        result, true = one(clip, [voice / 32768], random, kind, dbm0=dbm0, under_db=under_db)
        row.add(result, true, dbm0, LEAD)
        false.append(find_notice(clip.template, np.concatenate(others)).score)
    print(f"\na person's prompts under her others\n{HEAD}\n{'half of them cut':26}{row.text()}")
    found = sum(score >= 0.5 for score in false)
    minutes = sum(map(len, said)) / RATE / 60
    print(f"each in {minutes:.0f} minutes of others: {found} found, highest score {max(false):.3f}")
    held = np.concatenate(music_on_hold)
    scores = [find_notice(NoticeTemplate(said[which]), held).score for which in chosen[:10]]
    found = sum(score >= 0.5 for score in scores)
    print(
        f"ten of them in {len(held) / RATE / 60:.0f} minutes of music on hold: {found} found,"
        f" highest score {max(scores):.3f}"
    )
    return row.scores, false + scores


def print_margin(true: list[float], false: list[float]) -> None:
    """Scores in steps of a twentieth."""
    print("\nscore      with the clip   without")
    edges = np.linspace(0, 1, 21)
    for low, yes, no in zip(
        edges, np.histogram(true, edges)[0], np.histogram(false, edges)[0], strict=False
    ):
        limit = "  <- found from here on" if abs(low - 0.5) < 0.01 else ""
        print(f"{low:.2f}       {yes or '':>9}   {no or '':>9}{limit}")


def bench_cost(voices: list[np.ndarray]) -> None:
    print("\nprocessor time")
    ten = np.resize(lines.whole(0.1 * voices[0]), 10 * RATE)
    random = np.random.default_rng(14)
    template = NoticeTemplate(ten)
    short = lines.line(ten, random, voice=voices[1], under_db=5)[: 12 * RATE]
    parts = [lines.whole(0.1 * each) for each in voices]
    hour = np.resize(np.concatenate(parts), 3600 * RATE)
    japanese = lines.shipped("notice-ja.wav")
    at = 2000 * RATE
    hour[at : at + len(japanese)] = japanese
    for name, ready, sound, around in (
        ("10 s clip in 12 s", template, short, None),
        ("the same, place known to 0.5 s", template, short, (LEAD - 4000, LEAD + 4000)),
        ("4 s clip in an hour", NoticeTemplate(japanese), hour, None),
        ("10 s clip in an hour", template, hour, None),
    ):
        times = []
        for _ in range(1 if len(sound) > 10**6 else 5):
            begun = time.process_time()
            result = find_notice(ready, sound, around)
            times.append(time.process_time() - begun)
        print(f"{name:32}{1000 * min(times):9.0f} ms  {result.verdict}, {result.start}", flush=True)
    begun = time.process_time()
    NoticeTemplate(ten)
    print(f"{'making a template of 10 s':32}{1000 * (time.process_time() - begun):9.0f} ms")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=200)
    parser.add_argument("--impostors", type=int, default=500)
    parser.add_argument("--only", choices=("heard", "line", "impostors", "people", "cost"))
    parser.add_argument("--sounds", type=Path, default=Path("/usr/share/asterisk"))
    options = parser.parse_args()
    random = np.random.default_rng(10)
    voices = [long_voice(random) for _ in range(24)]
    ready = clips()
    true, false = [], []
    if options.only in {None, "heard"}:
        true = bench_heard(options.recordings, ready, voices)
    if options.only in {None, "line"}:
        bench_line(max(1, options.recordings // 5), ready, voices)
    if options.only in {None, "impostors"}:
        false = bench_impostors(options.impostors, ready, voices)
        false += bench_hours(ready, voices)
    if options.only in {None, "people"}:
        there, elsewhere = bench_people(max(1, options.recordings // 4), options.sounds)
        true, false = true + there, false + elsewhere
    if true and false:
        print_margin(true, false)
    if options.only in {None, "cost"}:
        bench_cost(voices)


if __name__ == "__main__":
    main()
