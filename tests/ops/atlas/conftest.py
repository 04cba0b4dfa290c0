"""A place in memory for layers."""

from tests.overlay.conftest import room

__all__ = ["room"]
