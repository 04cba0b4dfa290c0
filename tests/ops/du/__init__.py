"""What stacks take on disk."""
