"""Against real engines, started by the tests."""
