"""The configuration file: its keys, its values, its errors."""

from recorderd.config.load import find_config, load, load_archive

__all__ = ["find_config", "load", "load_archive"]
