"""Messages that people pasted in public, log lines of every refusal, and texts of no meaning."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovlctl import errors
from ovlctl.errors import OvlError
from ovlctl.ops import why
from ovlctl.ops.why import Certainty, Kind
from ovlctl.show.why import explanation_json, explanation_text
from tests.patience import no_hang

#: Certain, or the first of several.
SURE, FIRST = Certainty.CERTAIN, Certainty.LIKELY


def thread(
    reference: str, text: str, cause: type[OvlError], sure: Certainty = SURE, *paths: str
) -> tuple[str, type[OvlError], Certainty, tuple[str, ...]]:
    """One message from a public thread, quoted as it stands there; the thread becomes the test's name."""
    return pytest.param(text, cause, sure, paths, id=reference)  # type: ignore[return-value]


# Each quotes a message alone, from the thread that its id names.
THREADS = [
    thread(
        "systemd/mkosi#1897",
        "overlayfs: workdir and upperdir must reside under the same mount",
        errors.WorkOnOtherMount,
    ),
    thread(
        "ximion/limba#1",
        "overlayfs: missing upperdir or lowerdir or workdir Unable to mount directory",
        errors.UpperWithoutWork,
    ),
    thread(
        "openwrt/packages#25396",
        "Mon Nov 18 08:44:43 2024 kern.err kernel: [  767.873468] overlayfs: filesystem on "
        "'/opt/docker/check-overlayfs-support1084625961/upper' not supported as upperdir",
        errors.UpperOnOverlay,
        FIRST,
        "/opt/docker/check-overlayfs-support1084625961/upper",
    ),
    thread(
        "k3s-io/k3s#10512",
        "Jul 13 13:51:25 rpi5-0 kernel: overlayfs: upper fs does not support tmpfile.\n"
        "Jul 13 13:51:25 rpi5-0 kernel: overlayfs: upper fs does not support RENAME_WHITEOUT.\n"
        "Jul 13 13:51:25 rpi5-0 kernel: overlayfs: failed to set xattr on upper\n"
        "Jul 13 13:51:25 rpi5-0 kernel: overlayfs: ...falling back to redirect_dir=nofollow.\n"
        "Jul 13 13:51:25 rpi5-0 kernel: overlayfs: ...falling back to uuid=null.\n"
        "Jul 13 13:51:25 rpi5-0 kernel: overlayfs: upper fs missing required features.",
        errors.UpperFileSystemPoor,
    ),
    thread(
        "koverstreet/bcachefs#877",
        "May 06 23:01:36 copycat kernel: overlay: case-insensitive capable filesystem on "
        "/var/lib/docker/overlay2/check-overlayfs-support1579625445/lower2 not supported",
        errors.LayerFileSystemRefused,
        SURE,
        "/var/lib/docker/overlay2/check-overlayfs-support1579625445/lower2",
    ),
    thread(
        "CachyOS/linux-cachyos#479",
        "overlay: case-insensitive capable filesystem on /opt/docker/overlay2/check-overlayfs-support2988505594/lower2 "
        "not supported",
        errors.LayerFileSystemRefused,
    ),
    thread(
        "podman#8118",
        'Error: failed to mount overlay for metacopy check with "nodev,metacopy=on" options: invalid argument',
        errors.OptionUnknown,
    ),
    thread(
        "podman#9363",
        "Error: Cannot connect to the Podman socket, make sure there is a Podman REST API service running.: failed to "
        'mount overlay for metacopy check with "nodev,metacopy=on" options: invalid argument\n'
        '[ 1927.646068] overlayfs: unrecognized mount option "metacopy=on" or missing value',
        errors.OptionUnknown,
    ),
    thread(
        "podman#3560",
        "Error: could not get runtime: failed to mount overlay for metacopy check: invalid argument",
        errors.OptionUnknown,
    ),
    thread(
        "container-libs#1053",
        "$ unshare -rm mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=workdir,metacopy=on merged\n"
        "mount: /tmp/merged: permission denied.\n"
        "       dmesg(1) may have more information after failed mount system call.",
        errors.AccessDenied,
        FIRST,
    ),
    thread(
        "try#104 in use",
        "[  +0.002145] overlayfs: upperdir is in-use as upperdir/workdir of another mount, accessing files from both "
        "mounts will result in undefined behavior.",
        errors.UpperInUse,
    ),
    thread(
        "try#104 userxattr",
        "[  +0.000687] overlayfs: failed to set xattr on upper\n"
        "[  +0.000001] overlayfs: try mounting with 'userxattr' option",
        errors.NeedsTrustedXattr,
    ),
    thread("try#104 nested", "[  +0.013092] overlayfs: failed to clone lowerpath", errors.LowerHoldsMounts),
    thread(
        "util-linux#2287",
        "mount: /tmp/work/merged: wrong fs type, bad option, bad superblock on overlay, missing codepage or helper "
        "program, or other error.\n       dmesg(1) may have more information after failed mount system call.",
        errors.UpperOnOverlay,
        FIRST,
        "/tmp/work/merged",
    ),
    thread(
        "PlanktoScope#606",
        "[May13 07:47] overlayfs: maximum fs stacking depth exceeded\n"
        "[  +0.341217] overlayfs: maximum fs stacking depth exceeded",
        errors.StackTooDeep,
        FIRST,
    ),
    thread(
        "moby#46498",
        "CannotCreateContainerError: Error response from daemon: error creating overlay mount to "
        "/var/lib/docker/overlay2/59f35ca50968fa44c283f7a613ae3b39b9468538cb34cc86ac761062641d1885-init/merged: "
        "too many levels of symbolic links",
        errors.OverlappingLayers,
        FIRST,
        "/var/lib/docker/overlay2/59f35ca50968fa44c283f7a613ae3b39b9468538cb34cc86ac761062641d1885-init/merged",
    ),
    thread(
        "calamares#1571",
        "mount: /var/mnt/etc: mount(2) system call failed: Stale file handle.\n"
        'overlayfs: "xino" feature enabled using 32 upper inode bits.\n'
        "overlayfs: failed to verify origin (/etc, ino=524292, err=-116)\n"
        "overlayfs: failed to verify upper root origin",
        errors.UpperOfOtherLower,
    ),
    thread(
        "systemd/mkosi#1841",
        "[ 1907.326051] overlayfs: fs on '<path>/.mkosi-tmp7x3kcw9q/root' does not support file handles, falling back "
        "to index=off,nfs_export=off.\n"
        "mount: <path>/.mkosi-tmp38ur8lqj/root: mount(2) system call failed: Stale file handle.",
        errors.UpperOfOtherLower,
        FIRST,
    ),
    thread(
        "podman#5816",
        "error creating overlay mount to "
        "/var/lib/containers/storage/overlay/379557b8dd3e4df8ab2a5bd0afec5cb234777ad438c3c672a0f6f8763d2e5f5d/merged: "
        "stale NFS file handle\n"
        "Apr 15 13:26:55 muon kernel: overlayfs: failed to verify upper "
        "(379557b8dd3e4df8ab2a5bd0afec5cb234777ad438c3c672a0f6f8763d2e5f5d/diff, ino=7229475, err=-116)",
        errors.IndexOfOtherUpper,
    ),
    thread(
        "docker/sbx-releases#60",
        'failed to create shim task: mount source: "overlay", target: "/run/bundles/9df4/rootfs", fstype: overlay, '
        'flags: 0, data: "workdir=/run/bundles/9df4/mounts/0/work,upperdir=/run/bundles/9df4/mounts/0/upper,'
        'lowerdir=/run/bundles/9df4/mounts/1", err: stale file handle',
        errors.UpperOfOtherLower,
        FIRST,
        "/run/bundles/9df4/rootfs",
    ),
    thread(
        "gocryptfs#290",
        "mount: /var/tmp/goverlay/b/merged: wrong fs type, bad option, bad superblock on overlay, missing codepage or "
        "helper program, or other error.\n[178673.762952] overlayfs: filesystem on 'upper' not supported as upperdir",
        errors.UpperOnOverlay,
        FIRST,
        "upper",
    ),
    thread(
        "telnetdoogie/synology-docker#39",
        "mount: /mnt/usbext4/overlay/merged: wrong fs type, bad option, bad superblock on overlay, missing codepage or "
        "helper program, or other error.\n[25417.589246] overlayfs: filesystem on '/mnt/usbext4/overlay/upper' not "
        "supported",
        errors.LayerFileSystemRefused,
        SURE,
        "/mnt/usbext4/overlay/upper",
    ),
    thread("moby#10294", "[  209.364018] overlayfs: upper fs needs to support d_type.", errors.UpperFileSystemPoor),
    thread(
        "moby#51546",
        "Nov 16 15:20:40 nicole dockerd[2184]: failed to start daemon: error initializing graphdriver: driver not "
        "supported: overlay2",
        errors.UpperOnOverlay,
        FIRST,
    ),
    thread(
        "moby#39475",
        "Handler for POST /containers/create returned error: error creating overlay mount to /var/lib/docker/"
        "165536.165536/overlay2/e6ff2b345027c75a472003f6bd0ea84ea8f9a5d962fb48646ab22d06d06016c9/merged: device or "
        "resource busy\noverlayfs: lowerdir is in-use as upperdir/workdir",
        errors.LowerInUse,
    ),
    thread(
        "nils-werner/raspi-overlayroot#6",
        "Jul 05 19:46:21 pizero kernel: overlayfs: upperdir is in-use by another mount, accessing files from both "
        "mounts will result in undefined behavior.",
        errors.UpperInUse,
    ),
    thread(
        "k3s-io/k3s#3266",
        'Failed to retrieve agent config: \\"overlayfs\\" snapshotter cannot be enabled for '
        '\\"/var/lib/rancher/k3s/agent/containerd\\", try using \\"fuse-overlayfs\\" or \\"native\\": failed to mount '
        "overlay: invalid argument",
        errors.UpperOnOverlay,
        FIRST,
        "/var/lib/rancher/k3s/agent/containerd",
    ),
    thread(
        "noseka1/toolbox-container#2",
        "Error: 'overlay' is not supported over overlayfs, a mount_program is required: backing file system is "
        "unsupported for this graph driver",
        errors.UpperOnOverlay,
    ),
    thread(
        "tteck/Proxmox#2167",
        "ERRO[0000] [graphdriver] prior storage driver overlay failed: 'overlay' is not supported over zfs, a "
        "mount_program is required: backing file system is unsupported for this graph driver",
        errors.UpperFileSystemPoor,
    ),
    thread(
        "google/gvisor#12941",
        "mount: /tmp/tmp.yFMdxs8sfX/second_merged: fsconfig() failed: overlay: filesystem on "
        "base_merged/second_upper not supported as upperdir.",
        errors.UpperOnOverlay,
        FIRST,
        "base_merged/second_upper",
    ),
    thread(
        "oils-for-unix/oils#2597",
        "mount: /prj/oils-for-unix/oils/_chroot/package-slot99.overlay/merged: fsconfig() failed: Stale file handle.",
        errors.UpperOfOtherLower,
        FIRST,
    ),
    thread(
        "vincentbernat/network-lab#1",
        "mount: unknown filesystem type 'overlayfs'",
        errors.BadUsage,
    ),
    thread(
        "docker/for-linux#196",
        "WARNING: overlay: the backing xfs filesystem is formatted without d_type support, which leads to incorrect "
        "behavior. Reformat the filesystem with ftype=1 to enable d_type support.",
        errors.UpperFileSystemPoor,
    ),
    thread(
        "sosy-lab/benchexec#1067",
        "[Errno 22] Creating overlay mount for '/home' failed: Invalid argument.",
        errors.UpperOnOverlay,
        FIRST,
    ),
]


