"""What the uploader of a box brings is what the central side reads."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC
from types import SimpleNamespace

import pytest

from recorderd.central.compact import compact
from recorderd.central.search import Question, search
from recorderd.central.sites import sites
from recorderd.central.verify import verify_site
from recorderd.units import to_datetime
from tests.central.offices import folder_target, place_of
from tests.store.calls import SITE, in_memory
from tests.store.shelf import NUMBER
from tests.upload.box import Box


@pytest.fixture
def uploaded(top):
    """A box with three calls, one of them erased after it was uploaded, and its archive."""
    with ExitStack() as opened:
        box = Box(opened.enter_context(in_memory()), calls=3)
        opened.callback(box.close)
        target = folder_target(top / "archive")
        box.store = SimpleNamespace(target=lambda _archive=None: target)
        box.upload()
        box.erase(box.folders()[0])
        box.upload()
        yield box, place_of(top / "archive")


def test_its_calls_are_found_and_its_site_is_well(uploaded):
    box, place = uploaded

    def now():
        return to_datetime(box.clock.reading().wall, UTC)

    for _ in range(2):
        answer = search(place, Question(number=NUMBER), now=now)
        assert [call["call"] for call in answer.calls] == ["call-0002", "call-0003"]
        everything = search(place, Question(), now=now).calls
        assert [bool(call["erased_at"]) for call in everything] == [True, False, False]
        assert compact(place, now=now).problems == []
    (site,) = sites(place.target, (), now())
    assert site.name == SITE.name
    assert site.states == ("sick",)  # no recorder keeps a status.json here
    assert "status.json" in site.reasons[0]


def test_its_copies_are_proven(uploaded):
    _, place = uploaded
    found = verify_site(place.target, SITE.name, None, deep=True)
    assert found.is_proven, found
    assert found.calls == 3
