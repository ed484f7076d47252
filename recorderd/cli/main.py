"""The command line: parses the arguments, runs one command, turns errors into exit codes.

Exit 0 done, 1 failed, 2 wrong usage, 78 wrong configuration (EX_CONFIG of sysexits.h; the service
manager does not restart on it).
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from pathlib import Path

from recorderd import __version__
from recorderd.cli.fold import folded
from recorderd.errors import ConfigError, RecorderdError, UsageError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78
TIMES = "2026-11-23, 2026-11-23T18:45, today or yesterday"

SERVICES = {"run", "upload"}
AS_ROOT = "run the command as root (sudo), or as the recorder's user"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _forgive_encodings()
    parser = build_parser()
    options = parser.parse_args(arguments)
    # Each command's code is imported when it runs: `recorderd calls` opens no sound library.
    command = importlib.import_module(f"recorderd.cli.{options.module}")
    try:
        return int(getattr(command, options.function)(options))
    except ConfigError as error:
        _tell(str(error))
        return EXIT_CONFIG
    except UsageError as error:
        _tell(f"recorderd: {error}")
        return EXIT_USAGE
    except RecorderdError as error:
        _tell(f"recorderd: {error}")
        return EXIT_FAILED
    except PermissionError as error:
        if options.command in SERVICES:  # a defect, and the journal is to show where
            raise
        _tell(f"recorderd: {error.filename}: this user may not; {AS_ROOT}")
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader (head, less) has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_FAILED


def _tell(text: str) -> None:
    for line in text.splitlines():
        print(folded(line, 2, sys.stderr), file=sys.stderr)


def _forgive_encodings() -> None:
    """What a terminal's encoding has no sign for, or none of ours knows, is a question mark: a name
    in Japanese or a slip of the keyboard must not end a command in its middle."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def build_parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    parser = argparse.ArgumentParser(
        prog="recorderd", description="A call recorder for a small office."
    )
    parser.add_argument("--version", action="version", version=f"recorderd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _command(commands, "run", "the recorder, until it is told to stop", "run", "run")
    _command(
        commands, "check", "look through the configuration: all errors at once", "check", "run"
    )
    _demo(commands)
    _calls(commands)
    show = _command(commands, "show", "one call", "calls", "show")
    show.add_argument("id", metavar="ID", help="a call's id, or the first letters of it")
    show.add_argument(
        "--identity", type=Path, metavar="FILE", help="a supervisor's key, to open a sealed call"
    )
    _json(show)
    _holds(commands)
    _json(_command(commands, "status", "what the recorder is doing now", "status", "status"))
    _command(
        commands, "monitor", "the lines as they are now, in the terminal", "monitor", "monitor"
    )
    meaning = "what this box offers: cards, modems, GPIO chips"
    devices = commands.add_parser("devices", help=meaning, description=meaning)
    devices.set_defaults(module="devices", function="devices")
    _json(devices)
    _doctor(commands)
    recover = _command(commands, "recover", "seal what a crash left behind", "recover", "recover")
    recover.add_argument(
        "--rebuild", action="store_true", help="drop the catalogue and make it again from the calls"
    )
    upload = _command(commands, "upload", "bring calls to the archive", "upload", "upload")
    upload.add_argument(
        "--once", action="store_true", help="all that waits, whatever the hours, and no more"
    )
    upload.add_argument(
        "--retry", action="store_true", help="let calls that the archive refused be tried again"
    )
    _keys(commands)
    _export(commands)
    _verify(commands)
    _archive(commands)
    _hear(commands)
    return parser


def _doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    meaning = "commission this box with somebody at its telephones, or look after it at night"
    doctor = _command(commands, "doctor", meaning, "doctor", "doctor")
    doctor.add_argument(
        "--unattended",
        action="store_true",
        help="what needs nobody; the result is shown by recorderd status",
    )
    doctor.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write an acceptance sheet (HTML, for printing)"
    )
    _json(doctor)


