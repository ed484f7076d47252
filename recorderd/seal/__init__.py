"""Calls that only a supervisor can open: keys, envelopes, the vault."""
