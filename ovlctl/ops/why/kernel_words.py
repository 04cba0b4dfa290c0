"""What overlayfs writes to the kernel's log, or gives to whoever called fsconfig(2), and what it means.

Texts by fs/overlayfs/{params,super,namei,inode,export,readdir}.c of Linux 3.18 to 6.18, without their prefix
(``overlayfs: `` or ``overlay: ``). Rows further up are tried first.
"""

from __future__ import annotations

from ovlctl import errors
from ovlctl.ops.why.rule import Rule, rule

#: A path as the kernel quotes it, or does not; lazy, so that what follows in a pattern ends it.
_P = r"'?(.{1,4200}?)'?"

RULES: tuple[Rule, ...] = (
    # what is said of single layers
    rule(
        rf"failed to resolve {_P}: (?:-2|-20)\b",
        errors.PathMissing,
        "the kernel did not find {}",
        "`mkdir -p {0}`, or correct the name; a name cut short points to a colon or comma without a backslash",
    ),
    rule(
        rf"failed to resolve {_P}: -40\b",
        errors.NotADirectory,
        "{} is a symbolic link that leads back to itself",
        "`namei -l {0}` shows where; name the directory itself",
    ),
    rule(rf"failed to resolve {_P}: -13\b", errors.AccessDenied, "{} may not be reached", "`namei -l {0}` shows why"),
    rule(
        rf"failed to resolve {_P}: -116\b",
        errors.OriginMisleads,
        "{} is on a network file system that has lost it, or an overlay whose origin is gone",
        "`umount` and mount the file system under {0} again",
    ),
    rule(rf"failed to resolve {_P}: -", errors.PathMissing, "the kernel cannot use {}", "`namei -l {0}` shows why"),
    rule(
        # Programs put "NAME: " before words of their own that end like this.
        r"'?((?:(?!: ).){1,4200}?)'? (?:is )?not a directory",
        errors.NotADirectory,
        "{} is no directory, and every layer is one",
        "name a directory",
    ),
    rule(
        rf"filesystem on {_P} is read-only",
        errors.UpperReadOnly,
        "upper or work, {}, lies on a read-only file system or mount",
        "`findmnt -T {0}` shows it; `mount -o remount,rw` it, or take directories elsewhere",
    ),
    rule(
        r"upper fs is r/o",
        errors.UpperReadOnly,
        "the upper lies on a read-only file system or mount",
        "`mount -o remount,rw` it, or mount without an upper",
    ),
    rule(
        rf"filesystem on {_P} not supported as upperdir",
        (errors.UpperOnOverlay, errors.UpperFileSystemPoor),
        "the file system under {} cannot carry an upper",
        "`findmnt -T {0}` shows it; take upperdir and workdir on ext4, xfs, btrfs or tmpfs",
    ),
    rule(
        rf"case-insensitive (?:capable filesystem|directory) on {_P} not supported",
        errors.LayerFileSystemRefused,
        "{} lies on a file system with case folding",
        "take another file system, or one made without `casefold`; Linux 6.18 and newer take directories that do not "
        "fold themselves",
    ),
    rule(
        r".{0,40}(?:wrong|inherit|mismatch|different|inconsistent).{0,40}casefold",
        errors.LayerFileSystemRefused,
        "the layers do not agree about case folding",
        "`lsattr -d DIR` shows an F for a directory that folds; let all layers fold, or none",
    ),
    rule(
        rf"filesystem on {_P} not supported",
        errors.LayerFileSystemRefused,
        "the file system under {} is not taken as a layer",
        "`findmnt -T {0}` shows it; take another file system",
    ),
    rule(
        r"failed to clone (?:upper|lower)path",
        errors.LowerHoldsMounts,
        "a layer has mounts below it that this user namespace must not look beneath",
        "name directories without mounts below them (`findmnt -R DIR`), or mount as root",
    ),
    # the shape of the stack
    rule(
        r"too many lower directories",
        errors.TooManyLowers,
        "there are more lowers than the 500 that the kernel takes",
        "merge some of them, or use the merged view of one overlay as a lower of another",
    ),
    rule(
        r"regular lower layers cannot follow data",
        errors.LowerdirMalformed,
        "an ordinary lower follows a data-only one",
        "put all data-only lowers last: `lowerdir=A:B::DATA`",
    ),
    rule(
        r"lowerdir\+ and datadir\+ cannot follow lowerdir",
        errors.LowerdirMalformed,
        "`lowerdir+` or `datadir+` follows `lowerdir`, which is the whole list already",
        "give every lower by `lowerdir+`",
    ),
    rule(
        r"(?:unescaped trailing colons|only single ':' or double '::'|empty lowerdir|cannot (?:append|prepend))",
        errors.LowerdirMalformed,
        "the list of lowers has an empty entry: a colon too many, or an empty variable",
        "write `lowerdir=TOP:BELOW:BOTTOM`; a colon in a name is written `\\:`",
    ),
    rule(r"missing 'lowerdir'", errors.NoLower, "no lower was given", "add `lowerdir=DIR`"),
    rule(
        r"at least 2 lowerdir are needed",
        errors.OneLowerWithoutUpper,
        "there is one lower and no upper",
        "add `upperdir=U,workdir=W`, or a second lower; is an option misspelt?",
    ),
    rule(
        r"at least one non-data lowerdir is required",
        errors.OnlyDataLowers,
        "all lowers are data-only",
        "put an ordinary lower first: `lowerdir=DIR::DATA`",
    ),
    rule(
        r"missing 'workdir'",
        errors.UpperWithoutWork,
        "there is an upper and no work directory",
        "`mkdir UPPER.work`, and add `workdir=UPPER.work`",
    ),
    rule(
        r"missing upperdir or lowerdir or workdir",
        errors.UpperWithoutWork,
        "upperdir, lowerdir or workdir is missing; work directories are needed since Linux 3.18",
        "`mkdir UPPER.work`, and add `workdir=UPPER.work`",
    ),
    # between the layers
    rule(
        r"workdir and upperdir must reside under the same mount",
        errors.WorkOnOtherMount,
        "upper and work are not on the same mount of one file system; a bind mount counts as another",
        "`mkdir UPPER.work` beside the upper and use it as `workdir`; `findmnt -T DIR` shows the mount of each",
    ),
    rule(
        r"workdir and upperdir must be separate subtrees",
        errors.WorkOverlapsUpper,
        "work is the upper itself, inside it or above it",
        "`mkdir UPPER.work` beside the upper and use it as `workdir`",
    ),
    rule(
        r"conflicting \w{1,20} path",
        (errors.LayerTwice, errors.LowerIsUpper),
        "one directory is named twice among the layers",
        "name each directory once; a symbolic link or bind mount to it is the same directory",
    ),
    rule(
        r"overlapping \w{1,20} path",
        errors.OverlappingLayers,
        "a lower lies inside another lower, the upper or the work directory",
        "use directories side by side, none inside another",
    ),
    rule(
        r"lowerdir is in-use as upperdir/workdir",
        errors.LowerInUse,
        "a lower is, or lies below, the upper or work directory of an overlay that is mounted",
        "`ovlctl who DIR` names that overlay; use its merged view as the lower, or unmount it first",
    ),
    rule(
        r"(?:upper|work)dir is in-use",
        errors.UpperInUse,
        "upper or work belongs to an overlay that is mounted, perhaps in another mount namespace or lazily unmounted",
        "`ovlctl who DIR` names that overlay; unmount it first, or use directories of its own. `index=off` only hides "
        "the problem",
    ),
    rule(
        r"maximum fs stacking depth exceeded",
        (errors.StackTooDeep, errors.LayerFileSystemRefused),
        "a lower lies on an overlay that stands on an overlay itself (or on proc, which counts as such)",
        "`findmnt -t overlay` shows them; name that overlay's own layers as lowers instead of its merged view",
    ),
    # what is left from earlier mounts
    rule(
        r"failed to verify (?:upper root origin|origin|upper root)",
        errors.UpperOfOtherLower,
        "with index=on the upper belongs to another topmost lower, or the lower's file system got another UUID",
        "`index=off`, or a fresh upper and work; after a copy: `setfattr -x trusted.overlay.origin UPPER`",
    ),
    rule(
        r"failed to verify (?:index dir|upper|index)",
        errors.IndexOfOtherUpper,
        "with index=on the index in the work directory belongs to another upper",
        "`rm -r WORK/index`, a fresh work directory, or `index=off`",
    ),
    rule(
        r"try (?:deleting index dir|mounting with '-o index=off')",
        (errors.IndexOfOtherUpper, errors.UpperOfOtherLower),
        "with index=on the upper or the index belongs to another stack",
        "a fresh upper and work directory, or `index=off`",
    ),
    rule(
        r"overlay with incompat feature '(?:[^']{1,255})' cannot be mounted",
        errors.VolatileLeftover,
        "the work directory bears the marker of a volatile mount, whose data may be incomplete",
        "use a fresh upper and work; only when the upper is known to be good: `rm -r WORK/work`",
    ),
    rule(
        r"cleanup of .{1,4200} failed \(-39\)",
        errors.WorkTreeTooDeep,
        "WORK/work holds a tree too deep for the kernel to clean, and it mounts read-only",
        "look at what WORK/work holds, then `rm -r WORK/work`",
    ),
    rule(
        rf"failed to create directory {_P} \(errno: (?:17|39)\); mounting read-only",
        errors.WorkTreeTooDeep,
        "the kernel could not clean {} and mounted read-only",
        "look at what it holds, then `rm -r {0}`",
    ),
    rule(
        rf"failed to create directory {_P} \(errno: \d{{1,3}}\); mounting read-only",
        errors.UpperFileSystemPoor,
        "the kernel could not make {} and mounted read-only",
        "take upperdir and workdir on ext4, xfs, btrfs or tmpfs",
    ),
    # options
    rule(
        r"conflicting options: metacopy=on,redirect_dir=|conflicting options: redirect_dir=\w{1,10},metacopy=on",
        errors.MetacopyNeedsRedirect,
        "metacopy=on works with redirect_dir=on only",
        "leave `redirect_dir` out, or write `redirect_dir=on`",
    ),
    rule(
        r"conflicting options: nfs_export=on,index=off|conflicting options: index=off,nfs_export=on",
        errors.NfsExportNeedsIndex,
        "nfs_export=on works with index=on only",
        "leave out `index=off`",
    ),
    rule(
        r"conflicting options: nfs_export=on,metacopy=on|conflicting options: metacopy=on,nfs_export=on",
        errors.NfsExportExcludesMetacopy,
        "nfs_export=on and metacopy=on exclude each other",
        "leave one of them out",
    ),
    rule(
        r"conflicting options: userxattr,metacopy|conflicting options: metacopy=\w{1,10},userxattr",
        errors.UserxattrExcludesMetacopy,
        "userxattr and metacopy=on exclude each other",
        "leave out `metacopy=on`, or mount as root without `userxattr`",
    ),
    rule(
        r"conflicting options: (?:userxattr,redirect_dir|redirect_dir=\w{1,10},userxattr)",
        errors.UserxattrNeedsNofollow,
        "userxattr works with redirect_dir=nofollow only",
        "leave `redirect_dir` out, or mount as root without `userxattr`",
    ),
    rule(
        r"(?:(?:redirect_dir|metacopy|verity)=\w{1,10}|lower data-only dirs?|.{1,60}) requires? permission to access "
        r"trusted xattrs",
        errors.NeedsTrustedXattr,
        "an option needs trusted xattrs, which a user namespace does not give",
        "leave the option out, or mount as root",
    ),
    rule(
        r"lower data-only dirs require metacopy support",
        errors.OptionUnknown,
        "this kernel takes data-only lowers together with metacopy=on only",
        "add `metacopy=on`",
    ),
    rule(r'unrecognized mount option "lowerdir="', errors.NoLower, "no lower was given", "add `lowerdir=DIR`"),
    rule(
        r"(?:unknown parameter '|unrecognized mount option \"|unexpected value for '|bad value for ')",
        errors.OptionUnknown,
        "this kernel's overlay does not know the option or its value",
        "correct or leave out the option; `ovlctl doctor` says which ones this kernel knows. A path there means a "
        "comma without a backslash before it",
    ),
    rule(
        r"no changes allowed in reconfigure",
        errors.OptionUnknown,
        "an overlay's own options cannot be changed by a remount",
        "`ovlctl remount` makes a new mount and swaps it in; or unmount, and mount again",
    ),
    rule(
        rf"option \"?workdir={_P}\"? is (?:useless|meaningless) in a non-upper mount",
        errors.WorkWithoutUpper,
        "the work directory {} serves nothing without an upper, and was ignored",
        "add `upperdir=DIR`, or leave out `workdir`",
    ),
    rule(
        r"option \"?(?:volatile|workdir|index|uuid)[^ ]{0,300} is (?:useless|meaningless) in a non-upper mount",
        errors.OptionNeedsUpper,
        "an option means nothing without an upper, and was ignored",
        "add `upperdir=U,workdir=W`, or leave the option out",
    ),
    rule(
        r"option \"?uuid=on\"? requires an upper fs",
        errors.OptionNeedsUpper,
        "uuid=on means nothing without an upper, and was dropped",
        "add `upperdir=U,workdir=W`, or leave the option out",
    ),
    rule(
        r"NFS export requires (?:\"redirect_dir=nofollow\"|an index dir|an upper)",
        errors.NfsExportWithoutUpper,
        "without an upper nfs_export=on was dropped",
        "add `redirect_dir=nofollow`, or an upper",
    ),
    rule(
        r"NFS export requires \"index=on\"",
        errors.NfsExportNeedsIndex,
        "nfs_export=on was dropped because index is off",
        "add `index=on`",
    ),
    # what a file system lacks
    rule(
        rf"(?:upper fs|fs on {_P}) does(?: not|n't) support file handles",
        errors.LayerWithoutHandles,
        "a layer's file system gives no file handles, and the kernel drops index, nfs_export or xino",
        "leave the option out, or take layers on a file system with file handles; harmless when nobody asked for it",
    ),
    rule(
        r"\w{1,20} uuid detected in (?:lower|upper) fs",
        errors.LayerWithoutHandles,
        "a layer's file system has no UUID of its own, and the kernel drops index, nfs_export or xino",
        "leave the option out, or give the file system a UUID; harmless when nobody asked for it",
    ),
    rule(
        r"try mounting with 'userxattr' option",
        errors.NeedsTrustedXattr,
        "in a user namespace the kernel could not write its marks into trusted xattrs",
        "add `userxattr` to the options",
    ),
    rule(
        r"upper fs (?:needs to|does not|doesn't) support (?:d_type|tmpfile|xattr|rename_whiteout)|"
        r"upper fs missing required features",
        errors.UpperFileSystemPoor,
        "the file system under the upper lacks what overlayfs needs to write its marks",
        "take upperdir and workdir on ext4, xfs with ftype=1 (`xfs_info DIR | grep ftype`), btrfs or tmpfs; not NFS, "
        "FUSE, vfat or 9p",
    ),
    rule(
        r"failed to set xattr on upper",
        (errors.UpperFileSystemPoor, errors.NeedsTrustedXattr),
        "the kernel could not write a mark on the upper",
        "as an ordinary user add `userxattr`; as root take upperdir and workdir on ext4, xfs, btrfs or tmpfs",
    ),
    rule(
        r"\.{3}falling back to",
        (errors.WeakerThanAsked, errors.UpperFileSystemPoor, errors.NeedsTrustedXattr),
        "the kernel mounted without a feature",
        "the line before it in the log says why; `ovlctl why` takes both",
    ),
    # later, in the mounted view
    rule(
        r"refusing to follow (?:redirect|metacopy origin)",
        errors.MarksNotFollowed,
        "a layer holds a redirect or metacopy file that the options of this mount do not follow; the name gives EPERM",
        "mount with the options the layer was written with: `redirect_dir=on` or `metacopy=on`",
    ),
    rule(
        r"invalid redirect",
        errors.MarksNotFollowed,
        "a directory or file in a layer has a redirect that is neither a name nor an absolute path",
        "`getfattr -d -m overlay -e text UPPER/DIR` shows it",
    ),
    rule(
        r"(?:failed to get inode|invalid origin|failed to decode|.{0,60}unknown origin|orphan index entry)",
        errors.OriginMisleads,
        "an object in the upper remembers a lower object that is another one now",
        "`setfattr -x trusted.overlay.origin UPPER/FILE` on copies; copy through the merged view, not inside the upper",
    ),
    rule(
        r".{0,600}overlapping layers",
        errors.OverlappingLayers,
        "the upper or work directory lies inside a lower, and was listed through the merged view",
        "move upper and work out of the lower",
    ),
)
