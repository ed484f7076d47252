"""A recorder that cannot start says why, as a person can read it."""

from __future__ import annotations

import subprocess
import sys

from recorderd.config.files import EXAMPLE


def test_a_clip_that_cannot_be_played_is_a_wrong_configuration(tmp_path):
    """78: systemd does not start it again every second, and check says the same."""
    config = tmp_path / "recorderd.toml"
    text = EXAMPLE.read_text("utf-8").replace('"notice-ja.wav"', '"own.wav"')
    config.write_text(text.replace('"/var/lib/recorderd"', f'"{tmp_path}"'), "utf-8")
    (tmp_path / "own.wav").write_bytes(b"no sound at all")
    done = subprocess.run(
        [sys.executable, "-m", "recorderd", "run", "--config", config],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 78
    assert "line.announcement.inbound: announcement" in done.stderr


def test_without_its_directory_it_says_how_to_mend_that(tmp_path):
    config = tmp_path / "recorderd.toml"
    missing = tmp_path / "not-mounted"
    text = EXAMPLE.read_text("utf-8")
    config.write_text(text.replace('"/var/lib/recorderd"', f'"{missing}"'), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "recorderd", "run", "--config", config],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"recorderd: {missing}: not there; create it" in done.stderr
    assert "Traceback" not in done.stderr