@pytest.mark.parametrize(("text", "cause", "sure", "paths"), THREADS)
def test_a_real_message(text: str, cause: type[OvlError], sure: Certainty, paths: tuple[str, ...]) -> None:
    """The cause, its code, the path that the text names, a fix, and for a guess what would settle it."""
    found = why.explain_text(text)
    assert found.kind is Kind.TEXT
    first = found.findings[0]
    assert (type(first.error), first.certainty) == (cause, sure)
    assert first.error.hint()
    assert first.evidence
    if paths:
        assert first.error.paths == paths
    if sure is FIRST:
        assert first.candidates[0].cause is cause
        assert all(each.distinction for each in first.candidates)


#: What the kernel logs for each refusal and each dropped option, and later in the mounted view.
LOG = [
    ("overlayfs: failed to resolve '/x': -2", errors.PathMissing),
    ("e overlay: /x is not a directory", errors.NotADirectory),
    ("e overlay: filesystem on /x is read-only", errors.UpperReadOnly),
    ("e overlay: filesystem on /x not supported as upperdir", errors.UpperOnOverlay),
    ("e overlay: too many lower directories, limit is 500", errors.TooManyLowers),
    ("e overlay: regular lower layers cannot follow data layers", errors.LowerdirMalformed),
    ("e overlay: lowerdir+ and datadir+ cannot follow lowerdir", errors.LowerdirMalformed),
    ("overlayfs: unescaped trailing colons in lowerdir mount option.", errors.LowerdirMalformed),
    (
        "overlayfs: only single ':' or double '::' sequences of unescaped colons in lowerdir mount option allowed.",
        errors.LowerdirMalformed,
    ),
    ("overlayfs: cannot append lower layer", errors.LowerdirMalformed),
    ("overlayfs: empty lowerdir", errors.LowerdirMalformed),
    ("overlayfs: missing 'lowerdir'", errors.NoLower),
    ("overlayfs: at least 2 lowerdir are needed while upperdir nonexistent", errors.OneLowerWithoutUpper),
    ("overlayfs: at least one non-data lowerdir is required", errors.OnlyDataLowers),
    ("overlayfs: missing 'workdir'", errors.UpperWithoutWork),
    ("overlayfs: workdir and upperdir must reside under the same mount", errors.WorkOnOtherMount),
    ("overlayfs: workdir and upperdir must be separate subtrees", errors.WorkOverlapsUpper),
    ("overlayfs: conflicting lowerdir path", errors.LayerTwice),
    ("overlayfs: overlapping lowerdir path", errors.OverlappingLayers),
    (
        (
            "overlayfs: upperdir is in-use as upperdir/workdir of another mount, mount with '-o index=off' to override "
            "exclusive upperdir protection."
        ),
        errors.UpperInUse,
    ),
    (
        (
            "overlayfs: workdir is in-use as upperdir/workdir of another mount, accessing files from both mounts will "
            "result in undefined behavior."
        ),
        errors.UpperInUse,
    ),
    ("overlayfs: failed to verify upper root origin", errors.UpperOfOtherLower),
    ("overlayfs: failed to verify index dir 'upper' xattr", errors.IndexOfOtherUpper),
    ("overlayfs: overlay with incompat feature 'volatile' cannot be mounted", errors.VolatileLeftover),
    ("overlayfs: maximum fs stacking depth exceeded", errors.StackTooDeep),
    ("overlayfs: metacopy=on requires permission to access trusted xattrs", errors.NeedsTrustedXattr),
    ("overlayfs: redirect_dir=on requires permission to access trusted xattrs", errors.NeedsTrustedXattr),
    ("overlayfs: conflicting options: metacopy=on,redirect_dir=follow", errors.MetacopyNeedsRedirect),
    ("overlayfs: conflicting options: nfs_export=on,index=off", errors.NfsExportNeedsIndex),
    ("overlayfs: conflicting options: nfs_export=on,metacopy=on", errors.NfsExportExcludesMetacopy),
    ("overlayfs: conflicting options: userxattr,redirect_dir=on", errors.UserxattrNeedsNofollow),
    ("overlayfs: conflicting options: userxattr,metacopy=on", errors.UserxattrExcludesMetacopy),
    (
        'overlayfs: NFS export requires "redirect_dir=nofollow" on non-upper mount, falling back to nfs_export=off.',
        errors.NfsExportWithoutUpper,
    ),
    ('overlayfs: option "volatile" is meaningless in a non-upper mount, ignoring it.', errors.OptionNeedsUpper),
    ('overlayfs: option "index=on" is useless in a non-upper mount, ignore', errors.OptionNeedsUpper),
    ('overlayfs: option "uuid=on" requires an upper fs, falling back to uuid=null.', errors.OptionNeedsUpper),
    ('overlayfs: option "workdir=/w" is useless in a non-upper mount, ignore', errors.WorkWithoutUpper),
    ("overlay: Unknown parameter 'bogus'", errors.OptionUnknown),
    ("overlay: Bad value for 'index'", errors.OptionUnknown),
    ("overlay: Unexpected value for 'userxattr'", errors.OptionUnknown),
    ("overlay: No changes allowed in reconfigure", errors.OptionUnknown),
    ("overlayfs: cleanup of 'a/b' failed (-39)", errors.WorkTreeTooDeep),
    ("overlayfs: failed to create directory /w/work (errno: 39); mounting read-only", errors.WorkTreeTooDeep),
    ("overlayfs: failed to create directory /w/work (errno: 1); mounting read-only", errors.UpperFileSystemPoor),
    (
        "overlayfs: fs on '/l' does not support file handles, falling back to index=off,nfs_export=off.",
        errors.LayerWithoutHandles,
    ),
    ("overlayfs: null uuid detected in lower fs '/', falling back to xino=off,index=off.", errors.LayerWithoutHandles),
    ("overlayfs: refusing to follow redirect for (/dir)", errors.MarksNotFollowed),
    ("overlayfs: refusing to follow metacopy origin for (/file)", errors.MarksNotFollowed),
    ("overlayfs: invalid redirect (../d)", errors.MarksNotFollowed),
    ("overlayfs: failed to get inode (-116)", errors.OriginMisleads),
]


