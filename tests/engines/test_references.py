"""Names of images in full, as distribution/reference of Docker reads them."""

from __future__ import annotations

import pytest

from ovlctl.engines.references import parse

_DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "domain", "path", "tag", "digest"),
    [
        ("busybox", "docker.io", "library/busybox", "latest", None),
        ("busybox:1", "docker.io", "library/busybox", "1", None),
        ("docker.io/busybox", "docker.io", "library/busybox", "latest", None),
        ("index.docker.io/library/busybox", "docker.io", "library/busybox", "latest", None),
        ("team/app", "docker.io", "team/app", "latest", None),
        ("localhost/app:2", "localhost", "app", "2", None),
        ("host:5000/team/app", "host:5000", "team/app", "latest", None),
        ("host:5000/app:2", "host:5000", "app", "2", None),
        (f"app@{_DIGEST}", "docker.io", "library/app", None, _DIGEST),
        (f"quay.io/a/b:3@{_DIGEST}", "quay.io", "a/b", "3", _DIGEST),
    ],
)
def test_a_name_in_full(name: str, domain: str, path: str, tag: str | None, digest: str | None) -> None:
    """Domain, path, tag and digest."""
    found = parse(name)
    assert (found.domain, found.path, found.tag, found.digest) == (domain, path, tag, digest)


@pytest.mark.parametrize("name", ["", ":", "@", "/", "a:b:c", "///", "@@", ":5000/x", "a\nb", "..", "%"])
def test_nothing_is_refused(name: str) -> None:
    """What no image can be called is the name of none."""
    assert not parse(name).is_same(parse("busybox"))


def test_a_digest_decides() -> None:
    """Where both have one; a name without is not the same as one with."""
    both = parse(f"app:1@{_DIGEST}")
    assert both.is_same(parse(f"app:2@{_DIGEST}"))
    assert not both.is_same(parse(f"app:1@sha256:{'b' * 64}"))
    assert not both.is_same(parse("app:1"))
    assert parse("app:1").is_same(parse("docker.io/library/app:1"))


@pytest.mark.parametrize(
    ("short", "name", "ends"),
    [
        ("app", "localhost/app:latest", True),
        ("app:2", "quay.io/team/app:2", True),
        ("team/app:2", "quay.io/team/app:2", True),
        ("app", "localhost/app:2", False),
        ("pp", "localhost/app:latest", False),
        ("localhost/app", "quay.io/localhost/app", False),
    ],
)
def test_the_end_of_a_name(short: str, name: str, *, ends: bool) -> None:
    """Whole components, the same tag, and only of a name without a domain."""
    assert parse(short).ends(parse(name)) == ends
