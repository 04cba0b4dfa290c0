"""The result that the tests of the benchmark share."""

from __future__ import annotations

from tests.bench.conftest import result

__all__ = ["result"]
