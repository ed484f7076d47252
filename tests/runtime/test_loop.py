"""The control loop between a line's machines and its cards."""

from __future__ import annotations

from types import SimpleNamespace

from recorderd import commands
from recorderd import events as ev
from recorderd.ports import Clip, PlayedNotice
from recorderd.runtime.loop import Actors, ControlLoop, LineUnit
from recorderd.units import ClockReading, MonoNs, WallNs, seconds

READING = ClockReading("boot", MonoNs(0), WallNs(seconds(1_700_000_000)), True, "test")
OUT, IN = Clip("out.wav", "bb", 8000, bytes(100)), Clip("in.wav", "aa", 8000, bytes(200))


def test_each_of_two_announcements_of_one_call_is_looked_for_as_itself():
    """The first was withdrawn, and is answered when the second has been asked for."""
    told, nothing = [], SimpleNamespace(see=lambda _: None, take=lambda _: None)
    orders = [
        commands.PlayAnnouncement("one", "call", clip.name, clip.sha256, MonoNs(0))
        for clip in (OUT, IN)
    ]
    station = SimpleNamespace(handle=lambda event: orders if event is offered else [])
    card = SimpleNamespace(play=lambda *_: None)
    actors = Actors(
        {"one": LineUnit(station, None, None, card, card, None)},
        clips={clip.sha256: clip for clip in (OUT, IN)},
    )
    clock = SimpleNamespace(reading=lambda: READING)
    analyst = SimpleNamespace(submit=told.append)
    loop = ControlLoop(
        clock, None, actors, None, analyst, nothing, None, nothing, reload=None, settle=None
    )
    offered = ev.RingEdge(MonoNs(0), "one", active=True)
    loop.take(offered)
    for started_s in (1, 5):
        at = MonoNs(seconds(started_s))
        loop.take(ev.AnnouncementFinished(at, "one", "call", at, 40, completed=False))
    loop.take(ev.AnnouncementFinished(MonoNs(0), "one", "call", MonoNs(0), 40, completed=False))
    assert told == [
        PlayedNotice("one", "call", OUT, MonoNs(seconds(1)), 40),
        PlayedNotice("one", "call", IN, MonoNs(seconds(5)), 40),
    ]
    assert not loop._playing
