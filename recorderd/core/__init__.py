"""Pure state machines: events in, facts and commands out; no clock, thread, file or library."""
