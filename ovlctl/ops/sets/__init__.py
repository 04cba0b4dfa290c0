"""Sets of stacks: what a stack file declares, and bringing the machine to it."""
