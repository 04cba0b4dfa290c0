"""Who holds a mount or a layer."""
