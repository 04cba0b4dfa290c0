"""Things one does: mount, unmount, discover. Each plans first, then applies."""
