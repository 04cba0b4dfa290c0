"""Image layouts and the layers in them, read as the marks of an overlay. Nothing is mounted, nothing is unpacked."""
