"""Stacks after a real boot."""
