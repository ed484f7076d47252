"""Every key of the configuration file, once: name, kind, range, default, need and meaning.

The loader, the JSON Schema and the check of the example file are all made from `FILE`. The names
are those of the dataclasses in values.py. Where a range comes from the world outside, its reason
stands beside it; the others keep a slip of the keyboard from becoming a setting.
"""

from __future__ import annotations

from recorderd.config.kinds import ANY_TEXT, MAYBE_TEXT, Choice, Number, Switch, Table, Text, Texts
from recorderd.config.sensor_keys import HOOK, RING

_FILE_NAME_PART = "ASCII letters, digits and hyphens, first a letter or digit"
"""Both names become parts of file names, which travel to SD cards, Windows and S3."""

_CHANNELS = 32  # far more than a sound card beside a telephone line has
_RATE_LOW_HZ = 8000  # the telephone band ends at 3400 Hz (ITU-T G.711 samples it at 8000 Hz)
_RATE_HIGH_HZ = 192_000  # of the fastest sound cards

_SITE = Table(
    name="site",
    meaning="The place where the recorder stands.",
    presence="required",
    keys=(
        Text(
            name="name",
            meaning="Name of the place, written into every call record.",
            needed="always",
            pattern=r"[A-Za-z0-9][A-Za-z0-9-]*",
            longest=64,
            form=_FILE_NAME_PART,
        ),
        Text(
            name="country",
            meaning="Country of the telephone network: sets hook and ring times.",
            needed="always",
            pattern=r"[A-Za-z]{2}",
            form='an ISO 3166 country code of two letters, as in "JP"',
        ),
        Text(
            name="time_zone",
            meaning="Time zone in which times are shown and files are named.",
            needed="always",
            form='a name of the IANA time zone database, as in "Asia/Tokyo"',
        ),
    ),
)

_STORAGE = Table(
    name="storage",
    meaning="Where recordings are kept, how, and for how long.",
    presence="defaulted",
    keys=(
        Text(
            name="directory",
            meaning="Folder of all recordings; a relative one starts at this file's folder.",
            default="/var/lib/recorderd",
            form="a folder",
        ),
        Choice(
            name="format",
            meaning="File format of recordings: flac is lossless and about half the size of wav.",
            default="flac",
            choices=("flac", "wav"),
        ),
        # Sealing a longer one would keep the writer busy for longer than the watchdog waits.
        Number(
            name="segment_s",
            meaning="Length of one file of a recording.",
            default=60,
            low=5,
            high=900,
            unit="seconds",
        ),
        Number(
            name="retention_days",
            meaning='Calls of the class "standard" are kept this long, then erased.',
            default=180,
            low=1,
            high=36_500,
            unit="days",
        ),
        Number(
            name="free_min_mb",
            meaning="Space to leave free on the disk.",
            default=500,
            low=50,
            high=1_000_000,
            unit="megabytes",
        ),
    ),
)

_CLASS_NAME = r"[A-Za-z0-9][A-Za-z0-9-]*"
_CLASS_LONGEST = 32

_RETENTION = Table(
    name="retention",
    meaning="A class of calls that are kept for another time; repeat the table for each.",
    presence="any-number",
    keys=(
        Text(
            name="name",
            meaning="Name of the class, written into every record of it; no two share one.",
            needed="always",
            pattern=_CLASS_NAME,
            longest=_CLASS_LONGEST,
            form=_FILE_NAME_PART,
        ),
        Number(
            name="days",
            meaning="Calls of this class are kept this long, then erased.",
            needed="always",
            low=1,
            high=36_500,
            unit="days",
        ),
    ),
)

_SEAL = Table(
    name="seal",
    meaning="Sealing of every call to its supervisors; without this table calls are not encrypted.",
    presence="optional",
    keys=(
        Texts(
            name="recipients",
            meaning="Public keys of those who can open the calls; `recorderd keys new` makes one.",
            needed="always",
            # An age recipient (X25519): Bech32 of "age" and 32 bytes.
            pattern=r"age1[02-9ac-hj-np-z]{58}",
            most=16,
            form='age recipients, as in "age1…", of 62 small letters and digits each',
        ),
        Switch(
            name="allow_single_recipient",
            meaning="Allow one recipient alone: when that key is lost, all calls are.",
            default=False,
        ),
    ),
)

