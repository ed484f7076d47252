"""A sound device is chosen by its name, never by its number, and refused with a reason."""

from __future__ import annotations

import pytest

from recorderd.drivers.sound_devices import JACK, DeviceInfo, choose
from recorderd.errors import DeviceError

# As PortAudio lists a Raspberry Pi with an interface of two inputs and a mono adapter.
DEVICES = [
    DeviceInfo(0, "bcm2835 Headphones: - (hw:0,0)", "ALSA", 0, 8, 44100),
    DeviceInfo(1, "USB Audio CODEC: - (hw:1,0)", "ALSA", 2, 2, 44100),
    DeviceInfo(2, "USB PnP Sound Device: Audio (hw:2,0)", "ALSA", 1, 2, 44100),
    DeviceInfo(3, "sysdefault", "ALSA", 128, 128, 44100),
    DeviceInfo(4, "default", "ALSA", 128, 128, 44100),
    DeviceInfo(5, "system", JACK, 2, 2, 48000),
]
TWINS = [
    DeviceInfo(0, "USB Audio CODEC: - (hw:1,0)", "ALSA", 2, 2, 44100),
    DeviceInfo(1, "USB Audio CODEC: - (hw:2,0)", "ALSA", 2, 2, 44100),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("USB Audio CODEC: - (hw:1,0)", 1),
        ("USB Audio CODEC", 1),
        ("usb audio codec", 1),
        ("hw:1,0", 1),
        ("system", 5),
    ],
)
def test_a_name_or_a_unique_part_finds_the_card(wanted, index):
    assert choose(DEVICES, wanted, 2, "input").index == index


def test_a_whole_name_wins_over_names_that_contain_it():
    assert choose(DEVICES, "default", 2, "output").index == 4


def test_a_part_that_fits_two_is_unique_where_only_one_has_enough_channels():
    assert choose(DEVICES, "USB", 2, "input").index == 1


def refusal(devices, wanted, channels, use="input"):
    with pytest.raises(DeviceError) as caught:
        choose(devices, wanted, channels, use)
    return str(caught.value)


def test_no_match_says_what_there_is():
    text = refusal(DEVICES, "Behringer", 2)
    assert 'no sound device is named "Behringer"' in text
    assert '"USB Audio CODEC: - (hw:1,0)" (2 input)' in text
    assert "another program" in text
    assert "found: none" in refusal([], "Behringer", 2)


def test_two_matches_say_which_two():
    text = refusal(TWINS, "USB Audio CODEC", 2)
    assert "matches several" in text
    assert "hw:1,0" in text
    assert "hw:2,0" in text


def test_a_mono_card_is_refused_with_the_reason():
    text = refusal(DEVICES, "USB PnP", 2)
    assert "has 1 input channel, 2 are needed" in text
    assert '"USB Audio CODEC: - (hw:1,0)"' in text


@pytest.mark.parametrize("name", ["default", "sysdefault", "plughw:CARD=Device"])
def test_software_that_makes_two_channels_of_one_is_refused(name):
    made_up = [*DEVICES, DeviceInfo(6, "plughw:CARD=Device", "ALSA", 128, 128, 44100)]
    assert "copies channels" in refusal(made_up, name, 2)


def test_an_input_without_output_is_refused_for_playback():
    text = refusal([DeviceInfo(0, "Line in (hw:3,0)", "ALSA", 2, 0, 48000)], "Line in", 1, "output")
    assert "has 0 output channels, 1 are needed" in text