@pytest.mark.parametrize("prefix", ["", "[   74.352740] ", "Jul 13 13:51:25 host kernel: ", "kern  :err   : [Mo] "])
@pytest.mark.parametrize(("text", "cause"), LOG, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_a_log_line(prefix: str, text: str, cause: type[OvlError]) -> None:
    """Each line of the kernel's log has its cause, whatever dmesg or the journal put before it."""
    assert type(why.explain_text(prefix + text).findings[0].error) is cause


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "mount: /mnt: can't read superblock on /dev/sdb1.",
        "the overlay network is down",
        "12",
        "mnt-x.mount: Mount process exited, code=exited, status=1/FAILURE",
        "overlay setup: exit status 1",
        "mount tool: exit code: 22",
    ],
)
def test_nothing_known(text: str) -> None:
    """What is about something else is said to be unknown, not guessed at."""
    with pytest.raises(errors.NothingRecognised):
        why.explain_text(text)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('Error: overlay mount failed: Os { code: 22, kind: InvalidInput, message: "Invalid argument" }', 22),
        ("overlay mount: os error 40", 40),
        ("OSError: [Errno 116] overlay", 116),
        ("mount overlay: ELOOP", 40),
        ("failed to mount overlay: errno=16", 16),
    ],
)
def test_numbers_of_errors(text: str, cause: int) -> None:
    """Go, Rust, Python and C print the same errno in their own ways."""
    assert why.explain_text(text).findings[0].error.errno == cause


