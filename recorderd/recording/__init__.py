"""A call on its way to the disk: from the card's ring through the journal to a filed call."""
