"""The archive: the places that can be one, the names of what lies there, and its rows. Network lives here only."""
