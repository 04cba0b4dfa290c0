"""Images that are read: OVL-E160 to E162."""

from __future__ import annotations

from ovlctl.errors.base import NotFoundError, UnsupportedError


class ImageMissing(NotFoundError):
    """There is no image by this name, or more than one.

    `oci:DIR` is a directory with the files `oci-layout` and `index.json`, as `skopeo copy`, `docker save`,
    `buildah push` and `umoci` write them. Where it has several images a tag chooses one: `oci:DIR:TAG`; where none has
    a tag its digest does: `oci:DIR:sha256:HEX`. Of an image for several platforms the one for this machine is taken;
    when there is none for it and there are several others, the digest of one has to be named.

        skopeo copy docker://alpine:3 oci:DIR:TAG
        jq .manifests DIR/index.json
    """

    code = "OVL-E160"


class ImageDamaged(UnsupportedError):
    """An image is not what it says it is, or no runtime would unpack it.

    Every document and every layer is compared with its digest before a word of it is believed. A layer must be a whole
    archive, and be one that can be unpacked: no entry below a file, no name that no file system takes, no whiteout of
    nothing. Nothing of a damaged image is told.

    To fix it, fetch the image again: skopeo copy docker://NAME oci:DIR:TAG
    """

    code = "OVL-E161"


class ImageUnreadable(UnsupportedError):
    """An image is sound as far as can be told, and cannot be read here.

    Layers are archives: plain, compressed with gzip, or with zstd, for which Python 3.14 or the program `zstd` is
    needed. Encrypted layers and artifacts that are no file system cannot be read. Limits on the length of documents and
    the number of files keep a hostile image from filling the memory.

        apt-get install zstd
        skopeo copy --dest-compress-format gzip oci:DIR:TAG oci:OTHER:TAG
    """

    code = "OVL-E162"
