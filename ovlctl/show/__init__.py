"""Values to text, tables, JSON and pictures; the one place that escapes names for display."""
