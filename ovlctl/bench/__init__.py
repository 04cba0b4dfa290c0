"""The copy-up benchmark: measuring, accounting, statistics, comparison. No reporting."""