def _hear(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    meaning = "what is heard in a sound file: caller IDs, digits, progress tones, announcements"
    hear = commands.add_parser("hear", help=meaning, description=meaning)
    hear.set_defaults(module="hear", function="hear")
    hear.add_argument("file", type=Path, metavar="FILE", help="a WAV or FLAC file of 16 bits")
    hear.add_argument(
        "--country",
        metavar="C",
        help="listen for this country's caller ID and tones, as in JP (default: all that are known)",
    )
    hear.add_argument(
        "--clip",
        action="append",
        default=[],
        metavar="FILE",
        help="listen for this announcement too, beside those that ship; may be repeated",
    )
    _json(hear)


def _archive(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    meaning = "the central side: the calls of all sites, on a server"
    archive = commands.add_parser("archive", help=meaning, description=meaning)
    kinds = archive.add_subparsers(
        dest="archive", required=True, metavar="compact|search|sites|verify"
    )
    _search(kinds)
    compact = _command(
        kinds, "compact", "take what boxes have uploaded into the catalogue", "archive", "compact"
    )
    compact.add_argument(
        "--work", type=Path, metavar="DIR", help="for temporary files (default: $TMPDIR)"
    )
    compact.add_argument(
        "--memory-mb",
        type=_count,
        metavar="N",
        help="for sorting (default: enough for a month of 10 million calls)",
    )
    _json(_command(kinds, "sites", "how all boxes are", "archive", "sites"))
    verify = _command(kinds, "verify", "what is proven of a site's copies", "archive", "verify")
    verify.add_argument("--site", required=True, metavar="S", help="the site's name")
    verify.add_argument(
        "--fingerprint", metavar="HEX", help="the device key's, as noted at installation"
    )
    verify.add_argument(
        "--deep", action="store_true", help="read all sound back, and believe the archive nothing"
    )
    _json(verify)


def _search(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    search = _command(kinds, "search", "find calls of all sites", "archive", "search")
    _filters(search)
    search.add_argument(
        "--site", action="append", default=[], metavar="S", help="a site's name; may be repeated"
    )
    search.add_argument(
        "--limit",
        type=_count,
        default=10_000,
        metavar="N",
        help="the last N calls (default: 10000)",
    )
    search.add_argument(
        "--search-keys",
        type=Path,
        metavar="FOLDER",
        help="copies of boxes' keys/search.key, named <site>.key, to find sealed calls",
    )
    _time_zone(search)
    _json(search)


def _time_zone(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-zone", metavar="Z", help="of the times, as in Asia/Tokyo (default: this machine's)"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    meaning = "the supervisors' keys, for sealing calls"
    keys = commands.add_parser("keys", help=meaning, description=meaning)
    kinds = keys.add_subparsers(dest="keys", required=True, metavar="new|test")
    meaning = "make a supervisor's key; not on the recorder"
    new = kinds.add_parser("new", help=meaning, description=meaning)
    new.set_defaults(module="keys", function="new")
    new.add_argument("--to", type=Path, required=True, metavar="FILE", help="where the key goes")
    _identity(_command(kinds, "test", "what a supervisor's key opens", "keys", "test"))
    meaning = "let the recipients in the configuration open all sealed calls, and nobody else"
    _identity(_command(commands, "rewrap", meaning, "keys", "rewrap"))


def _identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--identity", type=Path, required=True, metavar="FILE", help="a supervisor's key"
    )


def _export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    export = _command(
        commands, "export", "calls as an evidence bundle for a stranger", "export", "export"
    )
    export.add_argument("ids", nargs="+", metavar="ID", help="a call's id, or its first letters")
    export.add_argument(
        "--to", type=Path, required=True, metavar="PATH", help="a new folder, or a new file.zip"
    )
    export.add_argument(
        "--identity",
        type=Path,
        metavar="FILE",
        help="a supervisor's key: sealed calls are opened, and the bundle shows and plays them",
    )


def _verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = _command(
        commands, "verify", "what is proven of calls, a bundle or all calls", "verify", "verify"
    )
    verify.add_argument(
        "what", nargs="*", metavar="ID|PATH", help="calls, bundles, or a state directory"
    )
    verify.add_argument("--all", action="store_true", help="the whole state directory")
    verify.add_argument(
        "--archive", action="store_true", help="read back what the archive holds of them instead"
    )
    verify.add_argument(
        "--fingerprint", metavar="HEX", help="the device key's, as noted at installation"
    )
    verify.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a checkpoint that was kept elsewhere: nothing up to it may be missing",
    )
    _json(verify)


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    meaning = "a simulated office day on the real code, no hardware"
    demo = commands.add_parser("demo", help=meaning, description=meaning)
    demo.set_defaults(module="demo", function="demo")
    demo.add_argument(
        "--directory",
        type=Path,
        default=Path("recorderd-demo"),
        metavar="DIR",
        help="where the recordings go (default: ./recorderd-demo)",
    )
    demo.add_argument("--real-time", action="store_true", help="let the day take a day")


def _calls(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    calls = _command(commands, "calls", "find calls", "calls", "calls")
    _filters(calls)
    _json(calls)


def _filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--number", metavar="N", help="the other party's number, or its last digits"
    )
    parser.add_argument("--from", dest="since", metavar="T", help=f"from this time on: {TIMES}")
    parser.add_argument(
        "--to", dest="until", metavar="T", help="up to this time, or this day's end"
    )
    parser.add_argument("--line", metavar="L", help="the line's name")
    parser.add_argument(
        "--direction",
        metavar="D",
        choices=["inbound", "outbound", "unknown"],
        help="inbound, outbound or unknown",
    )


def _holds(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, meaning in (
        ("hold", "keep calls from being erased"),
        ("release", "take off a hold"),
    ):
        command = _command(commands, name, meaning, "hold", name)
        command.add_argument("id", nargs="+", metavar="ID", help="a call's id, or its beginning")
        command.add_argument(
            "--why",
            required=True,
            metavar="TEXT",
            help="the reason; it stays in the ledger for ever",
        )


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    meaning: str,
    module: str,
    function: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=meaning, description=meaning)
    parser.set_defaults(module=module, function=function)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="default: $RECORDERD_CONFIG, else /etc/recorderd/recorderd.toml",
    )
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON value on standard output")
