"""Was the announcement heard on the line?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recorderd.doctor.outcome import Finding, Outcome, Value
from recorderd.doctor.sides import APART_DB
from recorderd.dsp.notice import find_notice
from recorderd.errors import ClipError
from recorderd.listening.verdicts import template_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from recorderd.config.values import Announcement
    from recorderd.events import AnnouncementFinished
    from recorderd.ports import Clip


def judge_clip(
    line: str,
    announcement: Announcement,
    clip: Clip,
    ended: AnnouncementFinished | None,
    sound: NDArray[np.int16],
) -> Outcome:
    """`ended`: how the player says that it went; `sound`: both channels, from the lift on."""
    if ended is None or ended.error is not None:
        error = "it never ended" if ended is None else ended.error
        return Outcome("announcement", line, {}, (_failed(announcement, clip, str(error)),))
    try:
        template = template_of(clip)
    except ClipError as error:
        mend = "use another clip, in which somebody speaks"
        return Outcome("announcement", line, {}, (Finding("clip-unfit", str(error), mend),))
    near, far = (find_notice(template, sound[:, side]) for side in (0, 1))
    measured: dict[str, Value] = {
        "verdict": far.verdict,
        "completeness": round(far.completeness, 3),
        "level_dbm0": None if far.level_dbm0 is None else round(far.level_dbm0, 1),
        "score": round(far.score, 3),
        "near_level_dbm0": None if near.level_dbm0 is None else round(near.level_dbm0, 1),
    }
    findings: list[Finding] = []
    # On one channel it may be hidden by the other side's voice; on the line it is where it is on either.
    verdicts = {near.verdict, far.verdict}
    if verdicts == {"not-heard"}:
        findings.append(_silent(announcement))
    elif "heard" not in verdicts:
        findings.append(_partly(clip, max(near.completeness, far.completeness)))
    return Outcome("announcement", line, measured, tuple(findings))


def is_on_near(outcome: Outcome) -> bool:
    """The announcement is louder on the near channel: what is played goes into the line, the far side."""
    near, far = outcome.measured.get("near_level_dbm0"), outcome.measured.get("level_dbm0")
    if not isinstance(near, float):
        return False
    return not isinstance(far, float) or near - far >= APART_DB


def _failed(announcement: Announcement, clip: Clip, error: str) -> Finding:
    return Finding(
        "clip-failed",
        f"the announcement {clip.name} could not be played: {error}",
        f"check line.announcement.output_device ({announcement.output_device}) with `recorderd devices`",
    )


def _silent(announcement: Announcement) -> Finding:
    channel = announcement.output_channel
    where = announcement.output_device + ("" if channel is None else f", channel {channel}")
    return Finding(
        "clip-silent",
        "the announcement was played, and is not heard on the line: callers are told nothing",
        f"check the cable from the card's output ({where}) to the line interface, that the output is not "
        "muted in alsamixer, and line.announcement.output_channel",
    )


def _partly(clip: Clip, completeness: float) -> Finding:
    return Finding(
        "clip-partly",
        f"only {100 * completeness:.0f} % of the announcement {clip.name} is heard on the line",
        "raise line.announcement.delay_ms, so that the line is open before it begins; check the output's "
        "level, and that nothing else is played on that card",
    )