def test_a_guess_is_settled_by_what_follows() -> None:
    """The generic message of mount(8) is no finding of its own when the log says which cause it is."""
    generic = "mount: /m: wrong fs type, bad option, bad superblock on overlay, missing codepage or helper program"
    alone = why.explain_text(generic).findings
    assert [each.certainty for each in alone] == [Certainty.LIKELY]
    both = why.explain_text(f"{generic}\n[1.0] overlayfs: missing 'workdir'").findings
    assert [type(each.error) for each in both] == [errors.UpperWithoutWork]


def test_options_that_a_message_quotes() -> None:
    """The mount that containerd prints is read and judged, not by this machine when its layers are not here."""
    text = (
        "failed to mount rootfs component &{overlay overlay [workdir=/nowhere/37/work upperdir=/nowhere/37/fs "
        "lowerdir=/nowhere/1/fs metacopy=on redirect_dir=off]}: invalid argument: unknown"
    )
    found = why.explain_text(text)
    assert found.line is not None
    assert (found.line.stack.upper, found.line.stack.lowers) == ("/nowhere/37/fs", ("/nowhere/1/fs",))
    assert [type(each.error) for each in found.findings] == [errors.MetacopyNeedsRedirect]


WORDS = st.sampled_from(
    [
        "mount ",
        "-t overlay ",
        "-o ",
        "lowerdir=",
        "upperdir=",
        "workdir=",
        "overlayfs: ",
        "overlay: ",
        "/a",
        ":",
        "::",
        ",",
        "\\",
        "'",
        '"',
        "\n",
        " on ",
        " type overlay (",
        ")",
        " - overlay ",
        "36 35 98:0 / ",
        "rw,",
        "failed to resolve '",
        "': -2",
        "not supported as upperdir",
        "error creating overlay mount to ",
        "invalid argument",
        "\x1b[31m",
        "\0",
        '{"filesystems":[',
        "]}",
        'TARGET="',
        "\\040",
        "\\x20",
        "sudo ",
        "metacopy check",
        "snapshotter cannot be enabled for ",
    ]
)