_AUDIO = Table(
    name="audio",
    meaning="The sound card that hears the line.",
    presence="required",
    keys=(
        Choice(
            name="driver",
            meaning="pyaudio is a sound card; sim is the simulator.",
            needed="always",
            choices=("pyaudio", "sim"),
        ),
        Text(
            name="device",
            meaning="Name of the sound card, or a part of it that no other card has.",
            needed="with-hardware",
            form="the name of a sound card as `recorderd devices` lists it",
        ),
        Number(
            name="capture_rate_hz",
            meaning="Sampling rate at which the card is read.",
            default=48_000,
            low=_RATE_LOW_HZ,
            high=_RATE_HIGH_HZ,
            unit="hertz",
        ),
        Number(
            name="record_rate_hz",
            meaning="Sampling rate of recordings, at most the capture rate.",
            default=8000,
            low=_RATE_LOW_HZ,
            high=_RATE_HIGH_HZ,
            unit="hertz",
        ),
        Number(
            name="near_channel",
            meaning="The card's channel with our party; the first is 1.",
            default=1,
            low=1,
            high=_CHANNELS,
            unit="channel",
        ),
        Number(
            name="far_channel",
            meaning="The card's channel with the other party; the first is 1.",
            default=2,
            low=1,
            high=_CHANNELS,
            unit="channel",
        ),
        Number(
            name="pre_roll_ms",
            meaning="Sound from before the call that each recording begins with.",
            default=2000,
            low=0,
            high=20_000,
            unit="milliseconds",
        ),
        Number(
            name="close_after_busy_s",
            meaning="A recording ends after so much busy tone with the handset still up (0: never).",
            default=60,
            low=0,
            high=3600,
            unit="seconds",
        ),
    ),
)


_MODEM = Table(
    name="modem",
    meaning="The modem that reports who calls.",
    presence="optional",
    keys=(
        Choice(
            name="driver",
            meaning="serial is a modem on a serial port; sim is the simulator.",
            default="serial",
            choices=("serial", "sim"),
        ),
        Text(
            name="port",
            meaning="Serial port; the names in /dev/serial/by-id stay the same after a re-plug.",
            needed="with-hardware",
            pattern=f"/{ANY_TEXT}",
            form="a device file, as in /dev/serial/by-id/…",
        ),
        Choice(
            name="baud",
            meaning="Speed of the serial port.",
            default=115_200,
            choices=(300, 1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400),
            unit="bits a second",
        ),
    ),
)

_CLIP_FORM = 'a WAV or FLAC file, a clip that ships, or "" for none'

_ANNOUNCEMENT = Table(
    name="announcement",
    meaning="What is played into the line when a call begins.",
    presence="optional",
    keys=(
        Text(
            name="inbound",
            meaning="Clip for calls that come in; a relative path starts at this file's folder.",
            default="",
            pattern=MAYBE_TEXT,
            form=_CLIP_FORM,
        ),
        Text(
            name="outbound",
            meaning="Clip for calls that go out.",
            default="",
            pattern=MAYBE_TEXT,
            form=_CLIP_FORM,
        ),
        Number(
            name="delay_ms",
            meaning="Time from lifting the handset to the clip.",
            default=500,
            low=0,
            high=10_000,
            unit="milliseconds",
        ),
        Text(
            name="output_device",
            meaning="Name of the sound card that plays. Left out: the card that hears the line.",
            form="the name of a sound card as `recorderd devices` lists it",
        ),
        Number(
            name="output_channel",
            meaning="The card's channel that plays; the first is 1. Left out: all of them.",
            low=1,
            high=_CHANNELS,
            unit="channel",
        ),
        Choice(
            name="if_not_played",
            meaning="What to do with a call whose announcement could not be played.",
            default="record",
            choices=("record", "do-not-record"),
        ),
    ),
)

_LINE = Table(
    name="line",
    meaning="One telephone line; repeat the table for each.",
    presence="repeated",
    keys=(
        Text(
            name="name",
            meaning="Name of the line; no two lines share one.",
            needed="always",
            pattern=r"[A-Za-z0-9][A-Za-z0-9-]*",
            longest=32,
            form=_FILE_NAME_PART,
        ),
        Text(
            name="retention",
            meaning="Class of this line's calls: how long they are kept.",
            default="standard",
            pattern=_CLASS_NAME,
            longest=_CLASS_LONGEST,
            form='"standard", or the name of a table headed [[retention]]',
        ),
    ),
    tables=(_AUDIO, HOOK, RING, _MODEM, _ANNOUNCEMENT),
)

