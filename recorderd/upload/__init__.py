"""The uploader: brings what the recorder has sealed to the archive, and keeps the receipts."""
