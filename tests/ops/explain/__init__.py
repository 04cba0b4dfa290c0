"""Tests of ovlctl.ops.explain."""
