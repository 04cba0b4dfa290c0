"""The self-contained page: its data, its frame, and what its scripts make of both."""
