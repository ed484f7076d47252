"""The disk: durable files, journals, the catalogue, recovery."""
