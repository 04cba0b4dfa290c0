"""The mount itself: three ways to tell the kernel about a stack, tried in a fixed order.

Each rung is one small class that first says whether it can express a stack, and then mounts it. The classic
mount(2) comes first because every kernel and every reader of the mount table knows it; it is left only where it
would cut the options. The rung taken and the reason are part of the answer.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ovlctl import errors
from ovlctl.errors import literal, strerror
from ovlctl.kernel import fscontext, kmsg, namespaces, probes
from ovlctl.kernel.fscontext import MOVE_MOUNT
from ovlctl.kernel.libc import AT_FDCWD
from ovlctl.kernel.mount import MS, mount
from ovlctl.kernel.mount_attr import MOUNT_ATTR
from ovlctl.ops.api import Api
from ovlctl.ops.lacking import lacking, lacking_for_users
from ovlctl.overlay import encode
from ovlctl.overlay.options import stated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovlctl.overlay.options import Options
    from ovlctl.overlay.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How a mount was made.

    Attributes:
        api: The rung.
        reason: Why this one, in words.
        told: The options stated to the kernel.
        kernel: What the kernel said while mounting, line by line.
    """

    api: Api
    reason: str
    told: Options
    kernel: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One mount to make: a resolved stack, the options to state, where, and the source to show for it."""

    stack: Stack
    told: Options
    target: str
    source: str


class Rung(Protocol):
    """One way to mount."""

    api: Api

    def obstacle(self, request: Request) -> errors.OvlError | None:
        """Why this rung cannot express *request*, or None when it can."""

    def mount(self, request: Request) -> tuple[str, ...]:
        """Mount, and return what the kernel said. OSError carries the kernel's words as notes."""


class MountRung:
    """mount(2) with one option string."""

    api = Api.MOUNT

    def obstacle(self, request: Request) -> errors.OvlError | None:
        """Too long."""
        length = len(encode.mount_data(request.stack, request.told))
        if length <= encode.MOUNT_DATA_MAX:
            return None
        return errors.OptionsTooLong(
            f"the option string has {length} bytes, and mount(2) cuts it at {encode.MOUNT_DATA_MAX} without a word",
            hint="leave out `--api mount`: fsconfig(2) has no such limit",
        )

    def mount(self, request: Request) -> tuple[str, ...]:
        """One call; the kernel's words go to its log only."""
        _mount_string(request, encode.mount_data(request.stack, request.told))
        return ()


class FsconfigRung:
    """fsopen(2), one fsconfig(2) call per layer and option, fsmount(2), move_mount(2)."""

    api = Api.FSCONFIG

    def obstacle(self, request: Request) -> errors.OvlError | None:
        """An old kernel."""
        # UNKNOWN is an old kernel, whose overlay takes any key and complains later.
        if probes.lowerdir_plus_known() is not probes.Answer.YES:
            return errors.KernelLacks(
                "this kernel's overlay does not take single layers through fsconfig(2) (`lowerdir+`, Linux 6.7)",
                hint="leave out `--api fsconfig`",
            )
        too_long = [setting.path for setting in encode.path_settings(request.stack) if not setting.fits]
        if too_long and probes.fd_layers_known() is not probes.Answer.YES:
            return errors.KernelLacks(
                "{} is longer than the 255 bytes that fsconfig(2) takes, and this kernel takes no layers by "
                "file descriptor (Linux 6.15)",
                too_long[0],
                hint="use a shorter path, for example a bind mount of the directory",
            )
        return None

    def mount(self, request: Request) -> tuple[str, ...]:
        """The mount is complete before it becomes visible."""
        with configured(request) as context:
            with _with_words(context):
                fscontext.fsconfig_create(context)
                attributes = MOUNT_ATTR.RDONLY if request.stack.read_only else MOUNT_ATTR(0)
                detached = fscontext.fsmount(context, attributes)
            said = tuple(message.text for message in fscontext.messages(context))
        try:
            fscontext.move_mount(detached, "", AT_FDCWD, request.target, MOVE_MOUNT.F_EMPTY_PATH)
        finally:
            os.close(detached)
        return said


class RelativeRung:
    """mount(2) with paths relative to the layers' common directory, for kernels that have only mount(2)."""

    api = Api.RELATIVE

    def obstacle(self, request: Request) -> errors.OvlError | None:
        """Too long even so."""
        length = len(self._data(request))
        if length <= encode.MOUNT_DATA_MAX:
            return None
        return errors.OptionsTooLong(
            f"even with paths relative to {{}} the option string has {length} bytes, "
            f"and mount(2) cuts it at {encode.MOUNT_DATA_MAX}",
            self._base(request),
            hint="use fewer lowers or shorter names, or Linux 6.7 or newer",
        )

    def mount(self, request: Request) -> tuple[str, ...]:
        """One call, from a thread that stands in the layers' common directory."""
        failure: list[OSError] = []
        said: list[str] = []

        def work() -> None:
            # A thread with a working directory of its own: the caller's must not move, not even for an instant. The
            # log of the caller gives the caller's lines only.
            with kmsg.KernelLog() as log:
                try:
                    namespaces.unshare(namespaces.CLONE.FS)
                    os.chdir(self._base(request))
                    _mount_string(request, self._data(request))
                except OSError as error:
                    failure.append(error)
                said.extend(log.lines())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for error in failure:
            for line in said:
                error.add_note(line)
            raise error
        return tuple(said)

    def _base(self, request: Request) -> str:
        return os.path.commonpath([os.path.dirname(path) for path in (*request.stack.lowers, *request.stack.data_only)])

    def _data(self, request: Request) -> bytes:
        base = self._base(request)

        def spell(path: str) -> str:
            relative = os.path.relpath(path, base)
            return relative if len(relative) < len(path) else path

        return encode.mount_data(request.stack, request.told, spell=spell)


