"""Tests of ovlctl.cli."""
