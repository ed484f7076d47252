"""Audio in memory and in files: the ring, the journal's frames, segments, clips."""
