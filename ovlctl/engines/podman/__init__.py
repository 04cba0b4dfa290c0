"""Podman, buildah and CRI-O: the containers/storage they share, libpod's database, Podman's service."""
