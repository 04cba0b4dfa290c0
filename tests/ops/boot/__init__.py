"""Tests of what happens at boot; tests/boot has a real one."""
