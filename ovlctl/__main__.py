"""``python -m ovlctl``."""

from __future__ import annotations

import sys

from ovlctl.cli.main import entry

sys.exit(entry())
