"""What ovlctl does, seen on a real overlay mount in a minute: ``make demo``.

Runs as root or as an ordinary user. Everything happens in a mount namespace of its own (and, without root, in a user
namespace), on scratch directories that are removed at the end: nothing of it is visible outside, nothing stays.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ovlctl.cli.main import main
from ovlctl.errors import OvlError
from ovlctl.kernel import capabilities, mounts, namespaces
from ovlctl.kernel.capabilities import Capability
from ovlctl.show.errors import error_text
from ovlctl.show.sizes import format_ns, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Every file says which layer it was written in, so that reading it through the mount tells who supplies it.
LAYERS = {
    "app": {"etc/app.conf": "app: port = 8080\n", "bin/app": "app: binary\n"},
    "lib": {"lib/lib.so": "lib: code\n", "etc/app.conf": "lib: port = 80\n"},
    "base": {"etc/os-release": "base: Linux\n", "etc/app.conf": "base: none\n", "lib/lib.so": "base: old code\n"},
}
LOG_SIZE = 64 << 20


def demo() -> int:
    """Run the demonstration; returns an exit status."""
    who = enter_namespaces()
    print(f"ovlctl demo on Linux {os.uname().release}, {who}.")
    with scratch_directory() as scratch:
        os.chdir(scratch)
        os.environ["OVLCTL_STATE_DIR"] = os.path.join(scratch, "state")
        print(f"Scratch directories on {mounts.mount_at(scratch).fs_type}, removed at the end.")
        build_layers()
        title("1. Three layers and an upper become one tree")
        layers = [word for name in LAYERS for word in ("-l", f"layers/{name}")]
        ovlctl("mount", "merged", *layers, "--upper", "upper", "--work", "work", "--name", "demo")
        title("2. Who supplies what")
        show_providers()
        title("3. The first write copies the file up")
        seen = write_first()
        title("4. What that costs, measured")
        ovlctl("bench-copyup", "--dir", scratch, "--size", "4K,1M,16M", "--samples", "10")
        title("5. The end of it")
        ovlctl("umount", "demo")
        title("Seen")
        for line in seen:
            print(f"- {line}")
    return 0


def enter_namespaces() -> str:
    """Leave the mounts of the host alone; says as whom the demonstration runs."""
    if capabilities.has(Capability.CAP_SYS_ADMIN):
        namespaces.enter_private_mounts()
        return "as root, in a mount namespace of its own"
    uid = os.geteuid()
    namespaces.enter_user_namespace()
    return f"as uid {uid} without any privilege, in user and mount namespaces of its own"


@contextmanager
def scratch_directory() -> Iterator[str]:
    """A directory that goes away, with whatever is still mounted in it."""
    scratch = tempfile.mkdtemp(prefix="ovlctl-demo-", dir=os.environ.get("TMPDIR", "/var/tmp"))  # noqa: S108 -- mkdtemp makes a private directory there
    try:
        yield scratch
    finally:
        os.chdir("/")
        for mount in reversed(mounts.mounts()):
            if mount.mount_point.startswith(scratch + "/"):
                # Only after an error: the namespace is about to end anyway.
                main(["umount", mount.mount_point])
        with suppress(FileNotFoundError):
            # overlayfs leaves it with mode 000, which stops everybody but root.
            os.chmod(os.path.join(scratch, "work", "work"), 0o700)
        shutil.rmtree(scratch)


def build_layers() -> None:
    """Write the layers, one of them with a big log."""
    for name, files in LAYERS.items():
        for path, text in files.items():
            full = os.path.join("layers", name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="ascii") as file:
                file.write(text)
    os.makedirs("layers/base/var/log")
    with open("layers/base/var/log/app.log", "wb") as file:
        file.writelines(os.urandom(1 << 20) for _ in range(LOG_SIZE >> 20))
    for name in ("upper", "work", "merged"):
        os.mkdir(name)


def ovlctl(*words: str) -> None:
    """Run one command of ovlctl as on a command line, and show that line."""
    print(f"$ ovlctl {shlex.join(words)}", flush=True)
    status = main(words)
    sys.stdout.flush()
    if status != 0:
        raise SystemExit(status)


def title(text: str) -> None:
    """Start a part of the demonstration."""
    print(f"\n== {text}", flush=True)


def show_providers() -> None:
    """Read every file through the mount: its content says which layer it came from."""
    print(f"{'file in merged':20}  {'supplied by':11}  hidden below")
    for path in sorted({path for files in LAYERS.values() for path in files}):
        with open(os.path.join("merged", path), encoding="ascii") as file:
            provider = file.read().split(":")[0]
        below = [name for name in LAYERS if name != provider and path in LAYERS[name]]
        print(f"{path:20}  {provider:11}  {', '.join(below) or '-'}")


def write_first() -> list[str]:
    """Append one byte to a big lower file, twice, and tell what happened."""
    from time import perf_counter_ns

    path, lower = "merged/var/log/app.log", "layers/base/var/log/app.log"
    before = os.stat(path)
    times = []
    for _ in range(2):
        start = perf_counter_ns()
        with open(path, "ab", buffering=0) as file:
            file.write(b"!")
        times.append(perf_counter_ns() - start)
    after = os.stat(path)
    copied = os.stat("upper/var/log/app.log")
    same = "is the lower's before and after" if before.st_ino == after.st_ino == os.stat(lower).st_ino else "changed"
    first, second = map(format_ns, times)
    lower_now = os.stat(lower)
    lines = [
        f"one byte appended to a log of {format_size(LOG_SIZE)} took {first}, and one more {second}",
        f"upper/var/log/app.log holds {copied.st_size} bytes now, the lower still {lower_now.st_size}",
        f"st_ino of the merged file {same}: {before.st_ino}, then {after.st_ino}",
        f"the copy in the upper has st_ino {copied.st_ino}, the lower {lower_now.st_ino}",
    ]
    print("\n".join(lines))
    return lines


if __name__ == "__main__":
    try:
        sys.exit(demo())
    except OvlError as error:
        print(error_text(error), file=sys.stderr)
        sys.exit(error.exit_status)
