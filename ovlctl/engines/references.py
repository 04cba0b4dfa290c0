"""Names of images, as people and engines spell them."""

from __future__ import annotations

from dataclasses import dataclass

_DOCKER = "docker.io"
_LIBRARY = "library"
_LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A name of an image, in full (distribution/reference of Docker, which all engines follow).

    Attributes:
        domain: ``docker.io`` where none is said.
        path: With ``library/`` where docker.io means it.
        tag: ``latest`` where neither tag nor digest is said; None with a digest alone.
        digest: ``sha256:HEX``.
        short: Whether no domain was said.
    """

    domain: str
    path: str
    tag: str | None
    digest: str | None
    short: bool

    def is_same(self, other: Reference) -> bool:
        """Whether both name the same image; a digest decides where both have one."""
        if (self.domain, self.path) != (other.domain, other.path):
            return False
        if self.digest is not None and other.digest is not None:
            return self.digest == other.digest
        return self.digest is None and self.tag is not None and self.tag == other.tag

    def ends(self, other: Reference) -> bool:
        """Whether this short name is the end of *other*, as Podman looks for short names among its images."""
        path = self.path.removeprefix(f"{_LIBRARY}/")
        whole = f"{other.domain}/{other.path}"
        return self.short and whole.endswith(f"/{path}") and self.tag is not None and self.tag == other.tag


def parse(name: str) -> Reference:
    """What *name* means. Nothing is refused: a name that no image can have matches none."""
    rest, _, digest = name.partition("@")
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # the colon of a port
        head, tag = rest, ""
    first, slash, path = head.partition("/")
    short = not slash or not (any(mark in first for mark in ".:") or first == "localhost")
    domain, path = (_DOCKER, head) if short else (first, path)
    domain = _DOCKER if domain == f"index.{_DOCKER}" else domain
    if domain == _DOCKER and "/" not in path:
        path = f"{_LIBRARY}/{path}"
    return Reference(
        domain=domain, path=path, tag=tag or (None if digest else _LATEST), digest=digest or None, short=short
    )
