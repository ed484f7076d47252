"""How much of a proof is done: a sample by default, all of it where FAULTS=full says so."""

from __future__ import annotations

import os
import subprocess
import sys

IS_FULL = os.environ.get("FAULTS") == "full"
SEED = os.environ.get("FAULTS_SEED", "1")


def sized(sample, full):
    return full if IS_FULL else sample


def proof(module, *arguments):
    """Run a proof as its command does, and give its exit code and what it said."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", f"tests.faults.{module}", "--seed", SEED, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
