"""Where hand-made and kernel-made layers are written here, too."""

from tests.overlay.conftest import room

__all__ = ["room"]
