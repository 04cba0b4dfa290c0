"""The doctor's answers."""
