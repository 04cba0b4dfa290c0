#!/usr/bin/env python3
"""Mount stacks at a real boot: of a Debian guest under QEMU, from the units and the lines of fstab that ovlctl writes.

    scripts/boot_test.py           run it; the first time a guest is built, which takes minutes
    scripts/boot_test.py --check   say what is missing, and whether the guest is built
    scripts/boot_test.py --install install what is missing (apt-get), then run it

OVLCTL_BOOT_SUITE chooses the guest: bookworm (the default; systemd 252, util-linux 2.38, Linux 6.1) or trixie (systemd
257, util-linux 2.41, Linux 6.12).

The guest is kept below $XDG_CACHE_HOME/ovlctl/boot-test; everything else goes when the run ends. It boots twice: what
was written into kept uppers at the first boot has to be there at the second one. Needs root, because the files of the
guest belong to root.

Exit status: 0 all as it has to be, 1 something is not, 77 something is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
#: Debian suite to the Python it has.
SUITES = {"bookworm": "3.11", "trixie": "3.13"}
SUITE = os.environ.get("OVLCTL_BOOT_SUITE", "bookworm")
PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "python3", "initramfs-tools", "zstd", "linux-image-cloud-amd64"),
    *("libpam-systemd", "dbus-user-session", "uidmap"),  # for the manager of an ordinary user
)
#: Program to Debian package.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
}
#: Pure Python or abi3.
WHEELS = ("typer>=0.26,<0.29", "rich>=13.7", "psutil>=5.9.6", "pyroute2>=0.9")
MISSING = 77
BOOT_SECONDS = 300


def main() -> int:
    """Run the test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="say what is missing and do nothing")
    parser.add_argument("--install", action="store_true", help="install what is missing with apt-get")
    given = parser.parse_args()
    missing = sorted({package for tool, package in TOOLS.items() if which(tool) is None})
    if missing and given.install:
        tell(f"installing {' '.join(missing)}")
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
        missing = []
    reasons = [f"not installed: {' '.join(missing)} (`apt-get install {' '.join(missing)}`)"] if missing else []
    if os.geteuid() != 0:
        reasons.append("not root")
    if os.uname().machine != "x86_64":
        reasons.append(f"the guest is built for x86_64, this is {os.uname().machine}")
    if given.check and not guest().exists():
        reasons.append("the guest is not built yet: `make boot-test` does it")
    if reasons:
        tell("; ".join(reasons))
        return MISSING
    if given.check:
        return 0
    # So that nothing is left when somebody ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    build()
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache()) as directory:
        return boots(Path(directory))


def cache() -> Path:
    """Where the guest is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "ovlctl" / "boot-test"


def guest() -> Path:
    """The guest's tree; another recipe is another tree."""
    recipe = repr((SUITE, PACKAGES, WHEELS, 1))
    return cache() / f"{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build() -> None:
    """Make the guest's tree, unless it is there: a small Debian with a kernel, Python, and what ovlctl needs."""
    if guest().exists():
        return
    cache().mkdir(parents=True, exist_ok=True)
    tell("building the guest; this is done once")
    unfinished = Path(tempfile.mkdtemp(prefix="new-", dir=cache()))
    try:
        tree = unfinished / "root"
        no_docs = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")]
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES)}", *no_docs, SUITE, str(tree))
        run(
            *installer(),
            "--only-binary=:all:",
            f"--python-version={SUITES[SUITE]}",
            f"--target={tree}/opt/ovlctl",
            *WHEELS,
        )
        (tree / "etc/fstab").write_text("LABEL=root / ext4 defaults 0 1\n")
        (tree / "etc/hostname").write_text("ovlctl-boot-test\n")
        for older in cache().glob(f"{SUITE}-*"):
            shutil.rmtree(older)
        tree.rename(guest())
    finally:
        shutil.rmtree(unfinished)


def installer() -> tuple[str, ...]:
    """The command that installs Python packages: pip, or uv where an environment has no pip."""
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip", "install", "--quiet", "--no-compile")
    return ("uv", "pip", "install", "--quiet", f"--python={sys.executable}")


