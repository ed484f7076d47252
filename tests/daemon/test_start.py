"""A recorder that cannot start says why, as a person can read it."""

from __future__ import annotations

import subprocess
import sys

from recorderd.config.files import EXAMPLE


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
