"""Ways to alter a bundle or a store, in twelve classes and some, each drawn from a seeded generator.

A thing under attack is its files by name. A class gives what becomes of them: the new content of a
file, or None where it goes. The attacker may change, add, drop and move every file, knows the format,
recomputes every hash that needs no key, and has a key of his own; he does not have the device's. Two
things are let alone because they alter nothing that is read: bytes without a line feed behind the last
line of a chain's file (a power cut leaves such), and the files that an unfinished write leaves (`.name.part`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field

from recorderd.core import chain
from recorderd.core.chain import Head
from recorderd.store.signing import DeviceKey
from recorderd.units import ClockReading, MonoNs, WallNs

ATTACKER = DeviceKey.generate()
NOT_KEYS = r"^(?!keys/).*"
"""`verify` reads one file there, and says nothing of others."""

FIELDS = (
    "started_at",
    "duration_s",
    "caller",
    "disposition",
    "gaps",
    "notice",
    "direction",
    "line",
)


@dataclass
class Thing:
    """What is attacked. `older` are files as they once were; `other` those of another such thing."""

    name: str
    files: dict[str, bytes]
    older: dict[str, bytes]
    other: dict[str, bytes] = field(default_factory=dict)

    def names(self, pattern=""):
        return sorted(name for name in self.files if re.search(pattern, name))

    @property
    def chains(self):
        return self.names(r"\.jsonl$")

    @property
    def calls(self):
        """The folders of the calls, with their slash."""
        return sorted({name.removesuffix("call.json") for name in self.names(r"(^|/)call\.json$")})


class UselessError(Exception):
    """A class has nothing to do to a thing, or drew what changes nothing."""


def mutate(rng, thing, kind):
    """Changes of one class that really change something."""
    for _ in range(200):
        try:
            changes = CLASSES[kind](rng, thing)
        except (UselessError, IndexError):
            continue
        changes = {
            name: data
            for name, data in changes.items()
            if data != thing.files.get(name) and not (data is None and name not in thing.files)
        }
        if changes:
            return changes
    raise UselessError(f"{kind} of {thing.name}")


# ---------------------------------------------------------------- bytes


def flip(rng, thing):
    name, data = some_file(rng, thing)
    at = rng.randrange(len(data))
    return {name: data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]}


def cut(rng, thing):
    name, data = some_file(rng, thing)
    first, end = sorted((rng.randrange(len(data)), rng.randrange(1, len(data) + 1)))
    return {name: data[:first] + (b"" if rng.random() < 0.5 else data[end:])}


def zero(rng, thing):
    name, data = some_file(rng, thing)
    first, end = sorted((rng.randrange(len(data)), rng.randrange(1, len(data) + 1)))
    return {name: data[:first] + bytes(end - first) + data[end:]}


def insert(rng, thing):
    if rng.random() < 0.4:
        folder = rng.choice(thing.names(NOT_KEYS)).rpartition("/")[0]
        name = f"{folder}/{rng.choice(NEW_NAMES)}".lstrip("/")
        return {name: rng.randbytes(rng.randrange(200))}
    if rng.random() < 0.4:
        name, lines = some_lines(rng, thing)
        at = rng.randrange(len(lines) + 1)
        new = rng.choice([
            b"{}\n",
            b"\n",
            json.dumps({"seq": at}).encode() + b"\n",
            rng.choice(lines),
        ])
        return {name: b"".join([*lines[:at], new, *lines[at:]])}
    name, data = some_file(rng, thing)
    at = rng.randrange(len(data))  # never at its end: see above
    return {name: data[:at] + rng.randbytes(rng.randrange(1, 50)) + data[at:]}


NEW_NAMES = (
    "notes.txt",
    "call-2.json",
    "amend-0007.json",
    "x_000.flac",
    "000000000099.jsonl",
    "..x",
)


def duplicate(rng, thing):
    draw = rng.random()
    if draw < 0.4:
        name, lines = some_lines(rng, thing)
        at = rng.randrange(len(lines))
        return {name: b"".join([*lines[: at + 1], *lines[at:]])}
    if draw < 0.7:
        name, data = some_file(rng, thing, NOT_KEYS)
        stem, dot, suffix = name.rpartition(".")
        return {f"{stem}_{rng.randrange(100, 999)}{dot}{suffix}": data}
    folder = some_folder(rng, thing)
    copy = f"{folder.rstrip('/')}-{rng.randrange(9)}/"
    return {copy + rest: data for rest, data in inside(thing.files, folder).items()}


# ---------------------------------------------------------------- whole pieces


def swap(rng, thing):
    if rng.random() < 0.5:
        one, other = rng.sample(thing.names(), 2)
        return {one: thing.files[other], other: thing.files[one]}
    name, lines = some_lines(rng, thing)
    if len(lines) < 2:
        raise UselessError
    one, other = rng.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return {name: b"".join(lines)}


def drop(rng, thing):
    """The first, one in the middle, or the last: of segments, entries, checkpoints, amendments, calls."""
    draw = rng.randrange(6)
    if draw == 0:
        return {place(rng, thing.names(r"\.(flac|wav)$")): None}
    if draw == 1:
        return {place(rng, thing.names(r"amend-\d+\.json$")): None}
    if draw == 2:
        folder = place(rng, thing.calls)
        return dict.fromkeys([name for name in thing.files if name.startswith(folder)])
    if draw == 3:
        return {place(rng, thing.names()): None}
    if draw == 4:
        name, lines = some_lines(rng, thing)
        lines.pop(place(rng, range(len(lines))))
        return {name: b"".join(lines)}
    found = [
        (name, at)
        for name in thing.chains
        for at, line in enumerate(lines_of(thing.files[name]))
        if b'"kind":"checkpoint"' in line
    ]
    name, at = place(rng, found)
    lines = lines_of(thing.files[name])
    lines.pop(at)
    return {name: b"".join(lines)}


def rename(rng, thing):
    if rng.random() < 0.5:
        name, data = some_file(rng, thing)
        stem, dot, suffix = name.rpartition(".")
        new = rng.choice([f"{stem}x{dot}{suffix}", f"{stem}{dot}bak", name.upper()])
        return {name: None, new: data}
    folder = some_folder(rng, thing)
    parts = folder.rstrip("/").split("/")
    at = rng.randrange(len(parts))
    parts[at] = (
        f"{int(parts[at]) + 1:0{len(parts[at])}d}" if parts[at].isdecimal() else parts[at] + "x"
    )
    new = "/".join(parts) + "/"
    moved = inside(thing.files, folder)
    return {folder + rest: None for rest in moved} | {
        new + rest: data for rest, data in moved.items()
    }


def exchange(rng, thing):
    """Between two calls of the thing, or with another thing of its kind."""
    if len(thing.calls) > 1 and rng.random() < 0.6:
        one, other = rng.sample(thing.calls, 2)
        here, there = inside(thing.files, one), inside(thing.files, other)
        if rng.random() < 0.3:
            moved = {one + rest: None for rest in here} | {other + rest: None for rest in there}
            moved |= {one + rest: data for rest, data in there.items()}
            return moved | {other + rest: data for rest, data in here.items()}
        rest = rng.choice(sorted(here.keys() & there.keys()) or [None])
        if rest is None:
            raise UselessError
        return {one + rest: there[rest], other + rest: here[rest]}
    name = rng.choice(thing.names())
    alike = [other for other in thing.other if other.rpartition("/")[2][-9:] == name[-9:]]
    return {name: thing.other[rng.choice(alike)]}


def replay(rng, thing):
    """What once was true: an old list with its signature, an old chain, an old checkpoint."""
    older = {name: data for name, data in thing.older.items() if thing.files.get(name) != data}
    gone = dict.fromkeys(thing.files.keys() - thing.older.keys())
    draw = rng.random()
    if draw < 0.3:
        name = rng.choice(sorted(older))
        return {name: older[name]}
    if draw < 0.6:
        group = rng.choice([r"^MANIFEST", r"ledger/", r"ledger/recorder", r"call\.json|amend"])
        changes = older | gone
        return {name: data for name, data in changes.items() if re.search(group, name)}
    if draw < 0.8:
        return old_checkpoint(rng, thing)
    if not thing.names(r"^keys/"):
        older.pop(rng.choice(sorted(older)))  # all of them together are a genuine older bundle
    return older | gone


def old_checkpoint(rng, thing):
    """An earlier checkpoint of the chain in the place of a later one."""
    name, lines = some_lines(rng, thing, r"\.jsonl$")
    places = [at for at, line in enumerate(lines) if b'"kind":"checkpoint"' in line]
    if len(places) < 2:
        raise UselessError
    old, new = sorted(rng.sample(places, 2))
    data = json.loads(lines[old])["data"]
    lines[new] = (
        json.dumps({**json.loads(lines[new]), "data": data}, separators=(",", ":")).encode() + b"\n"
    )
    return {name: b"".join(lines)}


def truncate(rng, thing):
    """Cut a chain back to an earlier checkpoint, with the calls that came after it or without."""
    folder = rng.choice(sorted({name.rpartition("/")[0] for name in thing.chains}))
    names = [name for name in thing.chains if name.rpartition("/")[0] == folder]
    lines = [line for name in names for line in lines_of(thing.files[name])]
    places = [at for at, line in enumerate(lines[:-1]) if b'"kind":"checkpoint"' in line]
    kept = rng.choice(places) + 1
    changes = rewritten(thing, names, lines[:kept])
    if rng.random() < 0.6:
        known = {json.loads(line)["data"].get("call") for line in lines[:kept]}
        for call in thing.calls:
            if call.rstrip("/").rpartition("/")[2] not in known:
                changes |= dict.fromkeys(
                    name for name in thing.files if call and name.startswith(call)
                )
    return changes


# ---------------------------------------------------------------- with thought


def edit(rng, thing):
    """A record and its hash: in the list, and in the ledger, whose hashes are all computed anew."""
    call = rng.choice(thing.calls)
    files = dict(thing.files)
    files[call + "call.json"] = edited_record(rng, files[call + "call.json"])
    if rng.random() < 0.7:
        relink(thing, files, call)
    if rng.random() < 0.7:
        relist(files)
    return changed(thing, files)


def resign(rng, thing):
    """As `edit`, and signed with a key of the attacker's, which he may put in the device's place."""
    call = rng.choice(thing.calls)
    files = dict(thing.files)
    if rng.random() < 0.8:
        files[call + "call.json"] = edited_record(rng, files[call + "call.json"])
    how = rng.choice(["named", "changed", "quiet"])
    relink(thing, files, call, how)
    if rng.random() < 0.6:
        for name in thing.names(r"device\.pem$"):
            files[name] = ATTACKER.public_pem.encode()
    relist(files)
    if "MANIFEST.sha256" in files:
        files["MANIFEST.sig"] = ATTACKER.sign(files["MANIFEST.sha256"])
    return changed(thing, files)


def metadata(rng, thing):
    """What stands beside the sound: keys, tags, notes, the description in the copy."""
    draw = rng.randrange(4)
    if draw == 0:
        return dict.fromkeys(thing.names(r"\.pem$"), ATTACKER.public_pem.encode())
    if draw == 1:
        name, lines = some_lines(rng, thing, r"\.jsonl$")
        old = re.search(rb"-----BEGIN PUBLIC KEY.*?-----END PUBLIC KEY-----\\n", b"".join(lines))
        if old is None:
            raise UselessError
        new = json.dumps(ATTACKER.public_pem)[1:-1].encode()
        return {name: b"".join(lines).replace(old[0], new)}
    if draw == 2:
        name = rng.choice(thing.names(r"\.(flac|wav)$"))
        old = re.search(rb"(?i)(front|recorderd|test-office)", thing.files[name])
        if old is None:
            raise UselessError
        return {name: thing.files[name].replace(old[0], b"x" * len(old[0]), 1)}
    name = rng.choice(thing.names(r"(amend-\d+|call|hold)\.json$|html$|README"))
    return {
        name: thing.files[name].replace(b"2026-11-23", b"2026-11-22").replace(b"chief", b"thief")
    }


def edited_record(rng, data):
    record = json.loads(data)
    key = rng.choice(FIELDS)
    record[key] = rng.choice([None, "x", 7, [], "2020-01-01T00:00:00.000+09:00"])
    if record["segments"] and rng.random() < 0.3:
        record["segments"].pop(rng.randrange(len(record["segments"])))
    return (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode()


def relink(thing, files, call, how=None):
    """Every chain with a call's new hash in it, bound together again line by line, and the checkpoints
    with what they say of the other chains. `how`: signed with the attacker's key as well."""
    call_id = json.loads(thing.files[call + "call.json"])["id"]
    sha256 = hashlib.sha256(files[call + "call.json"]).hexdigest()
    chains = {}
    for folder in sorted({name.rpartition("/")[0] for name in thing.chains}):
        names = [name for name in thing.chains if name.rpartition("/")[0] == folder]
        if folder.endswith("/ledger") and folder != f"{call}ledger":
            continue  # another call's in the same bundle
        entries = [json.loads(line) for name in names for line in lines_of(thing.files[name])]
        for entry in entries:
            if entry["kind"] == "call-closed" and entry["data"]["call"] == call_id:
                entry["data"]["record_sha256"] = sha256
        chains[folder] = (names, entries)
    heads, before = {}, None
    while heads != before:  # what one chain says of another reaches back, so this comes to an end
        before = dict(heads)
        for folder, (names, entries) in chains.items():
            lines = forged(folder.rpartition("/")[2], entries, how, heads)
            files |= rewritten(thing, names, lines)
            if f"{folder}/checkpoint.txt" in files:
                signed = json.loads(lines[-1])["data"]
                files[f"{folder}/checkpoint.txt"] = signed["note"].encode()
                files[f"{folder}/checkpoint.sig"] = base64.b64decode(signed["signature"])


