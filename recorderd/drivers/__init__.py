"""The hardware edge: one third-party library a file, imported when the device is opened."""
