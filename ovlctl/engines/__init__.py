"""Docker, Podman, buildah, containerd and CRI: their stores read from disk, their daemons asked."""