_ARCHIVE = Table(
    name="archive",
    meaning="Where `recorderd upload` copies recordings to.",
    presence="optional",
    keys=(
        Text(
            name="url",
            meaning="Place of the archive. It holds no password: credentials come from a file.",
            needed="always",
            pattern=(
                r"s3://[A-Za-z0-9][A-Za-z0-9._-]*(?:/[^\s]*)?"
                r"|sftp://(?:[^\s/@:]+@)?[^\s/@]+(?:/[^\s]*)?"
                r"|file:///[^\s]*"
            ),
            form="s3://bucket/prefix, sftp://user@host/folder or file:///folder",
        ),
        Text(
            name="endpoint",
            meaning="Address of an S3 service that is not Amazon's.",
            default="",
            pattern=r"(?:https?://[^\s/@]+(?:/[^\s]*)?)?",
            form='https://host, http://host, or "" for Amazon\'s',
        ),
        Text(
            name="region",
            meaning="Region of the S3 service, which its signatures name.",
            default="us-east-1",
            pattern=r"[A-Za-z0-9-]+",
            longest=64,
            form='the name of a region, as in "us-east-1"',
        ),
        Text(
            name="credentials",
            meaning="File with the archive's credentials; a relative path starts at this file's "
            "folder. Left out: the systemd credential named archive, else the AWS variables.",
            default="",
            pattern=MAYBE_TEXT,
            form="a file as the AWS tools have it, for sftp a private key of OpenSSH",
        ),
        Text(
            name="ca_file",
            meaning="Certificates by which the S3 service is known, in place of the system's.",
            default="",
            pattern=MAYBE_TEXT,
            form="a file of certificates in PEM",
        ),
        Text(
            name="host_key",
            meaning="Public key of the SFTP server, which no other server may show.",
            default="",
            pattern=r"(?:(?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]+={0,2}(?: .*)?)?",
            longest=2000,
            form='a line of ssh-keyscan without the host\'s name, as in "ssh-ed25519 AAAA…"',
        ),
        Number(
            name="lock_days",
            meaning="Days for which each object is locked against removal when it is put. 0: as the "
            "bucket's own default retention says.",
            default=0,
            low=0,
            high=36_500,
            unit="days",
        ),
        Choice(
            name="lock_mode",
            meaning="Who can take off a lock: governance, whoever has the right to; compliance, "
            "nobody.",
            default="governance",
            choices=("governance", "compliance"),
        ),
        Choice(
            name="order",
            meaning="Which of the waiting calls goes first.",
            default="oldest-first",
            choices=("oldest-first", "newest-first"),
        ),
        Number(
            name="limit_kb_s",
            meaning="The most that the uploader sends. 0: as much as the line takes.",
            default=0,
            low=0,
            high=1_000_000,
            unit="kilobytes a second",
        ),
        Text(
            name="hours",
            meaning="When calls are uploaded, in the site's time zone.",
            default="",
            pattern=r"(?:(?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d)?",
            form='two times of day, as in "20:00-07:00", or "" for always',
        ),
        Text(
            name="timestamp_url",
            meaning="A service that stamps the ledger's checkpoints with the time (RFC 3161).",
            default="",
            pattern=r"(?:https?://[^\s/@]+(?:/[^\s]*)?)?",
            form='http://host/path, https://host/path, or "" for none',
        ),
    ),
)

_SIMULATION = Table(
    name="simulation",
    meaning="What the simulator plays; only for lines whose drivers are sim.",
    presence="optional",
    keys=(
        Text(
            name="script",
            meaning="A .line file, or the name of one that ships.",
            needed="always",
            form="a .line file",
        ),
    ),
)

FILE = Table(
    name="",
    meaning="Configuration of recorderd, the call recorder.",
    presence="required",
    tables=(_SITE, _STORAGE, _RETENTION, _SEAL, _LINE, _ARCHIVE, _SIMULATION),
)
