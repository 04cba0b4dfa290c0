"""Actions on a scratch upper over the lowers of a stack: first foretold, then done by the kernel and measured."""
