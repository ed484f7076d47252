"""What the loader accepts and makes of it, and what it says to each kind of mistake."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from recorderd.config import find_config, load
from recorderd.errors import ClipError, ConfigError


def test_a_file_with_the_least_has_all_defaults(load_text, hardware):
    config = load_text(hardware)
    assert config.storage.directory == Path("/var/lib/recorderd")
    assert (config.storage.format, config.storage.segment_s) == ("flac", 60)
    assert (config.storage.retention_days, config.storage.free_min_mb) == (180, 500)
    front, back = config.lines
    assert (front.audio.capture_rate_hz, front.audio.record_rate_hz) == (48_000, 8000)
    assert (front.audio.near_channel, front.audio.far_channel) == (1, 2)
    assert front.audio.pre_roll_ms == 2000
    assert (front.hook.pin, front.hook.active, front.hook.pull) == (17, "low", "up")
    assert (front.hook.chip, front.hook.hang_up_ms) == ("/dev/gpiochip0", None)
    assert (front.ring.pin, front.ring.active, front.ring.pull) == (27, "low", "up")
    assert (front.modem.driver, front.modem.baud) == ("serial", 115_200)
    assert (front.announcement.outbound, front.announcement.delay_ms) == ("", 500)
    assert front.announcement.output_device == "USB Audio CODEC"
    assert front.announcement.output_channel is None
    assert front.announcement.if_not_played == "record"
    assert (back.ring, back.modem, back.announcement) == (None, None, None)
    assert (config.archive, config.simulation) == (None, None)
    assert config.profile.country == "JP"


def test_the_values_say_which_file_they_are_of(load_text, folder, hardware):
    config = load_text(hardware)
    assert config.path == folder / "recorderd.toml"
    assert config.sha256 == hashlib.sha256(hardware.encode()).hexdigest()


def test_a_simulated_line_needs_no_device_pin_or_port(load_text, simulated):
    config = load_text(simulated)
    (line,) = config.lines
    assert line.audio.device == line.announcement.output_device == "one"
    assert (line.hook.pin, line.ring.pin, line.modem.port) == (None, None, "")
    assert config.simulation.script == "day.line"


def test_a_relative_folder_starts_at_the_file(load_text, folder, hardware):
    config = load_text(hardware + '[storage]\ndirectory = "calls"\n')
    assert config.storage.directory == folder / "calls"


def test_a_relative_path_gives_an_absolute_folder(monkeypatch, folder, load_text, hardware):
    load_text(hardware + '[storage]\ndirectory = "calls"\n')
    monkeypatch.chdir(folder)
    assert load(Path("recorderd.toml")).storage.directory == folder / "calls"


@pytest.mark.parametrize(
    "url",
    [
        "s3://recordings",
        "s3://recordings/offices/",
        "file:///srv",
    ],
)
def test_archive_places(load_text, hardware, url):
    config = load_text(hardware + f'[archive]\nurl = "{url}"\n')
    assert (config.archive.url, config.archive.endpoint) == (url, "")


def test_a_byte_order_mark_and_carriage_returns_do_no_harm(load_text, hardware):
    text = hardware.replace("\n", "\r\n").encode("utf-8-sig")
    assert load_text(text).site.name == "osaka-clinic"


def test_united_kingdom_by_its_everyday_code(load_text, hardware):
    assert load_text(hardware.replace('"JP"', '"UK"')).profile.country == "GB"


def test_classes_of_retention(load_text, problems_of, hardware):
    classes = '[[retention]]\nname = "threats"\ndays = 1825\n'
    text = hardware.replace('name = "back-office"', 'name = "back-office"\nretention = "{}"')
    config = load_text(text.format("threats") + classes)
    assert [(each.name, each.days) for each in config.retention] == [("threats", 1825)]
    assert [line.retention for line in config.lines] == ["standard", "threats"]
    assert load_text(text.format("standard")).retention == ()
    (problem,) = problems_of(text.format("treats") + classes)
    assert problem == (
        '24: line.retention: "treats" is no class: no table headed [[retention]] has this name; did '
        'you mean "threats"?'
    )
    (problem,) = problems_of(text.format("zzz"))
    assert problem.endswith('has this name; known: "standard"')


# One change to the good file, and the problems that it must give, with their lines.
MISTAKES = [
    ('name = "osaka-clinic"\n', "", "1: site.name: missing; allowed: ASCII letters"),
    (
        "osaka-clinic",
        "osaka clinic",
        "2: site.name: not of the form that is needed; allowed: ASCII",
    ),
    ("osaka-clinic", "x" * 65, "2: site.name: found 65 characters; allowed: at most 64"),
    ("osaka-clinic", "", "2: site.name: found empty text"),
    ('"osaka-clinic"', "7", "2: site.name: found a whole number; allowed: ASCII letters"),
    ('"JP"', '"jp"', '3: site.country: there is no profile of the country "jp"; known: '),
    ('"JP"', '"jp"', 'did you mean "JP"?'),
    ('"JP"', '"ZZ"', "3: site.country: there is no profile"),
    ('"JP"', '"Japan"', "3: site.country: not of the form that is needed; allowed: an ISO 3166"),
    ("Asia/Tokyo", "Asia/Tokio", '4: site.time_zone: "Asia/Tokio" is not a known time zone; did '),
    ("Asia/Tokyo", "asia/tokyo", 'did you mean "Asia/Tokyo"?'),
    ("Asia/Tokyo", "Asia", '4: site.time_zone: "Asia" is not'),
    ("Asia/Tokyo", "../../etc/passwd", "4: site.time_zone: "),
    ("Asia/Tokyo", "/etc/localtime", "4: site.time_zone: "),
    ("time_zone", "timezone", '4: site.timezone: unknown key; did you mean "time_zone"?'),
    ("[site]", "[sight]", '1: sight: unknown key; did you mean "site"?'),
    ("[site]", "[sight]", "1: site: missing; add a table headed [site]"),
    ("[site]", "[[site]]", "1: site: found an array; allowed: one table, headed [site]"),
    ("pin = 17", "devise = 1\npin = 17", "14: line.hook.devise: unknown key"),
    ("device =", "devise =", '11: line.audio.devise: unknown key; did you mean "device"?'),
    ("device =", "devise =", "9: line.audio.device: missing; allowed: the name of a sound card"),
    ("device =", "xyz =", "11: line.audio.xyz: unknown key; allowed here: driver, device, "),
    (
        '"pyaudio"',
        '"pyadio"',
        '10: line.audio.driver: "pyadio" is not a choice; allowed: "pyaudio" ',
    ),
    ('"pyaudio"', '"pyadio"', 'did you mean "pyaudio"?'),
    (
        '"pyaudio"',
        "true",
        '10: line.audio.driver: found a truth value; allowed: "pyaudio" or "sim"',
    ),
    (
        "pin = 17\n",
        "",
        "12: line.hook.pin: missing; allowed: 0 to 1023 (pin; with rpi-gpio 0 to 27)",
    ),
    ("pin = 17", "pin = -1", "14: line.hook.pin: -1 is too small; allowed: 0 to 1023"),
    ("pin = 17", "pin = 1024", "14: line.hook.pin: 1024 is too large"),
    (
        "pin = 17",
        "pin = 28",
        "14: line.hook.pin: 28 is not on the board's header; allowed: 0 to 27",
    ),
    (
        "pin = 17",
        "pin = true",
        "14: line.hook.pin: found a truth value; allowed: a whole number, 0",
    ),
    ("pin = 17", "pin = 17.0", "14: line.hook.pin: found a number with a decimal point"),
    ("pin = 17", 'pin = "17"', "14: line.hook.pin: found text; allowed: a whole number"),
    ("pin = 17", "pin = 1979-05-27", "14: line.hook.pin: found a date"),
    ("pin = 17", "pin = 07:32:00", "14: line.hook.pin: found a time"),
    ("pin = 17", "pin = [17]", "14: line.hook.pin: found an array"),
    ("pin = 17", "pin = {}", "14: line.hook.pin: found a table"),
    (
        "pin = 17",
        "pin = 17\nhang_up_ms = 299",
        "15: line.hook.hang_up_ms: 299 is too small; allowed: ",
    ),
    ("pin = 27\n", "", '15: line.ring.pin: missing; the hook\'s driver "rpi-gpio" reads it'),
    ("pin = 27", "pin = 17", "16: line.ring.pin: pin 17 is in use, see line 14"),
    ("pin = 5", "pin = 17", "29: line.hook.pin: pin 17 is in use, see line 14"),
    ("pin = 5", "pin = 27", "29: line.hook.pin: pin 27 is in use, see line 16"),
    (
        "/dev/ttyACM0",
        "COM1",
        "18: line.modem.port: not of the form that is needed; allowed: a device",
    ),
    (
        "[line.modem]",
        "[line.modem]\nbaud = 2401",
        "18: line.modem.baud: 2401 is not a choice; allowed",
    ),
    ("[line.modem]", '[line.modem]\ndriver = "x"', '18: line.modem.driver: "x" is not a choice'),
    ('port = "/dev/ttyACM0"', "", "17: line.modem.port: missing"),
    (
        '"back-office"',
        '"front-desk"',
        '23: line.name: "front-desk" is the name of another line, see ',
    ),
    (
        '"back-office"',
        '"Front-Desk"',
        '23: line.name: "Front-Desk" is the name of another line, see ',
    ),
    ('"back-office"', '"front_desk"', "23: line.name: not of the form"),
    ('"back-office"', '"日本"', "23: line.name: not of the form that is needed; allowed: ASCII"),
    ('"back-office"', '"-x"', "23: line.name: not of the form"),
    ('"back-office"', '"a\\nb"', "23: line.name: not of the form"),
    ("Other Card", "default", '26: line.audio.device: "default" is not a card but a converter'),
    ("Other Card", "sysdefault:CARD=x", '26: line.audio.device: "sysdefault:CARD=x" is not a card'),
    ("Other Card", "plughw:1,0", '26: line.audio.device: "plughw:1,0" is not a card'),
    ("Other Card", "Pulse", '26: line.audio.device: "Pulse" is not a card'),
    ("Other Card", "3", '26: line.audio.device: "3" is a number, and numbers change'),
    ("Other Card", "", "26: line.audio.device: found empty text"),
    ("Other Card", "a\\u001bb", "26: line.audio.device: not of the form that is needed"),
    ("Other Card", "x" * 256, "26: line.audio.device: found 256 characters; allowed: at most 255"),
    (
        "Other Card",
        "usb audio codec",
        '24: line.audio.near_channel: channel 1 of "usb audio codec" is',
    ),
    (
        "Other Card",
        "usb audio codec",
        '24: line.audio.far_channel: channel 2 of "usb audio codec" is',
    ),
    ('"Other Card"', '"x"\nfar_channel = 1', "27: line.audio.far_channel: 1 is near_channel too"),
    ('"Other Card"', '"x"\nnear_channel = 0', "27: line.audio.near_channel: 0 is too small"),
    (
        '"Other Card"',
        '"x"\nrecord_rate_hz = 48001',
        "27: line.audio.record_rate_hz: 48001 is more th",
    ),
    (
        '"Other Card"',
        '"USB Audio CODEC"\ncapture_rate_hz = 8000\nnear_channel = 3\nfar_channel = 4',
        "27: line.audio.capture_rate_hz: 8000, but 48000 for the same card, see line 9",
    ),
    (
        'driver = "rpi-gpio"\npin = 5',
        'driver = "gpiod"\npin = 5',
        '28: line.hook.driver: "gpiod", but "rpi-gpio" on line 13; the two take pins from each other',
    ),
    (
        'driver = "rpi-gpio"\npin = 5',
        'driver = "sim"',
        '28: line.hook.driver: "sim" together with a hardware driver, see line 10',
    ),
    (
        'driver = "rpi-gpio"\npin = 5',
        'driver = "sim"',
        '28: line.hook.driver: "sim" needs a table headed [simulation]',
    ),
    (
        '"clip.wav"',
        '"clap.wav"',
        '20: line.announcement.inbound: there is no file "clap.wav" that ',
    ),
    (
        '"clip.wav"',
        '"../recorderd.example.toml"',
        "20: line.announcement.inbound: there is no file",
    ),
    ('"clip.wav"', f'"{"日" * 255}"', "20: line.announcement.inbound: there is no file"),
    ('"clip.wav"', '"../../../x"', "20: line.announcement.inbound: there is no file"),
    ("[line.announcement]", "announcement = 1\n[x]", "19: line.modem.announcement: unknown key"),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_each_mistake_is_named_with_its_line(problems_of, hardware, old, new, expected):
    assert old in hardware
    problems = problems_of(hardware.replace(old, new, 1))
    assert any(expected in problem for problem in problems), problems


# What is added at the end of the good file, whose last line is 29.
ADDITIONS = [
    (
        "[storage]\nsegment_s = 4",
        "31: storage.segment_s: 4 is too small; allowed: 5 to 900 (seconds)",
    ),
    (
        "[storage]\nformat = 'mp3'",
        '31: storage.format: "mp3" is not a choice; allowed: "flac" or "wav"',
    ),
    ("[storage]\nsegmet_s = 60", '31: storage.segmet_s: unknown key; did you mean "segment_s"?'),
    ("storage = 1", "30: line.hook.storage: unknown key; allowed here: driver, pin, active, "),
    ("[archive]", "30: archive.url: missing; allowed: s3://bucket/prefix, sftp://"),
    (
        "[archive]\nurl = 'ftp://x'",
        "31: archive.url: not of the form that is needed; allowed: s3://",
    ),
    ("[archive]\nurl = 'sftp://u:secret@x'", "31: archive.url: not of the form that is needed"),
    (
        "[archive]\nurl = 'file:///x'\nendpoint = 'https://y'",
        '32: archive.endpoint: only for "s3://"; leave it out',
    ),
    ("[archive]\nurl = 's3://x'\nendpoint = 'y'", "32: archive.endpoint: not of the form"),
    (
        "[simulation]\nscript = 'day.line'",
        "30: simulation: no driver is sim; leave this table out, or make all drivers sim",
    ),
    ("[line.ring]", '30: line.ring.pin: missing; the hook\'s driver "rpi-gpio" reads it'),
    (
        "[line.modem]\nport = '/dev/ttyACM0'",
        '31: line.modem.port: "/dev/ttyACM0" is another line\'s ',
    ),
    (
        '["a\\nb"]',
        '30: "a\\nb": unknown key; allowed here: site, storage, retention, seal, line, archive, ',
    ),
    ("[line.audio.x]", "30: line.audio.x: unknown key"),
    ("[[retention]]\ndays = 3", "30: retention.name: missing; allowed: ASCII letters"),
    ('[[retention]]\nname = "a"', "30: retention.days: missing; allowed: 1 to 36500 (days)"),
    ('[retention]\nname = "a"', "30: retention: found a table; allowed: tables, each headed "),
    (
        '[[retention]]\nname = "standard"\ndays = 3',
        '31: retention.name: "standard" has its days in storage.retention_days',
    ),
    (
        '[[retention]]\nname = "unknown"\ndays = 3',
        '31: retention.name: "unknown" is for calls whose record was lost; choose another name',
    ),
    (
        '[[retention]]\nname = "a"\ndays = 3\n[[retention]]\nname = "a"\ndays = 4',
        '34: retention.name: "a" is the name of another class, see line 31',
    ),
]


@pytest.mark.parametrize(("added", "expected"), ADDITIONS)
def test_each_wrong_addition_is_named_with_its_line(problems_of, hardware, added, expected):
    (problem,) = problems_of(f"{hardware}{added}\n")
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1: line: missing; add a table headed [[line]]"),
        ("[line]\nname = 'a'\n", "1: line: found a table; allowed: tables, each headed [[line]]"),
        ("x = 1\nline = []\n", "2: line: missing; add a table headed [[line]]"),
        ("line = [1, {}]\n", "1: line: found an array; allowed: tables, each headed [[line]]"),
        ("[[line]]\n", "1: line.audio: missing; add a table headed [line.audio]"),
        ("[[line]]\n", "1: line.hook: missing; add a table headed [line.hook]"),
        (
            "[[line]]\naudio = 1\n",
            "2: line.audio: found a whole number; allowed: one table, headed ",
        ),
    ],
)
def test_wrong_tables(problems_of, text, expected):
    assert any(problem.startswith(expected) for problem in problems_of(text))


def test_sim_without_simulation_and_with_a_script_that_is_not_there(problems_of, simulated):
    without = simulated.partition("[simulation]")[0]
    assert problems_of(without) == [
        '7: line.audio.driver: "sim" needs a table headed [simulation] with a script'
    ]
    (problem,) = problems_of(simulated.replace("day.line", "night.line"))
    assert problem.startswith('13: simulation.script: there is no file "night.line" in ')


def test_gpiod_pins_of_two_chips_do_not_clash_and_may_lie_beyond_the_header(problems_of, hardware):
    text = hardware.replace("rpi-gpio", "gpiod").replace("pin = 5", "pin = 500")
    assert problems_of(text) == []
    same = text.replace("pin = 500", "pin = 17")
    assert problems_of(same) == ["29: line.hook.pin: pin 17 is in use, see line 14"]
    assert problems_of(same + 'chip = "/dev/gpiochip1"\n') == []


def test_two_lines_on_one_card_with_channels_of_their_own(problems_of, hardware):
    text = hardware.replace('"Other Card"', '"USB Audio CODEC"\nnear_channel = 3\nfar_channel = 4')
    assert problems_of(text) == []


def test_all_problems_come_at_once_in_the_order_of_the_file(problems_of, hardware):
    text = (
        hardware
        .replace("osaka-clinic", "osaka clinic")
        .replace("Asia/Tokyo", "Tokyo/Asia")
        .replace("USB Audio CODEC", "default")
        .replace("pin = 5", "pin = 17\nspin = 1")
    )
    lines = [int(problem.partition(":")[0]) for problem in problems_of(text)]
    assert lines == [2, 4, 11, 29, 30]


def test_a_password_in_the_file_is_not_repeated(problems_of, hardware):
    (problem,) = problems_of(f"{hardware}[archive]\nurl = 'sftp://u:secret@x'\n")
    assert "secret" not in problem


def test_problems_are_listed_up_to_a_limit_and_then_counted(problems_of):
    problems = problems_of("".join(f"k{number} = 1\n" for number in range(1000)))
    assert len(problems) == 101
    assert problems[-1].endswith("more problems")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = \n", "2: not valid TOML: Invalid value: text stands in straight quotes"),
        ("a = 1\nb = yes\n", "2: not valid TOML: Invalid value: text stands in straight quotes"),
        ("a = 1\nb = “x”\n", "2: not valid TOML: Invalid value: text stands in straight quotes"),
        ("a = 1\n\na = 2\n", "3: not valid TOML: this key stands in its table already"),
        ("a = 1\n[b\n", "2: not valid TOML: "),
        ('a = 1\nb = """\n\n', "2: not valid TOML: "),
        ("a = 1\nb = " + "[" * 500, "2: brackets within brackets, too many"),
        ("a = 1\nb = " + "[" * 490 + "]" * 490, "2: "),
        ("a = 1\nb" + " = {a" * 190, "2: "),
        ("[" * 60_000, "1: the line is too long; allowed: 1000 characters"),
        ("a = 1\n# " + "x" * 1000, "2: the line is too long"),
        ("a = 1\nb = " + "9" * 990, "1: a: unknown key"),
        (b"a = 1\nb = '\xff'\n", "2: the text is not UTF-8; save the file as UTF-8"),
        ("a = 1\n".encode("utf-16"), "1: the text is not UTF-8"),
        (b"a = 1\x00\n", "1: not valid TOML: "),
        (b"#" * 900 + b"\n" * 64_700, "1: the file is too large; allowed: 65536 bytes"),
        (b"\x89PNG\r\n\x1a\n", "1: the text is not UTF-8"),
    ],
)
def test_a_file_that_is_no_configuration_at_all(problems_of, text, expected):
    assert problems_of(text)[0].startswith(expected)


