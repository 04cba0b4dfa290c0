"""Scripts of vagrant/, as far as no machine is needed."""
