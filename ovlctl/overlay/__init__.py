"""What an overlay is: options, stacks, how they are spelled for the kernel and read back from it."""
