"""Tests of what changed."""
