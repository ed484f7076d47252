"""Retention in the whole recorder, in virtual time, and by the commands that people give."""

from __future__ import annotations

import json
import os
import re

import pytest

from recorderd.cli import demo
from recorderd.cli.hold import WHY_CHARACTERS
from recorderd.cli.main import main
from recorderd.errors import StoreError
from recorderd.store.agefile import NAME as AGE
from recorderd.store.agefile import load_age
from tests.daemon.test_virtual_day import filed, run_to, small_office
from tests.store.shelf import is_erased, is_whole, where_found

DAY_S = 86_400
NUMBER = "0312345678"
SCRIPT = f"""
at 10s front-desk: call in {NUMBER}
"""
"""A call each on both lines, in the first minutes."""


def office_with(folder, script, retention="[[retention]]\nname = 'threats'\ndays = 2\n"):
    text = demo.CONFIG.replace('name = "back-office"', 'name = "back-office"\nretention = "threats"')
    text = re.sub(r"\[storage\]\n", "[storage]\nretention_days = 1\n", text) + retention
    return small_office(folder, script, text)
