"""From the hook edge to the first sample of the announcement on the line, beyond `delay_ms`.

    python -m tests.bench.bench_notice [--calls 20]

The real daemon on the software card: the pin is moved, the time of the edge is taken here, and the
announcement is looked for in the recording itself, which is silent before it. The path through the
sound server is in the figure; `delay_ms` is 500. Prints the median and the 99th percentile.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import soundfile

from tests.bench.bench_recorders import HEAD, LINE, RATE
from tests.daemon.box import Box
from tests.softcard import Sink, SoftCard

DELAY_MS = 500
ANNOUNCEMENT = f"""[line.announcement]
inbound = "notice-en.wav"
delay_ms = {DELAY_MS}
"""
LIFT_EVERY_S = 6  # a dozen lifts in a minute would be a chattering hook switch
AUDIBLE = 20  # of 32768; the card's silence is exactly zero


def delays_ms(box: Box, calls: int) -> list[float]:
    for number in range(calls):
        lifted_at = time.monotonic()
        box.pins.set(4, 0)
        box.wait_until_said("NoticeEnded", within_s=30, times=number + 1)
        box.pins.set(4, 1)
        box.wait_for_records(number + 1)
        threading.Event().wait(max(0, lifted_at + LIFT_EVERY_S - time.monotonic()))
    found = []
    for record in box.records():
        path = record["folder"] / record["segments"][0]["file"]
        samples, rate = soundfile.read(path, dtype="int16")
        # The pre-roll may hold the end of the call before.
        after_edge = samples[record["audio"]["pre_roll_frames"] :, 1].astype(int)
        loud = abs(after_edge) > AUDIBLE
        assert loud.any(), f"nothing is heard in {path}"
        found.append(int(loud.argmax()) * 1000 / rate - DELAY_MS)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        card = SoftCard([Sink("line8", RATE)])
        card.start()
        line = LINE.format(number=1, device="line8", near=1, far=2, pin=4) + ANNOUNCEMENT
        config = HEAD.format(folder=folder) + line
        with Box(folder, config, {4: 1}, card.environment) as box:
            box.wait_until_said("kind=card")
            delays = sorted(delays_ms(box, options.calls))
            box.stop()
        card.close()
    p99 = delays[min(len(delays) - 1, round(0.99 * len(delays)))]
    print(f"{len(delays)} calls: first sample of the announcement beyond delay_ms = {DELAY_MS}")
    print(
        f"  median {statistics.median(delays):6.1f} ms   p99 {p99:6.1f} ms   least {delays[0]:6.1f} ms"
    )


if __name__ == "__main__":
    main()
