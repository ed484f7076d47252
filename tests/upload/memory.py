"""An archive in memory that fails as it is told to: what the uploader makes of every failure is tested
here, and the real archives in tests/archive."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager

from recorderd.archive.target import Held, Listed, proven_blocks
from recorderd.errors import ExistsError, RefusedError, TryAgainError


class Store:
    """What the archive holds, and what it was asked for. One for all connections."""

    def __init__(self):
        self.name = "memory://archive"
        self.objects: dict[str, bytes] = {}
        self.writes: list[str] = []  # the keys that were written, in order
        self.asked: list[tuple[str, str]] = []  # (operation, key) of everything
        self.plan = lambda _operation, _key: None  # may raise before the work is done …
        self.plan_after = lambda _operation, _key: None  # … or after it
        self.lock = threading.Lock()

    def target(self, _archive=None):
        return MemoryTarget(self)

    @contextmanager
    def asked_for(self, operation, key):
        with self.lock:
            self.asked.append((operation, key))
            self.plan(operation, key)
            yield
            self.plan_after(operation, key)

    def keys(self, part=""):
        return sorted(key for key in self.objects if part in key)


class MemoryTarget:
    def __init__(self, store):
        self.name = store.name
        self.store = store

    def put(self, key, content):
        data = b"".join(proven_blocks(content))
        with self.store.asked_for("put", key):
            if key in self.store.objects:
                raise ExistsError(f"{key} is there")
            self.store.objects[key] = data
            self.store.writes.append(key)

    def replace(self, key, data):
        with self.store.asked_for("replace", key):
            self.store.objects[key] = data

    def look(self, key):
        with self.store.asked_for("look", key):
            data = self.store.objects.get(key)
            if data is None:
                return None
            return Held(len(data), hashlib.sha256(data).hexdigest(), f"v-{len(data)}", None)

    def read(self, key):
        with self.store.asked_for("read", key):
            if key not in self.store.objects:
                raise RefusedError(f"{self.name}: {key}: not there")
            yield self.store.objects[key]

    def list(self, prefix):
        with self.store.asked_for("list", prefix):
            for key in sorted(self.store.objects):
                if key.startswith(prefix):
                    yield Listed(key, len(self.store.objects[key]))

    def remove(self, key):
        with self.store.asked_for("remove", key):
            self.store.objects.pop(key, None)

    def close(self):
        pass


def down(_operation, _key):
    raise TryAgainError("memory://archive: no route to host")


def closed(_operation, _key):
    raise RefusedError("memory://archive: AccessDenied; look at the policy")
