"""Threads, clocks, the inbox and the service manager: what turns the pure core into a process."""
