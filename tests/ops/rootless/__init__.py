"""Mounts without root."""
