"""Tests of ovlctl.kernel."""
