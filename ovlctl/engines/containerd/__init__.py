"""containerd: its two databases, its snapshots, its tasks, its daemon."""
