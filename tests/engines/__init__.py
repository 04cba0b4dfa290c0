"""Stores and daemons of container engines."""
