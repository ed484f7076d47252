"""[seal]: who may open the calls, and every way to get that wrong."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorderd.config.recipients import is_recipient
from recorderd.seal.age import new_identity

ONE, TWO = (new_identity()[1] for _ in range(2))
SECRET = new_identity()[0]
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def seal(recipients, rest=""):
    texts = "\n".join(f'"{text}",' for text in recipients)
    return f"[seal]\nrecipients = [\n{texts}\n]\n{rest}\n"


def test_left_out_nothing_is_sealed(load_text, hardware):
    assert load_text(hardware).seal is None


def test_one_line_switches_it_on(load_text, hardware):
    config = load_text(f"{hardware}[seal]\nrecipients = ['{ONE}', '{TWO}']\n")
    assert config.seal.recipients == (ONE, TWO)
    assert config.seal.allow_single_recipient is False


def test_one_recipient_alone_must_be_asked_for(problems_of, load_text, hardware):
    (problem,) = problems_of(hardware + seal([ONE]))
    assert problem.startswith("31: seal.recipients: only one; when its key is lost")
    assert "allow_single_recipient = true" in problem
    allowed = load_text(hardware + seal([ONE], "allow_single_recipient = true"))
    assert allowed.seal.recipients == (ONE,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (seal([ONE, ONE]), "33: seal.recipients: number 2 is there already, see line 32"),
        (seal([ONE, TWO[:-1] + "q" if TWO[-1] != "q" else TWO[:-1] + "p"]), "33: seal.recipients: number 2: a letter of it is wrong"),
        (seal([ONE, SECRET]), "31: seal.recipients: number 2 is not of the form that is needed: age rec"),
        (seal([]), "31: seal.recipients: found a list of 0; allowed: a list of 1 to 16"),
        (seal([ONE] * 17), "31: seal.recipients: found a list of 17"),
        ("[seal]\nrecipients = 'age1'\n", "31: seal.recipients: found text; allowed: a list"),
        ("[seal]\nrecipients = [1]\n", "31: seal.recipients: number 1 is a whole number"),
        (f"[seal]\nrecipient = ['{ONE}', '{TWO}']\n", '31: seal.recipient: unknown key; did you mean "recipients"?'),
        (seal([ONE, TWO], "allow_single_recipient = 'yes'"), "35: seal.allow_single_recipient: found text; allowed: true or false"),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(problems_of, hardware, text, expected):
    problems = problems_of(hardware + text)
    assert any(problem.startswith(expected) for problem in problems), problems


def test_segments_that_are_too_large_for_the_memory(problems_of, hardware):
    long = hardware.replace("# two lines", "[storage]\nsegment_s = 600")
    fast = long.replace('device = "USB', 'record_rate_hz = 48000\ndevice = "USB')
    assert problems_of(long + seal([ONE, TWO])) == []
    assert problems_of(fast) == []
    (problem,) = problems_of(fast + seal([ONE, TWO]))
    assert problem.startswith("12: line.audio.record_rate_hz: 48000 makes segments of 600 s too la")
    assert "storage.segment_s up to 333" in problem


def test_a_secret_key_in_the_configuration_is_not_repeated(problems_of, hardware):
    assert SECRET not in "".join(problems_of(hardware + seal([ONE, SECRET])))


def test_without_the_library_the_mend_is_told(problems_of, hardware, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (problem,) = problems_of(hardware + seal([ONE, TWO]))
    assert problem.startswith("30: seal: sealing needs the package pyrage")
    assert "pip install 'recorderd[seal]'" in problem
    assert "32-bit" in problem


def test_recipients_are_told_as_the_library_tells_them():
    assert all(is_recipient(new_identity()[1]) for _ in range(50))


@given(st.integers(4, 61), st.sampled_from(LETTERS))
def test_any_wrong_letter_is_found(position, letter):
    other = ONE[:position] + letter + ONE[position + 1 :]
    assert is_recipient(other) == (other == ONE)


@given(st.text(max_size=70) | st.text(LETTERS, min_size=58, max_size=58).map("age1{}".format))
def test_no_other_text_is_a_recipient(text):
    assert not is_recipient(text) or text in {ONE, TWO}
