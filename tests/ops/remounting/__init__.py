"""Tests of remounts."""