def test_paths_that_are_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, expected in [
        ("", "1: this is a folder; give the path of the TOML file itself"),
        ("pipe", "1: this is not a plain file"),
        ("none.toml", "1: there is no such file; "),
        ("none.toml/x", "1: there is no such file; "),
        ("x" * 300, "1: the file cannot be read: "),
        ("a\0b", "1: the file cannot be read: "),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name)
        (problem,) = caught.value.problems
        assert expected in problem
        assert "\0" not in problem


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # Not by its mode: root, as whom tests may run, reads everything.
    path = tmp_path / "recorderd.toml"
    path.touch()
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match=":1: this user may not read the file"):
        load(path)


def test_clips_are_judged_by_whoever_asks(folder, load_text, hardware):
    load_text(hardware)
    asked = []

    def judge(name, where):
        asked.append((name, where))
        raise ClipError("it is \x1bsilent")

    with pytest.raises(ConfigError) as caught:
        load(folder / "recorderd.toml", judge)
    assert asked == [("clip.wav", folder)]
    assert caught.value.problems == [
        f"{folder}/recorderd.toml:20: line.announcement.inbound: it is \\x1bsilent"
    ]


def test_clips_and_scripts_that_ship_are_found_by_their_names(load_text, problems_of, simulated):
    text = simulated.replace("clip.wav", "notice-en.wav").replace("day.line", "office-day.line")
    config = load_text(text)
    assert config.lines[0].announcement.outbound == "notice-en.wav"
    assert config.simulation.script == "office-day.line"
    (problem,) = problems_of(text.replace("notice-en.wav", "notice-eo.wav"))
    assert problem.endswith("these ship: notice-en.wav, notice-ja.wav")


def test_the_file_is_the_argument_else_the_environment_else_etc(monkeypatch):
    monkeypatch.delenv("RECORDERD_CONFIG", raising=False)
    assert find_config(None) == Path("/etc/recorderd/recorderd.toml")
    monkeypatch.setenv("RECORDERD_CONFIG", "")
    assert find_config(None) == Path("/etc/recorderd/recorderd.toml")
    monkeypatch.setenv("RECORDERD_CONFIG", "/env.toml")
    assert find_config(None) == Path("/env.toml")
    assert find_config("own.toml") == Path("own.toml")