@given(st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=30).map("".join)))
def test_no_text_breaks_it(text: str) -> None:
    """Any text is explained or unknown, and what is shown of it is printable."""
    try:
        found = why.explain_text(text)
    except errors.NothingRecognised:
        return
    assert all(line.isprintable() for line in explanation_text(found).split("\n"))
    explanation_json(found)


@given(st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=12))
def test_no_command_breaks_it(argv: list[str]) -> None:
    """Any words after ``--`` give an explanation or an error of ours."""
    try:
        found = why.explain_command([word.replace("\0", "") for word in argv])
    except OvlError:
        return
    assert all(line.isprintable() for line in explanation_text(found).split("\n"))


@pytest.mark.parametrize(
    "piece",
    [
        "overlay: ",
        "mount: /",
        "mount -t overlay -o lowerdir=",
        "filesystem on ",
        "snapshotter cannot be enabled for /",
        "lowerdir=a,",
        "metacopy check",
        "\\",
        " - overlay ",
        "a on / type overlay (",
        "failed to create directory ",
        'TARGET="',
        "\x1b[",
    ],
)
@pytest.mark.parametrize("end", ["", "\n"], ids=["one line", "lines"])
def test_hostile_texts_come_to_an_end(piece: str, end: str) -> None:
    """Whatever a long text repeats, it is read (benchmarks/why.py compares the times with those of a plain text)."""
    text = (piece + end) * ((1 << 18) // len(piece + end))
    with no_hang(), contextlib.suppress(errors.NothingRecognised):
        why.explain_text(text)
