"""Tests, in the order of the package. Real kernel, no mocks."""
