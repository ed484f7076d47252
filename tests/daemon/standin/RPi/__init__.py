"""A stand-in for the RPi package, put first on PYTHONPATH of a daemon under test."""
