"""Stacks opened for reading: what a STACK argument means to explain, tree, cat, cp, diff and du.

Nothing is mounted for it and nothing is written. A stack need not be mounted, and where it is, its layers are read
where they lie, not through the merged view; :mod:`ovlctl.ops.reading.witness` asks the kernel whether both agree.
"""

from __future__ import annotations

import errno
import os
import resource
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ovlctl import errors
from ovlctl.engines.keepers import keeper_of
from ovlctl.errors import strerror
from ovlctl.kernel.namespaces import in_initial_user_namespace
from ovlctl.ops import discover, relative
from ovlctl.ops.defaults import following
from ovlctl.ops.reading import witness
from ovlctl.overlay.layers import Following, Layers, open_layers
from ovlctl.overlay.options import Options, Switch, stated
from ovlctl.overlay.resolver import Resolver
from ovlctl.overlay.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.kernel.mounts import Mount
    from ovlctl.oci.layout import Image
    from ovlctl.ops.discover import Overlay
    from ovlctl.ops.state import State

# Descriptors that a stack may need besides one for each layer.
_SPARE_DESCRIPTORS = 256
_PID = "pid:"
_OCI = "oci:"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A stack that can be read.

    Attributes:
        label: How to call it: its name, its target or its topmost layer.
        stack: Its directories, absolute; of an image the names of its layers, which are no directories.
        options: In force on a mounted one; else as ovlctl would state them to the kernel.
        following: What *options* make of lookups.
        overlay: The mounted, stale or kept overlay that it is; None for directories that were given.
        root: Where the merged view can be reached; None when it is not mounted.
        inside: The path from the overlay's root that the argument itself led to; ``""`` is the root.
        image: The image that it is.
    """

    label: str
    stack: Stack
    options: Options
    following: Following
    overlay: Overlay | None = None
    root: str | None = None
    inside: str = ""
    image: Image | None = None

    @property
    def mount(self) -> Mount | None:
        """The mount; None when it is not mounted."""
        return None if self.overlay is None else self.overlay.mount

    @property
    def indexed(self) -> bool:
        """Whether the index of the upper counts."""
        return self.options.index is Switch.ON


@dataclass(frozen=True, kw_only=True)
class View:
    """A subject with its layers open.

    Attributes:
        subject: What was opened.
        layers: Its layers.
        resolver: For the whole stack.
    """

    subject: Subject
    layers: Layers
    resolver: Resolver

    @cached_property
    def below(self) -> Resolver | None:
        """A resolver for the lowers alone; None where there is nothing above them."""
        if self.layers.upper is None:
            return None
        return Resolver(Layers(lowers=self.layers.lowers, data=self.layers.data), self.subject.following)

    def from_lower(self, index: int) -> Resolver | None:
        """A resolver for the lowers from *index* on, 0 = topmost; None when there are none.

        The stack is what it would be without all that is above.
        """
        lowers = self.layers.lowers[index:]
        return Resolver(Layers(lowers=lowers, data=self.layers.data), self.subject.following) if lowers else None


def subject(state: State, word: str) -> Subject:
    """What *word* names, mounted or not.

    Args:
        state: Whose names count.
        word: As for :func:`ovlctl.ops.discover.find`; also a stack that a file declares and nobody mounted, and
            ``pid:N`` for the root of a process, ``oci:DIR[:TAG]`` for an image in a layout, and ``docker:NAME``,
            ``podman:NAME``, ``containerd:[NAMESPACE/]KEY`` for a container or an image of an engine.

    Raises:
        OvlError: as :func:`ovlctl.ops.discover.find`; LayerElsewhere, its layers cannot be told from the mount table;
            of an image in a layout as :func:`ovlctl.oci.layout.find`, of an engine as
            :func:`ovlctl.ops.engines.naming.named`.
    """
    if word.startswith(_PID):
        return _of_process(word.removeprefix(_PID))
    if word.startswith(_OCI):
        return _of_image(word.removeprefix(_OCI))
    if keeper_of(word) is not None:
        return _of_engine(word)
    try:
        overlay = discover.find(state, word)
    except errors.StackNotFound:
        if (declared := discover.in_file(word)) is not None:
            return _declared(state, *declared)
        around = _around(state, word)
        if around is None:
            raise
        overlay = around
    return of_overlay(overlay, inside=_inside(overlay, word))


def of_directories(stack: Stack) -> Subject:
    """The stack that would be mounted from these directories; relative ones count from the working directory.

    Raises:
        BadUsage: There is no lower, a name is empty, or not all options go together.
        PathMissing: A name is relative, and the working directory was removed.
    """
    if not stack.lowers:
        raise errors.BadUsage("a stack needs a lower", hint="give `--lower DIR`, topmost first, or name a STACK")
    if "" in {*stack.layers(), stack.work}:
        # As an unset variable of a shell gives; abspath() would take it for the working directory.
        raise errors.BadUsage("the name of a directory is empty", hint="`.` is the working directory")
    try:
        whole = Stack(
            map(os.path.abspath, stack.lowers),
            data_only=map(os.path.abspath, stack.data_only),
            upper=None if stack.upper is None else os.path.abspath(stack.upper),
            work=None if stack.work is None else os.path.abspath(stack.work),
            options=stack.options,
        )
    except FileNotFoundError as error:
        raise errors.PathMissing("the working directory is gone", errno=error.errno, hint="`cd` to another") from error
    options = stated(stack.options, trusted_xattrs=in_initial_user_namespace())
    return Subject(
        label=whole.layers()[0],
        stack=whole,
        options=options,
        following=following(options, trusted=True),
    )


def of_overlay(overlay: Overlay, *, inside: str = "", root: str | None = None, label: str | None = None) -> Subject:
    """An overlay that was found, mounted or only remembered.

    Args:
        overlay: From :mod:`ovlctl.ops.discover`.
        inside: The path in it that is meant.
        root: Where its merged view can be reached, when that is not its target.
        label: How to call it, when that is not by its name.

    Raises:
        LayerElsewhere: The mount table shows layers by paths that lead nowhere here.
    """
    options = overlay.effective or stated(overlay.stack.options, trusted_xattrs=in_initial_user_namespace())
    mounted = overlay.mount is not None
    return Subject(
        label=label or overlay.name or overlay.target or overlay.stack.layers()[0],
        stack=_absolute(overlay) if mounted else overlay.stack,
        options=options,
        following=following(options, trusted=not (mounted and overlay.rootless)),
        overlay=overlay,
        root=root or (overlay.target if mounted else None),
        inside=inside,
    )


@contextmanager
def opened(subject: Subject, *, index: bool = True) -> Iterator[View]:
    """Open every layer of *subject* for as long as the block runs.

    Args:
        subject: From here.
        index: Whether the index of the upper is to be read where it counts.

    Raises:
        LayerElsewhere: A layer of a mount is not where the mount table has it, or is another directory by now.
        PathMissing, NotADirectory, AccessDenied: A directory that was given cannot be opened.
        ImageDamaged, ImageUnreadable: A layer of an image cannot be read.
    """
    if subject.image is not None:
        from ovlctl.oci.opening import open_image

        layers = open_image(subject.image)
        yield View(subject=subject, layers=layers, resolver=Resolver(layers, subject.following))
        return
    stack = subject.stack
    _allow_descriptors(len(stack.layers()) + _SPARE_DESCRIPTORS)
    with ExitStack() as closing:
        try:
            layers = closing.enter_context(open_layers(stack, index=index and subject.indexed))
        except OSError as error:
            raise _unopened(subject, error) from error
        if subject.root is not None and not witness.is_root(subject.root, layers):
            raise errors.LayerElsewhere(
                "{} is another directory than the one that is mounted at {}",
                stack.layers()[0],
                subject.root,
                hint="it was renamed, replaced or covered since; `ovlctl show {1}` lists the layers",
            )
        yield View(subject=subject, layers=layers, resolver=Resolver(layers, subject.following))


def renewed(view: View) -> View:
    """The same layers, still open, with nothing kept of what was looked up: they may have changed since."""
    return View(subject=view.subject, layers=view.layers, resolver=Resolver(view.layers, view.subject.following))


def _unopened(subject: Subject, error: OSError) -> errors.OvlError:
    path = os.fsdecode(error.filename) if error.filename else subject.stack.layers()[0]
    if error.errno in {errno.EACCES, errno.EPERM}:
        return errors.AccessDenied(
            f"the layer {{}} cannot be opened: {strerror(error)}", path, errno=error.errno, hint="ask as root"
        )
    if subject.mount is not None:
        return errors.LayerElsewhere(
            f"the layer {{}} of the stack mounted at {{}} cannot be opened: {strerror(error)}",
            path,
            subject.root or "",
            errno=error.errno,
            hint="`ovlctl show {1}` lists the layers as the mount table has them",
        )
    if error.errno == errno.ENOTDIR:
        return errors.NotADirectory("the layer {} is not a directory", path, errno=error.errno)
    if error.errno == errno.ENOENT:
        return errors.PathMissing("the layer {} does not exist", path, errno=error.errno)
    return errors.AccessDenied(f"the layer {{}} cannot be opened: {strerror(error)}", path, errno=error.errno)


def _absolute(overlay: Overlay) -> Stack:
    stack, mount = overlay.stack, overlay.mount
    shown = (*stack.layers(), *((stack.work,) if stack.work is not None else ()))
    if all(map(os.path.isabs, shown)):
        return stack
    anchors = [path for path in shown if os.path.isabs(path)]
    found = relative.absolute(shown, [*anchors, *((mount.mount_point,) if mount is not None else ())])
    lost = next((path for path in shown if path not in found), None)
    if lost is not None:
        raise errors.LayerElsewhere(
            "the mount table has the layer {} of {} relative to a directory that nothing records",
            lost,
            overlay.target or "",
            hint="name the layers: `--lower DIR ... --upper DIR`",
        )
    return Stack(
        (found[path] for path in stack.lowers),
        data_only=(found[path] for path in stack.data_only),
        upper=None if stack.upper is None else found[stack.upper],
        work=None if stack.work is None else found[stack.work],
        options=stack.options,
    )


def _declared(state: State, path: str, name: str | None) -> Subject:
    # A stack of a file, not mounted: as it would be.
    from ovlctl.ops import sets
    from ovlctl.ops.sets.resolve import wish

    file = sets.load(path)
    whole = wish(file, name or file.stacks[0].name, state).whole
    if whole.upper is not None and not os.path.isdir(whole.upper):
        # ovlctl makes it with the first mount.
        whole = Stack(whole.lowers, data_only=whole.data_only, options=whole.options)
    return of_directories(whole)


def _of_process(word: str) -> Subject:
    from ovlctl.kernel import mounts

    if not (word.isascii() and word.isdecimal()):
        raise errors.BadUsage("`pid:` needs the number of a process", hint="such as `pid:1`")
    pid = int(word)
    try:
        table = mounts.from_mountinfo(None, pid)
    except PermissionError as error:
        raise errors.AccessDenied(
            f"process {pid} may not be looked at: {strerror(error)}", hint="ask as root"
        ) from error
    except OSError as error:
        raise errors.StackNotFound(f"there is no process {pid}", hint="`ps -e` lists them") from error
    root = next((mount for mount in reversed(table) if mount.mount_point == "/"), None)
    if root is None or root.fs_type != "overlay":
        raise errors.NotAnOverlay(f"the root directory of process {pid} is on no overlay")
    return of_overlay(discover.of_mount(root, None), root=f"/proc/{pid}/root")


def _of_image(word: str) -> Subject:
    from ovlctl.oci import layout

    image = layout.find(word)
    options = stated(Options(), trusted_xattrs=True)
    return Subject(
        label=image.label,
        stack=Stack(image.names()),
        options=options,
        following=Following(),
        image=image,
    )


def _of_engine(word: str) -> Subject:
    from ovlctl.ops.engines.naming import named

    found = named(word)
    return of_overlay(found.overlay, root=found.root, label=found.label)


def _inside(overlay: Overlay, word: str) -> str:
    # The last component may be a symbolic link of the merged view, which is meant itself.
    target = overlay.target
    if overlay.mount is None or target is None or word == overlay.name or os.path.realpath(word) == target:
        return ""
    above, last = os.path.split(word.rstrip("/"))
    path = os.path.join(os.path.realpath(above or "."), last)
    prefix = target.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else ""


def _around(state: State, word: str) -> Overlay | None:
    # The overlay in whose merged view *word* would be, if it were there: what is gone can be asked about, too.
    path = os.path.realpath(word) if "/" in word else "/"
    while path != "/" and not os.path.lexists(path):
        path = os.path.dirname(path)
    return discover.find(state, path) if path != "/" and discover.on_overlay(path) else None


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