def forged(name, entries, how, heads):
    """The lines of `entries`, each bound to the one before it again; `heads` learns where each came to."""
    head = Head(entries[0]["seq"], entries[0]["prev"])
    lines = []

    def add(entry, data):
        nonlocal head
        reading = ClockReading(
            entry["boot_id"], MonoNs(entry["mono_ns"]), WallNs(0), entry["synchronised"], ""
        )
        line = json.loads(chain.make_line(head, reading, entry["kind"], data))
        line["at"] = entry["at"]
        lines.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        head = chain.after(head, lines[-1])

    named = {"public_key": ATTACKER.public_pem, "fingerprint": ATTACKER.fingerprint}
    for entry in entries:
        data = entry["data"]
        if how == "named" and entry["kind"] == chain.BEGAN:
            data = {**data, **named}
        if entry["kind"] == chain.CHECKPOINT:
            data = {**data, **checkpoint(data, head, heads, signs=how is not None)}
        add(entry, data)
        if how == "changed" and entry is entries[0]:  # a change of the key that never was
            add({**entry, "kind": chain.KEY_CHANGED}, named)
        heads[name, entry["seq"] + 1] = head
    return lines


def checkpoint(data, head, heads, *, signs):
    old = chain.parse_note(data["note"])
    others = {name: heads.get((name, other.entries), other) for name, other in old.others.items()}
    note = chain.note_text(old.origin, head, old.at, others)
    if not signs:
        return {"note": note}
    signature = base64.b64encode(ATTACKER.sign(note.encode())).decode()
    return {"note": note, "signature": signature, "key": ATTACKER.fingerprint}


