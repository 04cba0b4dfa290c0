"""Write docs/errors.md from the classes of errors; with --check only say whether it is as it would be written."""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILE = os.path.join(ROOT, "docs", "errors.md")


def main() -> int:
    """Write or check the file; 1 when a check finds it different."""
    sys.path.insert(0, ROOT)
    from ovlctl.ops.why.pages import pages
    from ovlctl.show.why import pages_markdown

    text = pages_markdown(pages())
    if "--check" in sys.argv[1:]:
        with open(FILE, encoding="utf-8") as file:
            return int(file.read() != text)
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
