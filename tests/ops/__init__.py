"""Tests of ovlctl.ops."""
