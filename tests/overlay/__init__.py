"""Tests of ovlctl.overlay."""
