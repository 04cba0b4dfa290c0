"""Tests of ovlctl.bench."""
