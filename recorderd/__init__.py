"""recorderd: a call recorder for one small office, on a box beside the telephone line."""

__version__ = "0.1.0"
