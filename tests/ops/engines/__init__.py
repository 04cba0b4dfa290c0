"""Engines' stores held against the kernel and against the engines themselves."""
