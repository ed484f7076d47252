"""The loudest and the lowest sample of each column of a picture, from sound that streams by."""

from __future__ import annotations

import numpy as np


class Waveform:
    """Peaks of two channels in `columns` columns of a recording of `frames` frames."""

    def __init__(self, frames: int, columns: int) -> None:
        self.columns = max(1, min(columns, frames))
        # Column c holds the frames from edges[c] up to edges[c + 1].
        self._edges = np.arange(self.columns + 1, dtype=np.int64) * frames // self.columns
        self._low = np.zeros((self.columns, 2), np.int16)
        self._high = np.zeros((self.columns, 2), np.int16)
        self._at = 0

    def add(self, block: bytes) -> None:
        """The next interleaved 16-bit frames, near then far."""
        samples = np.frombuffer(block, "<i2").reshape(-1, 2)
        end = self._at + len(samples)
        first = int(np.searchsorted(self._edges, self._at, "right")) - 1
        last = min(int(np.searchsorted(self._edges, end, "left")), self.columns)
        cuts = np.maximum(self._edges[first:last] - self._at, 0)
        low = np.minimum.reduceat(samples, cuts)
        high = np.maximum.reduceat(samples, cuts)
        np.minimum(self._low[first:last], low, out=self._low[first:last])
        np.maximum(self._high[first:last], high, out=self._high[first:last])
        self._at = end

    def peaks(self, channel: int) -> list[tuple[float, float]]:
        """Lowest and highest of each column, as parts of full scale."""
        pairs = zip(self._low[:, channel], self._high[:, channel], strict=True)
        return [(int(low) / 32768, int(high) / 32768) for low, high in pairs]
