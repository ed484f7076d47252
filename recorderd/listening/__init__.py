"""The line's sound, listened to while it is recorded: from a card's ring to events for the core."""
