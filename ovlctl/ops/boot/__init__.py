"""Stacks at boot: units of systemd, lines of fstab, and the helper of mount(8) that both of them need."""
