"""Images and layers that are read."""
