"""What a reload does with each key: at once, when the line is idle, after a restart, or elsewhere."""

from __future__ import annotations

import pytest

from recorderd.config import load
from recorderd.config.keys import FILE
from recorderd.config.needs import card_needs, changed_lines, check_can_be_taken, retention_rules
from recorderd.errors import ConfigError

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
RECIPIENTS = f'["{RECIPIENT}"]'

BASE = """\
[site]
name = "x"
country = "JP"
time_zone = "Asia/Tokyo"
[storage]
directory = "a"
format = "flac"
segment_s = 60
retention_days = 180
free_min_mb = 500
[[retention]]
name = "long"
days = 900
[[line]]
name = "one"
retention = "standard"
[line.audio]
driver = "pyaudio"
device = "A"
capture_rate_hz = 48000
record_rate_hz = 8000
near_channel = 1
far_channel = 2
pre_roll_ms = 2000
close_after_busy_s = 60
[line.hook]
driver = "gpiod"
pin = 5
active = "low"
pull = "up"
chip = "/dev/gpiochip0"
hang_up_ms = 700
[line.ring]
pin = 6
active = "low"
pull = "up"
[line.modem]
driver = "serial"
port = "/dev/a"
baud = 9600
[line.announcement]
inbound = "notice-ja.wav"
outbound = ""
delay_ms = 500
output_device = "B"
output_channel = 1
if_not_played = "record"
[[line]]
name = "two"
[line.audio]
driver = "pyaudio"
device = "C"
[line.hook]
driver = "gpiod"
pin = 7
[archive]
url = "s3://bucket"
endpoint = ""
region = "us-east-1"
credentials = ""
ca_file = ""
lock_days = 0
lock_mode = "governance"
order = "oldest-first"
limit_kb_s = 0
hours = ""
timestamp_url = ""
"""

RESTART, CALLS, UPLOADER = "restart", "from the next call on", "the uploader's restart"
ONE, ALL = ["one"], ["one", "two"]
"""A list: these lines are built anew when they are idle."""

EFFECTS = {
    ("site", "name"): ('"y"', CALLS),
    ("site", "country"): ('"US"', ALL),
    ("site", "time_zone"): ('"UTC"', RESTART),
    ("storage", "directory"): ('"b"', RESTART),
    ("storage", "format"): ('"wav"', CALLS),
    ("storage", "segment_s"): ("30", CALLS),
    ("storage", "retention_days"): ("90", "rules"),
    ("storage", "free_min_mb"): ("900", "rules"),
    ("retention", "name"): ('"longer"', "rules"),
    ("retention", "days"): ("901", "rules"),
    ("line", "name"): ('"other"', ["one", "other"]),
    ("line", "retention"): ('"long"', CALLS),
    ("line", "audio", "driver"): (None, "another world"),
    ("line", "audio", "device"): ('"D"', ONE),
    ("line", "audio", "capture_rate_hz"): ("44100", ONE),
    ("line", "audio", "record_rate_hz"): ("16000", ONE),
    ("line", "audio", "near_channel"): ("3", ONE),
    ("line", "audio", "far_channel"): ("3", ONE),
    ("line", "audio", "pre_roll_ms"): ("3000", ONE),
    ("line", "audio", "close_after_busy_s"): ("0", ONE),
    ("line", "hook", "driver"): (None, "both lines at once"),
    ("line", "hook", "pin"): ("9", ONE),
    ("line", "hook", "active"): ('"high"', ONE),
    ("line", "hook", "pull"): ('"down"', ONE),
    ("line", "hook", "chip"): ('"/dev/gpiochip1"', ONE),
    ("line", "hook", "hang_up_ms"): ("800", ONE),
    ("line", "hook", "hangover_s"): (None, "voice only"),
    ("line", "hook", "level_dbm0"): (None, "voice only"),
    ("line", "ring", "pin"): ("9", ONE),
    ("line", "ring", "active"): ('"high"', ONE),
    ("line", "ring", "pull"): ('"down"', ONE),
    ("line", "modem", "driver"): (None, "another world"),
    ("line", "modem", "port"): ('"/dev/b"', ONE),
    ("line", "modem", "baud"): ("19200", ONE),
    ("line", "announcement", "inbound"): ('"notice-en.wav"', CALLS),
    ("line", "announcement", "outbound"): ('"notice-en.wav"', CALLS),
    ("line", "announcement", "delay_ms"): ("900", CALLS),
    ("line", "announcement", "output_device"): ('"D"', ONE),
    ("line", "announcement", "output_channel"): ("2", ONE),
    ("line", "announcement", "if_not_played"): ('"do-not-record"', CALLS),
    ("seal", "recipients"): (None, "calls are sealed from the next one on"),
    ("seal", "allow_single_recipient"): (None, "goes with the recipients"),
    ("simulation", "script"): (None, "restart; in test_virtual_day.py"),
    **{
        ("archive", key): (value, UPLOADER)
        for key, value in {
            "endpoint": '"https://x"',
            "region": '"eu"',
            "credentials": '"c"',
            "ca_file": '"d"',
            "lock_days": "3",
            "lock_mode": '"compliance"',
            "order": '"newest-first"',
            "limit_kb_s": "9",
            "hours": '"20:00-07:00"',
            "timestamp_url": '"http://x"',
        }.items()
    },
    ("archive", "host_key"): (None, "sftp only"),
    ("archive", "url"): ('"s3://other"', "rules"),  # what another archive has is not this one's
}