def boots(directory: Path) -> int:
    """Prepare a copy of the guest, boot it twice, and compare what it says with what has to be."""
    began = time.monotonic()
    tree = directory / "root"
    run("cp", "-a", "--reflink=auto", str(guest()), str(tree))
    prepare(tree)
    image = directory / "disk.raw"
    with image.open("wb") as file:
        file.truncate(3 << 30)
    run("mkfs.ext4", "-q", "-F", "-L", "root", "-E", "root_owner=0:0", "-d", str(tree), str(image))
    tell(f"guest prepared in {time.monotonic() - began:.0f} s")
    wrong: list[str] = []
    for number in (1, 2):
        began = time.monotonic()
        found = boot(directory, tree, image)
        tell(f"boot {number} took {time.monotonic() - began:.0f} s, kernel {found.get('kernel')}")
        for point, source in sorted(found.get("overlays", {}).items()):
            tell(f"  {source:16} {point}")
        for name, fine in found.get("checks", {}).items():
            tell(f"  {'ok  ' if fine else 'FAIL'} {name}")
            if not fine:
                wrong.append(f"boot {number}: {name}")
        if not found.get("checks"):
            wrong.append(f"boot {number} said nothing")
            print((directory / "console").read_text(errors="replace")[-6000:], file=sys.stderr)
        if not all(found.get("checks", {}).values()):
            print(found.get("log", ""), file=sys.stderr)
    tell("as it has to be" if not wrong else "wrong: " + "; ".join(wrong))
    return 1 if wrong else 0


def prepare(tree: Path) -> None:
    """Install ovlctl and the stacks into the guest, and let ovlctl write units and fstab from inside."""
    package = tree / "opt/ovlctl/ovlctl"
    shutil.copytree(PROJECT / "ovlctl", package, ignore=shutil.ignore_patterns("__pycache__"))
    programs = tree / "opt/ovlctl/bin"
    programs.mkdir(exist_ok=True)
    for name, module in (("ovlctl", "main"), ("mount.ovlctl", "mount_helper")):
        lines = (
            "#!/usr/bin/python3",
            'import sys; sys.path.insert(0, "/opt/ovlctl")',
            f"from ovlctl.cli.{module} import entry; sys.exit(entry())",
        )
        (programs / name).write_text("\n".join(lines) + "\n")
        (programs / name).chmod(0o755)
    (tree / "usr/sbin/mount.ovlctl").symlink_to("/opt/ovlctl/bin/mount.ovlctl")
    here = PROJECT / "tests" / "boot"
    shutil.copytree(here / "srv", tree / "srv", dirs_exist_ok=True)
    shutil.copy(here / "check.py", tree / "opt/check.py")
    shutil.copy(here / "prepare.sh", tree / "opt/prepare.sh")
    script = 'mount -t proc proc "$1/proc" && exec chroot "$1" /bin/sh /opt/prepare.sh'
    run("unshare", "--mount", "--propagation=private", "sh", "-euc", script, "sh", str(tree))


def boot(directory: Path, tree: Path, image: Path) -> dict[str, Any]:
    """Boot the guest, which reports and powers itself off; the report."""
    (kernel,) = tree.glob("boot/vmlinuz-*")
    (initrd,) = tree.glob("boot/initrd.img-*")
    machine = ["-machine", "accel=tcg", "-cpu", "max,cx16=off"]  # cmpxchg16b crashes some kernels under QEMU 7.2
    if os.path.exists("/dev/kvm") and any(map(os.path.exists, ("/sys/module/kvm_intel", "/sys/module/kvm_amd"))):
        machine = ["-machine", "accel=kvm", "-cpu", "host"]
    report = directory / "report"
    report.unlink(missing_ok=True)
    arguments = [
        *("qemu-system-x86_64", *machine, "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{directory / 'console'}", "-serial", f"file:{report}"),
        *("-drive", f"file={image},format=raw,if=virtio"),
        *("-kernel", str(kernel), "-initrd", str(initrd), "-append", "root=LABEL=root rw console=ttyS0 quiet"),
    ]
    try:
        subprocess.run(arguments, stdin=subprocess.DEVNULL, check=True, timeout=BOOT_SECONDS)
    except subprocess.TimeoutExpired:
        tell(f"the guest did not power off within {BOOT_SECONDS} s")
    lines = report.read_text(errors="replace").splitlines() if report.exists() else []
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found


def which(tool: str) -> str | None:
    """Where *tool* is, also when PATH leaves the system's programs out."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def run(*argv: str) -> None:
    """Run a program that has to succeed."""
    subprocess.run([which(argv[0]) or argv[0], *argv[1:]], check=True, stdin=subprocess.DEVNULL)


def tell(text: str) -> None:
    """Say what is going on."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
