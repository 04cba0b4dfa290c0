"""Engines' stores held against the kernel: whose a layer is, what is mounted of it, what belongs to nobody."""