def keys(table, path=()):
    for key in table.keys:
        yield (*path, key.name)
    for inner in table.tables:
        yield from keys(inner, (*path, inner.name))


def test_of_every_key_it_is_known_what_a_reload_does():
    assert set(EFFECTS) == set(keys(FILE))


def loaded(folder, text):
    path = folder / "recorderd.toml"
    path.write_text(text, "utf-8")
    return load(path)


def changed(path, value):
    """BASE with the first key of this path given another value."""
    table = ".".join(path[:-1])
    heading = f"[[{table}]]" if f"[[{table}]]" in BASE else f"[{table}]"
    before, _, after = BASE.partition(f"{heading}\n")
    lines = after.split("\n")
    place = next(n for n, line in enumerate(lines) if line.startswith(f"{path[-1]} = "))
    lines[place] = f"{path[-1]} = {value}"
    return f"{before}{heading}\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("path", "value", "effect"),
    [(path, value, effect) for path, (value, effect) in EFFECTS.items() if value is not None],
    ids=lambda each: ".".join(each) if isinstance(each, tuple) else None,
)
def test_a_key_that_changes(tmp_path, path, value, effect):
    old, new = loaded(tmp_path, BASE), loaded(tmp_path, changed(path, value))
    assert old != new
    if effect == RESTART:
        with pytest.raises(ConfigError, match="it needs a restart to change"):
            check_can_be_taken(old, new)
        return
    check_can_be_taken(old, new)
    assert changed_lines(old, new) == (effect if isinstance(effect, list) else [])
    assert (retention_rules(old) != retention_rules(new)) == (effect == "rules")


def test_a_line_whose_card_must_be_opened_otherwise_is_built_anew_with_its_neighbour(tmp_path):
    """Of two lines on one card one gets a longer pre-roll: the ring of both changes."""
    shared = BASE.replace('device = "C"', 'device = "A"\nnear_channel = 3\nfar_channel = 4')
    old = loaded(tmp_path, shared)
    assert card_needs(old)["A"] == (48_000, 4, 32)
    new = loaded(tmp_path, shared.replace("pre_roll_ms = 2000", "pre_roll_ms = 9000"))
    assert card_needs(new)["A"] == (48_000, 4, 39)
    assert changed_lines(old, new) == ALL
    less = loaded(tmp_path, shared.replace("far_channel = 4", "far_channel = 5"))
    assert changed_lines(old, less) == ALL


def test_the_highest_channel_counts_whichever_line_comes_first(tmp_path):
    text = BASE.replace("near_channel = 1\nfar_channel = 2", "near_channel = 7\nfar_channel = 8")
    text = text.replace('device = "C"', 'device = "A"\nnear_channel = 1\nfar_channel = 2')
    assert card_needs(loaded(tmp_path, text))["A"] == (48_000, 8, 32)
