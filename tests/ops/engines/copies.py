"""Copies of the real stores that tests run, to be damaged: what is copied is what lies on disk, mounts aside."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ovlctl.engines.containerd_databases import METADATA

if TYPE_CHECKING:
    from tests.ops.engines.cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A store on a disk that no engine of this machine uses.

    Attributes:
        case: Of which it is one.
        root: Its data root.
    """

    case: Case
    root: str

    @property
    def places(self) -> str:
        """The directory of its layers."""
        return f"{self.root}/{PLACES[self.case.driver, str(self.case.engine)]}"

    @property
    def container(self) -> str:
        """A container of it, as the word for a STACK."""
        return f"{self.case.engine}:{self.case.stopped[0]}"

    @property
    def layers(self) -> list[str]:
        """The directories of its layers."""
        return sorted(
            entry.path for entry in os.scandir(self.places) if entry.is_dir(follow_symlinks=False) and entry.name != "l"
        )


_SNAPSHOTS = "io.containerd.snapshotter.v1.overlayfs/snapshots"
PLACES = {
    ("overlay2", "docker"): "overlay2",
    ("overlay", "podman"): "overlay",
    ("overlayfs", "containerd"): _SNAPSHOTS,
    ("overlayfs", "docker"): f"containerd/daemon/{_SNAPSHOTS}",
}
#: The database of a containerd, and of its snapshotter, by the directory that they are in.
BOLTS = (METADATA, f"{_SNAPSHOTS.rpartition('/')[0]}/metadata.db")


def copied(case: Case, directory: str) -> Copy:
    """A copy of a case's data root in *directory*. A containerd is stopped meanwhile: it writes its databases."""
    root = f"{directory}/{case.engine}"
    with case.down():
        # Like the disk of a machine that is switched off: -x leaves out what is mounted.
        subprocess.run(["cp", "-ax", "--", case.root, root], check=True, capture_output=True)
    return Copy(case=case, root=root)
