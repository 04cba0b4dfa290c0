"""Tests of ovlctl.show."""
