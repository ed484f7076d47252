"""Durable files, and what the state directory is made of."""
