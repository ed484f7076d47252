"""The story of the rig, third part: the uploader in its sandbox, and the nightly look."""

from __future__ import annotations

import json
import time

import pytest

from tests.archive.servers import BUCKET, SITE
from tests.rig.box import CREDENTIALS, EDIT, HOST, figure
from tests.rig.machine import GuestError
from tests.rig.page import quoted

pytestmark = pytest.mark.rig

SENT_S = 180
WRITABLE = quoted("ReadWritePaths=")
HEARTBEAT = f"health/site={SITE}/heartbeat.json"


def wait_until_sent(box, kind, calls):
    """So many calls or more (one whose record is amended goes again), by the uploader's own word."""
    began = time.monotonic()
    while True:
        told = json.loads(box.run("cat /var/lib/recorderd/upload.json"))
        # What the uploader before told lies there until then.
        is_of_now = told["archive"].startswith(kind)
        if is_of_now and told["uploaded"] >= calls and not told["waiting"]:
            break
        assert time.monotonic() - began < SENT_S, told
        time.sleep(1)  # between two looks: nothing tells when it is so
    assert told["trouble"] is None
    assert told["parked"] == 0
    figure(f"{calls} calls uploaded to {kind}", time.monotonic() - began)


def test_the_network_is_not_the_recorders(box, seaweed):
    box.run("systemctl start systemd-networkd")
    port = seaweed.endpoint.rpartition(":")[2]
    connect = f"bash -c 'exec 3<>/dev/tcp/{HOST}/{port}'"
    box.machine.until(connect)
    pid = box.show("recorderd", "MainPID")
    with pytest.raises(GuestError, match="Network is unreachable"):
        box.run(f"nsenter -t {pid} -n {connect}")


def test_calls_go_to_s3(box, seaweed):
    box.synchronise_clock()
    box.send_to(
        f'url = "s3://{BUCKET}"\nendpoint = "{seaweed.endpoint.replace("127.0.0.1", HOST)}"\n',
        "[default]\n"
        f"aws_access_key_id = {seaweed.site.access_key}\n"
        f"aws_secret_access_key = {seaweed.site.secret_key}\n",
    )
    box.call()
    calls = box.calls()
    wait_until_sent(box, "s3", len(calls))
    stored = seaweed.ask("GET", BUCKET, {"versions": "", "prefix": "calls/"}).body.decode()
    assert stored.count("/call.json</Key>") == len(calls)
    for call in calls:
        assert all(segment["file"] in stored for segment in call["segments"])


def test_the_heartbeat_tells_of_the_clock(box, seaweed):
    """The uploader may not ask the kernel: what it says it has from the recorder."""
    assert box.run("ls /run/systemd/timesync 2>/dev/null", check=False) == ""
    beat = json.loads(seaweed.ask("GET", f"{BUCKET}/{HEARTBEAT}").body)
    assert beat["clock_synchronised"] is True
    assert set(beat["lines"]) == {"front-desk", "back-office"}


@pytest.mark.usefixtures("seaweed")
def test_the_nightly_look(box):
    box.run("systemctl start recorderd-doctor", 300)
    assert box.show("recorderd-doctor", "Result") == "success"
    status = json.loads(box.run("recorderd status --json", check=False))
    verdicts = {check["check"]: check["verdict"] for check in status["doctor"]["checks"]}
    assert {"clock", "power", "disk", "recorder", "verify", "archive", "upload"} <= set(verdicts)
    # An emulated disk may be slow, and a line where nobody speaks is silent; these must be well.
    well = {verdicts[name] for name in ("clock", "verify", "archive", "upload")}
    assert well == {"ok"}, status["doctor"]["checks"]
    assert "doctor: " in box.run("recorderd status", check=False)
    assert box.run("systemctl is-enabled recorderd-doctor.timer").strip() == "enabled"
    assert "recorderd-doctor.service" in box.run("systemctl list-timers --no-pager")


def test_calls_go_to_an_sftp_server(box, sshd, tmp_path):
    """Another archive gets all that there is."""
    folder = tmp_path / "archive"
    folder.mkdir()
    url = f"sftp://root@{HOST}:{sshd.port}{folder}"
    box.send_to(
        f'url = "{url}"\nhost_key = "{sshd.host_key}"\n', sshd.private_key.read_text("utf-8")
    )
    box.call()
    calls = {call["id"]: call for call in box.calls()}
    wait_until_sent(box, "sftp", len(calls))
    sent = {
        path.parent.name: path.parent for path in folder.glob(f"calls/site={SITE}/*/*/call.json")
    }
    assert set(sent) == set(calls)
    for name, call in calls.items():
        held = {path.name for path in sent[name].iterdir()}
        assert {segment["file"] for segment in call["segments"]} <= held
    assert (folder / HEARTBEAT).is_file()


def test_calls_go_to_a_folder(box):
    """Which must be named in a drop-in, for the sandbox has all others read-only."""
    box.run(
        "install -d -o recorderd -g recorderd /srv/archive; touch /srv/archive/recorderd-archive; "
        f"rm {CREDENTIALS}"
    )
    box.edit(f"{EDIT}-upload", f"[Service]\n{WRITABLE}/srv/archive\n")
    box.send_to('url = "file:///srv/archive"\n')
    credentials = "/run/credentials/recorderd-upload.service/archive"
    assert box.run(f"cat {credentials}", check=False).startswith("cat:"), "none is no hindrance"
    box.call()
    calls = len(box.calls())
    wait_until_sent(box, "file", calls)
    assert box.run("find /srv/archive -name call.json").count("\n") == calls
