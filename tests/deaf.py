"""A recorder that does not listen to its lines: for tests of the disk and of long simulated months,
which have no use for it and would wait for it."""

from __future__ import annotations


class Deaf:
    """A worker (runtime/workers.py) that does nothing."""

    failure = None
    beats = 0

    def __init__(self, make, name):
        pass

    def start(self):
        pass

    def submit(self, command):
        pass

    def tick(self):
        self.beats += 1

    def close(self, within_s):
        return True
