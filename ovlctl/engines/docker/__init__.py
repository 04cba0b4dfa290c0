"""Docker: its overlay2 store, its image store on containerd (moby), BuildKit's cache, its daemon."""
