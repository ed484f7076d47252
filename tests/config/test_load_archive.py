"""The central side reads the table [archive] and nothing else of a configuration."""

from __future__ import annotations

import pytest

from recorderd.config import load_archive
from recorderd.errors import ConfigError


def problems_of(path):
    with pytest.raises(ConfigError) as caught:
        load_archive(path)
    return caught.value.problems


def test_a_file_with_the_table_alone(tmp_path):
    path = tmp_path / "central.toml"
    path.write_text('[archive]\nurl = "s3://calls/offices"\ncredentials = "keys"\n')
    archive = load_archive(path)
    assert archive.url == "s3://calls/offices"
    assert archive.region == "us-east-1"
    assert archive.credentials == tmp_path / "keys"


def test_the_file_of_a_box_will_do(tmp_path, hardware):
    path = tmp_path / "recorderd.toml"
    path.write_text(hardware + '[archive]\nurl = "file:///srv"\n')
    assert load_archive(path).url == "file:///srv"


def test_everything_that_is_wrong_is_told_with_its_line(tmp_path):
    path = tmp_path / "central.toml"
    path.write_text('[archiv]\nurl = "x"\n[archive]\nurl = "ftp://x"\nregoin = "x"\n')
    found = problems_of(path)
    assert f'{path}:1: archiv: unknown key; did you mean "archive"?' in found
    assert any(text.startswith(f"{path}:4: archive.url: not of the form") for text in found)
    assert f'{path}:5: archive.regoin: unknown key; did you mean "region"?' in found


def test_without_the_table(tmp_path, hardware):
    path = tmp_path / "recorderd.toml"
    path.write_text(hardware)
    (problem,) = problems_of(path)
    assert problem.endswith(
        ": archive: missing; add a table headed [archive]: Where `recorderd upload` copies recordings to."
    )


def test_a_value_where_the_table_should_be(tmp_path):
    path = tmp_path / "central.toml"
    path.write_text("archive = 1\n")
    (problem,) = problems_of(path)
    assert "found a whole number; allowed: one table, headed [archive]" in problem


def test_an_endpoint_is_for_s3_alone(tmp_path):
    path = tmp_path / "central.toml"
    path.write_text('[archive]\nurl = "file:///x"\nendpoint = "https://y"\n')
    (problem,) = problems_of(path)
    assert problem.startswith(f"{path}:3: archive.endpoint: only for")
