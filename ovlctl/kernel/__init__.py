"""What Linux says: system calls, mount tables, xattrs, namespaces and probes, without any policy of overlayfs."""
