"""The report: whatever a caller sends as a name, it stays a page without scripts and links."""

from __future__ import annotations

import re
from array import array
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorderd.evidence.part import ledger_part
from recorderd.evidence.report import CallReport, report_page, shown
from recorderd.evidence.waveform import Waveform
from tests.evidence.stores import Store
from tests.store.calls import KEY, in_memory

VOID = {"meta", "br", "rect", "circle", "path", "polygon"}
NO_CALL = "call that was never made"


class Page(HTMLParser):
    """Fails on what is not nested; gathers elements, their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def told():
    """The report of a filed call, as its parts."""
    with in_memory() as folder:
        store = Store(folder)
        store.call("6f", 10.0)
        _, record = store.office.call("6f")
        part = ledger_part(folder, "6f")
        waveform = Waveform(record["audio"]["frames"], 50)
        waveform.add(bytes(4 * record["audio"]["frames"]))
        yield CallReport(
            record, part, [], waveform, True, KEY.fingerprint, "chief", "2026-11-23T19:00:00+09:00"
        )
        store.office.writer.close()


def page_of(told, **changes):
    record = {**told.record, **changes}
    return report_page(
        CallReport(record, *(getattr(told, name) for name in CallReport.__slots__[1:]))
    )


def test_it_needs_nothing_else(told):
    page = Page(report_page(told))
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & set(page.tags)
    assert not [
        name for name, _ in page.attributes if name.startswith("on") or name in {"src", "href"}
    ]
    assert not re.findall(r"url\((?!#)", report_page(told))
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=1>', "&lt;b&gt;", "'", "]]>-->"]
)
def test_a_name_from_the_line_is_text_and_nothing_else(told, name):
    caller = {**told.record["caller"], "number": name, "name": name}
    texts = {"caller": caller, "line": name, "site": name, "notice_reason": name, "reason": name}
    page = Page(page_of(told, **texts))
    assert sorted(page.tags) == sorted([
        *Page(report_page(told)).tags,
        "br",
        "small",
        "br",
        "small",
    ])
    assert "".join(page.words).count(name) >= 6


@given(st.text(max_size=100))
@settings(max_examples=200)
def test_whatever_comes_stays_text(text):
    page = Page(f"<p>{shown(text)}</p>")
    assert page.tags == ["p"]
    assert not re.search(
        "[\\x00-\\x1f\\x7f\\u200b-\\u200f\\u202a-\\u202e\\u2066-\\u2069]", "".join(page.words)
    )


def test_gaps_masks_and_edges_are_in_the_picture_and_in_words(told):
    changes = {
        "gaps": [{"first_frame": 8000, "frames": 4000, "cause": "overrun"}],
        "masked": [{"first_frame": 100, "frames": 80, "reason": "card number"}],
        "flashes": [{"at": told.record["answered_at"], "duration_ms": 500}],
    }
    text = page_of(told, **changes)
    words = "".join(Page(text).words)
    assert text.count('fill="url(#gap)"') == text.count('fill="url(#mask)"') == 2
    for expected in (
        "1.000 s",
        "0.500 s",
        "dropped samples",
        "card number",
        "▲",
        "▼",
        "◆",
        "hook flash",
    ):
        assert expected in words
    assert "None: every sample" not in words
    assert "None: every sample" in "".join(Page(report_page(told)).words)


@given(
    st.lists(
        st.tuples(st.integers(-32768, 32767), st.integers(-32768, 32767)), min_size=1, max_size=300
    ),
    st.integers(1, 400),
    st.lists(st.integers(0, 300), max_size=5),
)
def test_peaks_are_those_of_each_column(frames, columns, cuts):
    waveform = Waveform(len(frames), columns)
    places = sorted({0, len(frames), *(min(cut, len(frames)) for cut in cuts)})
    for first, end in pairwise(places):
        samples = array("h", [value for pair in frames[first:end] for value in pair])
        waveform.add(samples.tobytes())
    count = min(columns, len(frames))
    for channel in (0, 1):
        for column, found in enumerate(waveform.peaks(channel)):
            first, end = column * len(frames) // count, (column + 1) * len(frames) // count
            values = [pair[channel] for pair in frames[first:end]]
            assert found == (min(0, *values, 0) / 32768, max(0, *values, 0) / 32768)
