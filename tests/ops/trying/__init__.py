"""Tests of ovlctl.ops.trying."""
