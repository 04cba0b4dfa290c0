"""Why a mount failed: from words to causes."""