def relist(files):
    """The list of hashes of a bundle made again."""
    if "MANIFEST.sha256" in files:
        names = sorted(files.keys() - {"MANIFEST.sha256", "MANIFEST.sig"}, key=str.encode)
        lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in names]
        files["MANIFEST.sha256"] = "".join(lines).encode()


CLASSES = {
    "flip": flip,
    "cut": cut,
    "zero": zero,
    "insert": insert,
    "duplicate": duplicate,
    "swap": swap,
    "drop": drop,
    "rename": rename,
    "exchange": exchange,
    "replay": replay,
    "truncate": truncate,
    "edit": edit,
    "resign": resign,
    "metadata": metadata,
}


# ---------------------------------------------------------------- drawing


def some_file(rng, thing, pattern=""):
    name = rng.choice([name for name in thing.names(pattern) if thing.files[name]])
    return name, thing.files[name]


def some_lines(rng, thing, pattern=r"\.jsonl$|MANIFEST\.sha256$"):
    names = thing.names(pattern)
    if not names:
        raise UselessError
    name = rng.choice(names)
    return name, lines_of(thing.files[name])


def some_folder(rng, thing):
    folders = sorted({name.rpartition("/")[0] + "/" for name in thing.names(NOT_KEYS + "/")})
    return rng.choice(folders)


def place(rng, found):
    """The first, the last, or one between."""
    return [found[0], found[-1], rng.choice(found)][rng.randrange(3)]


def lines_of(data):
    return data.splitlines(keepends=True)


def inside(files, folder):
    return {name[len(folder) :]: data for name, data in files.items() if name.startswith(folder)}


def changed(thing, files):
    names = thing.files.keys() | files.keys()
    return {name: files.get(name) for name in names if files.get(name) != thing.files.get(name)}


def rewritten(thing, names, lines):
    """Lines of a chain laid into its files again, as many in each as before."""
    changes, rest = {}, list(lines)
    for name in names:
        count = len(rest) if name == names[-1] else len(lines_of(thing.files[name]))
        changes[name], rest = b"".join(rest[:count]) or None, rest[count:]
    return changes
