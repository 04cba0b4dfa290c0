"""The place for layers that are written by the hundred is the one of the overlay floor."""

from __future__ import annotations

from tests.overlay.conftest import room

__all__ = ["room"]
