"""Whole trees as columns."""
