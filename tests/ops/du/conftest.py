"""A place for layers that are written and thrown away by the hundred."""

from __future__ import annotations

from tests.overlay.conftest import room

__all__ = ["room"]
