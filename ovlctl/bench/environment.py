"""What machine this is, as far as it bears on the times. Everything is read; what cannot be read is None."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ovlctl.bench.conditions import Environment, Storage
from ovlctl.bench.noise import governor
from ovlctl.bench.terms import Privilege, Settings
from ovlctl.version import __version__

if TYPE_CHECKING:
    from ovlctl.kernel.mounts import Mount

_PARAMETERS = Path("/sys/module/overlay/parameters")


def environment(
    *, pinned_cpu: int, privilege: Privilege, xattr_prefix: str, accounting: str, storage: tuple[Storage, ...]
) -> Environment:
    """The machine as it is now."""
    uname = os.uname()
    return Environment(
        kernel=uname.release,
        machine=uname.machine,
        cmdline=_text("/proc/cmdline"),
        cpu_model=_cpu_model(),
        cpus=os.cpu_count() or 1,
        pinned_cpu=pinned_cpu,
        governor=governor(pinned_cpu),
        hypervisor=_hypervisor(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        ovlctl=__version__,
        privilege=privilege,
        xattr_prefix=xattr_prefix,
        module_parameters=_module_parameters(),
        accounting_source=accounting,
        storage=storage,
    )


def storage(mount: Mount, directory: str, *, shown: str, image: bool) -> Storage:
    """What *directory*, which lies on *mount*, is stored on.

    Args:
        mount: From the mount table.
        directory: Where the layers are.
        shown: The path to tell: *directory* itself is gone after the run.
        image: Whether it is a loop image (or tmpfs) made for the run.
    """
    found = os.statvfs(directory)
    major, minor = mount.dev
    queue = _queue(Path(f"/sys/dev/block/{major}:{minor}"))
    rotational = _text(queue / "rotational") if queue else None
    scheduler = _text(queue / "scheduler") if queue else None
    if scheduler and "[" in scheduler:
        scheduler = scheduler[scheduler.index("[") + 1 : scheduler.index("]")]
    return Storage(
        fs=mount.fs_type,
        path=shown,
        mount_options=mount.options,
        device=mount.source,
        rotational=None if rotational is None else rotational == "1",
        scheduler=scheduler,
        free_bytes=found.f_bavail * found.f_frsize,
        image=image,
    )


def _queue(block: Path) -> Path | None:
    # A partition has no queue of its own; its disk is the directory above. btrfs and tmpfs have no block device here.
    real = block.resolve()
    return next((path / "queue" for path in (real, real.parent) if (path / "queue").is_dir()), None)


def _text(path: str | Path) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _cpu_model() -> str | None:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model", "cpu model"}:
            return value.strip()
    return None


def _hypervisor() -> str | None:
    if "hypervisor" not in (_text("/proc/cpuinfo") or ""):
        return None
    return _text("/sys/class/dmi/id/product_name") or _text("/sys/hypervisor/type") or "unknown"


def _module_parameters() -> Settings:
    try:
        names = sorted(os.listdir(_PARAMETERS))
    except OSError:
        return Settings()
    return Settings(tuple((name, _text(_PARAMETERS / name) or "") for name in names))
