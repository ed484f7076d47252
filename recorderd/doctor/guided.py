"""Commissioning: the whole walk with a person, from the box to each of its lines, and what to change.

Nothing is changed before the person says so at the end; an interrupt anywhere leaves all as it was.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from recorderd.disk import files
from recorderd.doctor import boxcheck, devicecheck, settings
from recorderd.doctor.archivecheck import check_archive
from recorderd.doctor.bench import Bench
from recorderd.doctor.callcheck import DOUBTFUL
from recorderd.doctor.configcheck import check_config
from recorderd.doctor.diskcheck import check_disk
from recorderd.doctor.filecheck import check_file, check_sample
from recorderd.doctor.linevisit import LineVisit
from recorderd.doctor.outcome import Change, Finding, Outcome, skipped
from recorderd.errors import ConfigError, StoreError
from recorderd.units import iso, to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from recorderd.archive.target import Target
    from recorderd.config.values import Archive, Config
    from recorderd.daemon import Devices
    from recorderd.doctor.ports import Box, Hands, Person

DEVICES_S = 30.0
"""A modem that never answers is given up after fourteen seconds, a card after two."""
COUNTING_S = 5.0
"""Over which a card's frames are counted: its blocks of some ten milliseconds are then half a percent."""


@dataclass(slots=True)
class Visit:
    """What was found, by whom and when."""

    who: str = ""
    began_at: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    written: bool = False  # into the configuration

    @property
    def findings(self) -> list[tuple[Outcome, Finding]]:
        return [(each, finding) for each in self.outcomes for finding in each.findings]


@dataclass(frozen=True, slots=True)
class Helpers:
    """Whom and what the doctor works with."""

    person: Person
    hands: Hands
    box: Box
    offered: Callable[[], dict[str, Any]]  # what `recorderd devices` lists
    open_target: Callable[[Archive], Target]


def commission(config: Config, devices: Devices, helpers: Helpers) -> Visit:
    """The whole walk. Raises StoreError where the recorder is running."""
    walk = _Walk(config, devices, helpers)
    walk.run()
    return walk.visit


class _Walk:
    def __init__(self, config: Config, devices: Devices, helpers: Helpers) -> None:
        self._config = config
        self._devices = devices
        self._helpers = helpers
        self._person = helpers.person
        self._zone = ZoneInfo(config.site.time_zone)
        self.visit = Visit()

    def run(self) -> None:
        person, config = self._person, self._config
        count = len(config.lines)
        person.title(f"recorderd doctor: {config.site.name}, {count} line{'s'[: count != 1]}")
        person.say(
            "You need a telephone on each line, and another one to call it from, such as a mobile. It "
            "takes about five minutes a line. Ctrl-C ends it at any time, and changes nothing."
        )
        self.visit.who = person.ask("Your name, for the acceptance sheet (Enter: none)")
        self.visit.began_at = iso(self._helpers.box.clock().wall, self._zone)
        with ExitStack() as held:
            if config.storage.directory.is_dir():
                held.enter_context(files.hold_directory(config.storage.directory))
            self._look_at_box()
            with Bench(config, self._devices) as bench:
                self._look_at_devices(bench)
                for index, line in enumerate(config.lines):
                    visit = LineVisit(bench, person, self._helpers.hands, line, index, self._note)
                    visit.run()
                    self._look_at_call(visit)
        self._propose()

    def _note(self, outcome: Outcome) -> None:
        self.visit.outcomes.append(outcome)
        self._person.show(outcome)

    # ------------------------------------------------------------ the box

    def _look_at_box(self) -> None:
        config, box, person = self._config, self._helpers.box, self._person
        person.title("The box")
        reading = box.clock()
        shown = to_datetime(reading.wall, self._zone)
        is_right = person.confirm(
            f"Is it {shown:%Y-%m-%d %H:%M} ({config.site.time_zone}) now, to a minute or two?",
            default=True,
        )
        self._note(boxcheck.judge_clock(reading, self._zone, is_right=is_right))
        self._note(check_config(config))
        self._note(boxcheck.judge_power(box.throttled()))
        self._note(check_disk(config, box))
        if config.storage.directory.is_dir():
            self._note(check_sample(config))
        if config.archive is None:
            self._note(skipped("archive", "", "there is no [archive] in the configuration"))
        else:
            self._note(check_archive(config.archive, config.site.name, self._helpers.open_target))

    def _look_at_devices(self, bench: Bench) -> None:
        self._person.title("Sound cards, sensors and modems")
        self._person.say("Opening them takes a moment.")
        bench.watch(DEVICES_S, lambda _: devicecheck.all_have_settled(self._config, bench.seen))
        counted = devicecheck.count_frames(bench, COUNTING_S)
        offered = self._helpers.offered()
        for outcome in devicecheck.judge_devices(self._config, bench.seen, counted, offered):
            self._note(outcome)

    def _look_at_call(self, visit: LineVisit) -> None:
        """What a call has left for the box: sound to be filed, and the exchange's time."""
        if len(visit.call_sound) and self._config.storage.directory.is_dir():
            self._note(check_file(self._config, visit.call_sound))
        if visit.callers:
            reading = self._helpers.box.clock()
            outcome = boxcheck.judge_clock(
                reading, self._zone, is_right=None, caller=visit.callers[-1]
            )
            if any(finding.code == "clock-off" for finding in outcome.findings):
                self._note(outcome)

    # ------------------------------------------------------------ what to change

    def _propose(self) -> None:
        changes = self._chosen()
        if not changes:
            return
        person, path = self._person, self._config.path
        person.title("The configuration")
        try:
            before = settings.read_settings(path)
            after = settings.edited(before, changes)
        except settings.CannotEdit:
            lines = "\n".join(settings.as_toml(change) for change in changes)
            person.say(
                f"This is to be changed in {path}, by hand, for it is written unusually:\n{lines}"
            )
            return
        person.say(settings.difference(before, after, path.name))
        kept = f"{path.name}{settings.BACKUP}"
        question = f"Write this to {path}? What is there now is kept as {kept}"
        if not person.confirm(question, default=False):
            person.say("Nothing was changed.")
            return
        try:
            settings.write_settings(path, before, after)
        except (ConfigError, StoreError) as error:
            person.say(f"Nothing was changed: {error}")
            return
        self.visit.written = True
        person.say("Written. Run recorderd doctor once more: it should find nothing then.")

    def _chosen(self) -> list[Change]:
        """One value for each key; where there are several, the person's."""
        by_path: dict[tuple[str | int, ...], list[Change]] = {}
        doubtful = {
            outcome.where for outcome, finding in self.visit.findings if finding.code == DOUBTFUL
        }
        for outcome in self.visit.outcomes:
            is_doubtful = outcome.check == "channels" and outcome.where in doubtful
            for change in () if is_doubtful else outcome.changes:
                offered = by_path.setdefault(change.path, [])
                if change.value not in {each.value for each in offered}:
                    offered.append(change)
        chosen = (self._choose(path, offered) for path, offered in by_path.items())
        return [change for change in chosen if change is not None]

    def _choose(self, path: tuple[str | int, ...], offered: Sequence[Change]) -> Change | None:
        if len(offered) == 1:
            return offered[0]
        name = ".".join(str(each) for each in path if isinstance(each, str))
        values = {str(each.value): each for each in offered}
        answer = self._person.ask(f"{name}: {', '.join(values)}? (Enter: leave it)")
        return values.get(answer.strip().upper()) or values.get(answer.strip())