RUNGS: tuple[Rung, ...] = (MountRung(), FsconfigRung(), RelativeRung())


def choose(request: Request, api: Api = Api.AUTO) -> tuple[Rung, str]:
    """The rung to take and why.

    Raises:
        OptionsTooLong, KernelLacks: when no rung, or not the one asked for, can express *request*.
    """
    if api is not Api.AUTO:
        rung = next(rung for rung in RUNGS if rung.api is api)
        if (obstacle := rung.obstacle(request)) is not None:
            raise obstacle
        return rung, "asked for"
    obstacles: list[str] = []
    last: errors.OvlError | None = None
    for rung in RUNGS:
        last = rung.obstacle(request)
        if last is None:
            return rung, "; ".join(obstacles) or "the options fit into mount(2)'s one page"
        obstacles.append(last.message())
    assert last is not None, "RUNGS is not empty"  # noqa: S101 - for the type checker
    raise last


def mount_stack(stack: Stack, target: str, *, api: Api = Api.AUTO, source: str = "ovlctl") -> Taken:
    """Mount *stack* at *target*, and nothing else: no checks before, no reading back after, no record.

    Args:
        stack: Absolute paths without symbolic links.
        target: An existing directory.
        api: The rung to take.
        source: What the mount table shows as the mount's source.

    Raises:
        OptionsTooLong, KernelLacks: when the stack cannot be expressed.
        KernelLacks, OptionUnknown, MissingCapability, OverlayMissing, KernelRefused: when the kernel says no; its words
            are passed on.
    """
    told = stated(stack.options, trusted_xattrs=namespaces.in_initial_user_namespace())
    request = Request(stack=stack, told=told, target=target, source=source)
    rung, reason = choose(request, api)
    return mount_by(rung, reason, request)


def mount_by(rung: Rung, reason: str, request: Request) -> Taken:
    """Mount *request* by a rung chosen before; errors as for :func:`mount_stack`."""
    with kmsg.KernelLog() as log:
        try:
            said = rung.mount(request)
        except OSError as error:
            raise _refused(request, error, log.lines()) from error
        return Taken(api=rung.api, reason=reason, told=request.told, kernel=_unique(*said, *log.lines()))


@contextmanager
def configured(request: Request) -> Iterator[int]:
    """A file system context with all of *request* set and nothing created: free of effects on any layer.

    Raises:
        OSError: from fsopen or from the setting the kernel does not take, its words as notes.
    """
    context = fscontext.fsopen("overlay")
    try:
        with _with_words(context):
            fscontext.fsconfig_set_string(context, "source", request.source)
            for setting in encode.path_settings(request.stack):
                _set_path(context, setting)
            for option in encode.option_settings(request.told):
                if option.value is None:
                    fscontext.fsconfig_set_flag(context, option.key)
                else:
                    fscontext.fsconfig_set_string(context, option.key, option.value)
        yield context
    finally:
        os.close(context)


def _set_path(context: int, setting: encode.PathSetting) -> None:
    if setting.fits:
        fscontext.fsconfig_set_string(context, setting.key, setting.text)
        return
    layer = os.open(setting.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fscontext.fsconfig_set_fd(context, setting.key, layer)
    finally:
        os.close(layer)


def _mount_string(request: Request, data: bytes) -> None:
    flags = MS.RDONLY if request.stack.read_only else MS(0)
    mount(request.source, request.target, "overlay", flags, data)


@contextmanager
def _with_words(context: int) -> Iterator[None]:
    """Add what the kernel wrote into *context* to an OSError that passes."""
    try:
        yield
    except OSError as error:
        for message in fscontext.messages(context):
            error.add_note(message.text)
        raise


def _refused(request: Request, error: OSError, log: tuple[str, ...]) -> errors.OvlError:
    """What a failed mount means, as far as the errno and the kernel's words tell."""
    if error.errno == errno.EPERM:
        return lacking_for_users(log) or errors.MissingCapability(
            "mounting an overlay at {} needs CAP_SYS_ADMIN",
            request.target,
            errno=error.errno,
            hint="run it as root",
            kernel=log,
        )
    if error.errno == errno.ENODEV:
        return errors.OverlayMissing(
            "this kernel has no overlay file system", errno=error.errno, hint="`modprobe overlay` as root"
        )
    if error.errno == errno.EBUSY:
        # With index=on the kernel refuses what it otherwise only warns of.
        return errors.UpperInUse(
            "a layer of the stack to be mounted at {} belongs to a live overlay that no check could see",
            request.target,
            errno=error.errno,
            kernel=log,
            hint="it is mounted in another namespace, or was unmounted lazily and lives until its last user ends",
        )
    words = _unique(*getattr(error, "__notes__", ()), *log) or _second_opinion(request)
    lacks = lacking(request.stack, request.told, words) if error.errno == errno.EINVAL else None
    if lacks is not None:
        return lacks
    said = f": {literal(words[0])}" if words else ""
    return errors.KernelRefused(
        f"the kernel refused to mount at {{}}: {strerror(error)}{said}",
        request.target,
        errno=error.errno,
        kernel=words,
        hint=None if words else "the reason may stand in the kernel log: `dmesg | grep overlay` as root",
    )


def _second_opinion(request: Request) -> tuple[str, ...]:
    """The kernel's words on the same settings through fsconfig, which tells where mount(2) only has an errno."""
    try:
        with configured(request) as context:
            return tuple(message.text for message in fscontext.messages(context))
    except OSError as error:
        return tuple(getattr(error, "__notes__", ()))


def _unique(*lines: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lines))
