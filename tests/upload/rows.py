"""Rows as they lie in an archive in memory."""

from __future__ import annotations

import gzip
import json


def rows_in(store):
    return [
        json.loads(line)
        for key, data in sorted(store.objects.items())
        if key.startswith("landing/")
        for line in gzip.decompress(data).splitlines()
    ]
