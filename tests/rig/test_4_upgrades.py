"""The story of the rig, fourth part: upgrades, one in mid-call, one that does not start."""

from __future__ import annotations

import pytest

from recorderd import __version__
from tests.rig.box import RATE_HZ, timed
from tests.rig.machine import GuestError

pytestmark = pytest.mark.rig

ARM = "/var/lib/recorderd/broken-on-purpose"


def of_version(version, change=lambda _release: None):
    """A release that is the one of this checkout but for its number."""

    def renumber(release):
        replace(
            release / "recorderd/__init__.py",
            f'__version__ = "{__version__}"\n',
            f'__version__ = "{version}"\n',
        )
        change(release)

    return renumber


def breakable(release):
    """It does not start while there is a certain file: the version that is taken back without building
    it anew, which takes the guest minutes."""
    begin = "        prepare_directory(self._config.storage)\n"
    planted = (
        "        import os\n\n"
        f'        if os.path.exists("{ARM}"):\n'
        '            raise StoreError("broken on purpose")\n'
    )
    replace(release / "recorderd/daemon.py", begin, planted + begin)


def replace(path, before, after):
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), "utf-8")


def versions(box):
    return sorted(box.run("ls -d /opt/recorderd-*").split())


def test_an_upgrade_in_mid_call(box):
    box.put_release("second", of_version("0.2.0"))
    box.wait_until_ready()
    (first,) = versions(box)
    config = box.run("cat /etc/recorderd/recorderd.toml")
    before = box.calls()
    box.lift()
    box.wait_for("talking")
    box.talk(5)
    assert "recorderd 0.2.0 is recording" in timed("upgrade in mid-call", box.install, "second")
    box.wait_for("talking")
    box.talk(8)
    box.hang_up()
    box.wait_for("idle")
    assert box.run("readlink /opt/recorderd").startswith("/opt/recorderd-0.2.0-")
    assert box.run("recorderd --version").split() == ["recorderd", "0.2.0"]
    assert box.status()["version"] == "0.2.0"
    assert box.run("systemctl is-active recorderd-upload").strip() == "active"
    assert first in versions(box), "the one before is kept"
    assert len(versions(box)) == 2
    assert box.run("cat /etc/recorderd/recorderd.toml") == config
    after = box.calls()
    assert after[: len(before)] == before
    during = after[len(before) :]
    assert {call["line"] for call in during} == {"front-desk"}
    assert len(during) <= 2, "one from the restart on, where it is not the same"
    assert min(call["audio"]["frames"] for call in during) / RATE_HZ > 5
    box.verify_all()


def test_the_third_version_makes_the_oldest_go(box):
    first, second = versions(box)
    box.put_release("third", of_version("0.3.0", breakable))
    assert "recorderd 0.3.0 is recording" in timed("upgrade", box.install, "third")
    (third,) = set(versions(box)) - {second}
    assert third == box.run("readlink /opt/recorderd").strip()
    assert first not in versions(box)


def test_the_version_before_can_be_had_again(box):
    kept = versions(box)
    assert "is there already" in timed("back to the version before", box.install, "second")
    assert box.run("recorderd --version").split() == ["recorderd", "0.2.0"]
    assert versions(box) == kept


def test_a_version_that_does_not_start_is_taken_back(box):
    box.wait_until_ready()
    second, third = versions(box)
    unit = box.run("cat /etc/systemd/system/recorderd.service")
    calls = box.calls()
    box.run(f"touch {ARM}")
    with pytest.raises(GuestError, match="is not ready") as failure:
        timed("upgrade and back", box.install, "third")
    box.run(f"rm {ARM}")
    assert "broken on purpose" in str(failure.value)
    assert "is in place again" in str(failure.value)
    assert box.run("readlink /opt/recorderd").strip() == second
    assert box.run("cat /etc/systemd/system/recorderd.service") == unit
    assert versions(box) == [second], f"nothing is left of {third}"
    assert box.run("systemctl is-active recorderd").strip() == "active"
    assert box.calls() == calls
