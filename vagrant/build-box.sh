#!/usr/bin/env bash
# Build a Debian 12 box for Vagrant's libvirt provider, with several kernels to choose from.
#
#     vagrant/build-box.sh OUT.box [SERIES...]
#     vagrant box add --force --name ovlctl/bookworm OUT.box
#
# SERIES is a kernel series (5.10) or `newest`; the default is 5.10 6.12 newest. Of each series the box has the newest
# cloud kernel found, beside Debian 12's own. One that is named and not found is an error; of the default ones, a line
# says so.
#
# Packages come from where this machine's apt gets Debian from: its mirror, keys and proxy. Needs root, 6 GiB below
# $TMPDIR (or /var/tmp) for the time it runs, and a Debian machine with
#
#     apt-get install mmdebstrap e2fsprogs fdisk extlinux qemu-utils kmod debian-archive-keyring vagrant
#
# All mounts are made in a mount namespace of its own, so that none outlives it, whatever ends it.
set -euo pipefail

readonly suite=bookworm
# Where kernels are looked for, oldest first. What the mirror does not have is left out.
readonly kernel_suites=(bullseye bookworm bookworm-backports trixie trixie-backports)
readonly kernel_security_suites=(bullseye-security bookworm-security trixie-security)
readonly arch=amd64
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly disk_mib=8192
# What makes it a machine that boots and can be reached; what tests need is in `packages`.
readonly base=(systemd-sysv udev dbus dbus-user-session libpam-systemd initramfs-tools zstd extlinux
    "linux-image-cloud-$arch" openssh-server ca-certificates)
# A stopped unit is a faster boot, and the tests start engines of their own.
readonly idle_units=(systemd-networkd-wait-online.service e2scrub_reap.service e2scrub_all.timer apt-daily.timer
    apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer docker.service docker.socket containerd.service
    podman.service podman.socket podman-auto-update.service podman-auto-update.timer podman-restart.service)

say() { printf 'build-box: [%ds] %s\n' "$SECONDS" "$*" >&2; }
fail() { printf 'build-box: %s\n' "$*" >&2; exit 1; }

check_machine() {
    ((EUID == 0)) || fail 'needs root, for the files of the guest belong to root: sudo vagrant/build-box.sh ...'
    [[ $(uname -m) == x86_64 ]] || fail "builds for x86_64 only, this is $(uname -m)"
    local pair missing=()
    for pair in mmdebstrap:mmdebstrap mkfs.ext4:e2fsprogs sfdisk:fdisk extlinux:extlinux qemu-img:qemu-utils depmod:kmod; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [[ -e $keyring ]] || missing+=(debian-archive-keyring)
    ((${#missing[@]} == 0)) || fail "not installed: ${missing[*]} (apt-get install ${missing[*]})"
}

# The key pair that everybody has: Vagrant logs in with it, and a VM is reachable from this machine only.
vagrant_key() {
    local found
    found=$(find /usr/share/rubygems-integration /opt/vagrant -path '*/vagrant-*/keys/vagrant.pub' -print -quit 2>/dev/null || true)
    [[ -n $found ]] || fail 'no public key of Vagrant found: apt-get install vagrant'
    head -n 1 -- "$found"
}

# mirror LABEL: the URI of the first source of this machine's apt that has that label and a component `main`.
mirror() {
    # shellcheck disable=SC2016 # apt puts these in
    apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F'|' -v label="$1" '$1 == label && $2 == "main" && !found {print $3; found = 1}'
}

# sources LABEL SUITE...: lines for a sources.list; none when this machine has no such source.
sources() {
    local uri name
    uri=$(mirror "$1")
    shift
    [[ -n $uri ]] || return 0
    for name; do echo "deb [arch=$arch signed-by=$keyring] $uri $name main"; done
}

make_root() {
    local include
    include=$(IFS=,; echo "${base[*]},$(grep -v -e '^#' -e '^$' "$here/packages" | paste -sd, -)")
    { sources Debian $suite $suite-updates; sources Debian-Security $suite-security; } >"$work/sources.list"
    [[ -s $work/sources.list ]] || fail "this machine's apt has no source of Debian (see \`apt-cache policy\`)"
    # The initramfs needs nothing but the way to the root file system: it loads faster, and the box is smaller.
    mkdir -p "$work/initramfs"
    printf '%s\n' virtio_pci virtio_blk virtio_scsi ahci ata_piix sd_mod ext4 crc32c_generic >"$work/initramfs/modules"
    echo MODULES=list >"$work/initramfs/modules.conf"
    # shellcheck disable=SC2016 # $1 is the root, put in by mmdebstrap
    mmdebstrap --quiet --variant=minbase --architectures=$arch --include="$include" --aptopt="$work/acquire.conf" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/locale/locale.alias' \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
        --essential-hook="upload $work/initramfs/modules /etc/initramfs-tools/modules" \
        --essential-hook="upload $work/initramfs/modules.conf /etc/initramfs-tools/conf.d/modules" \
        $suite "$root" "$work/sources.list" >"$work/mmdebstrap.log" 2>&1 ||
        { tail -n 20 "$work/mmdebstrap.log" >&2; fail 'mmdebstrap failed'; }
}

configure_root() {
    echo ovlctl >"$root/etc/hostname"
    echo '127.0.0.1 localhost ovlctl' >"$root/etc/hosts"
    # Never checked, which takes long under emulation: it has a journal, and can be made anew.
    echo 'LABEL=root / ext4 defaults 0 0' >"$root/etc/fstab"
    # Empty and not missing: without the file the first boot would enable again what is disabled below.
    : >"$root/etc/machine-id"
    rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/resolv.conf"
    printf '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' >"$root/etc/systemd/network/50-dhcp.network"
    printf 'UseDNS no\nGSSAPIAuthentication no\n' >"$root/etc/ssh/sshd_config.d/vagrant.conf"
    chroot "$root" useradd --create-home --shell /bin/bash vagrant
    echo vagrant:vagrant | chroot "$root" chpasswd
    echo 'vagrant ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/vagrant"
    chmod 440 "$root/etc/sudoers.d/vagrant"
    install -d -m 700 "$root/home/vagrant/.ssh"
    vagrant_key >"$root/home/vagrant/.ssh/authorized_keys"
    chroot "$root" chown -R vagrant:vagrant /home/vagrant
    chroot "$root" systemctl --quiet enable systemd-networkd.service ssh.service
    local unit
    for unit in "${idle_units[@]}"; do
        chroot "$root" systemctl --quiet disable "$unit" 2>/dev/null || true # not every one is there
    done
}

# apt with a state of its own below $work, which knows the suites that kernels come from.
kernel_apt() { APT_CONFIG="$work/apt/apt.conf" "$@"; }

prepare_kernel_apt() {
    mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/debs"
    : >"$work/apt/status"
    { sources Debian "${kernel_suites[@]}"; sources Debian-Security "${kernel_security_suites[@]}"; } >"$work/apt/sources.list"
    # A suite that is not maintained any longer has a Release file that expired; it is signed all the same.
    cat "$work/acquire.conf" - >"$work/apt/apt.conf" <<-END
	Dir::State "$work/apt";
	Dir::State::status "$work/apt/status";
	Dir::Cache "$work/apt/cache";
	Dir::Etc::sourcelist "$work/apt/sources.list";
	Dir::Etc::sourceparts "-";
	Dir::Etc::preferencesparts "-";
	APT::Architecture "$arch";
	APT::Architectures { "$arch"; };
	APT::Sandbox::User "root";
	Acquire::Languages "none";
	Acquire::Check-Valid-Until "false";
	END
    # A suite that the mirror does not have is left out, and then so are its kernels.
    kernel_apt apt-get -q update >"$work/apt.log" 2>&1 || say "not all suites could be read: $(grep -c '^E:' "$work/apt.log") errors"
}

# newest_kernel SERIES: the version of its newest kernel, as `uname -r` tells it; nothing when there is none.
newest_kernel() {
    local pattern='[0-9]+\.[0-9]+'
    [[ $1 == newest ]] || pattern=${1//./\\.}
    kernel_apt apt-cache pkgnames linux-image- |
        sed -nE "s/^linux-image-(${pattern}[.+-].*-cloud-$arch)\$/\1/p" | sort -V | tail -n 1
}

# Unpacked by hand beside the root, so that dependencies on other suites' packages do not matter.
add_kernel() {
    local version=$1 package modules tree=$work/kernel/$1 packages=("linux-image-$1")
    # Since 7.3 the image package is empty, and three others have its content.
    for package in "linux-binary-$version" "linux-modules-$version" "linux-base-$version"; do
        if kernel_apt apt-cache show "$package" >/dev/null 2>&1; then packages+=("$package"); fi
    done
    mkdir -p "$tree"
    (cd "$work/debs" && kernel_apt apt-get -q download "${packages[@]}" >>"$work/apt.log" 2>&1) ||
        { tail -n 5 "$work/apt.log" >&2; fail "could not download ${packages[*]}"; }
    for package in "${packages[@]}"; do dpkg-deb -x "$work/debs/$package"_*.deb "$tree"; done
    modules=$tree/usr/lib/modules/$version
    [[ -d $modules ]] || modules=$tree/lib/modules/$version
    cp -a "$modules" "$root/usr/lib/modules/"
    if [[ -e $modules/vmlinuz ]]; then
        cp "$modules/vmlinuz" "$root/boot/vmlinuz-$version"
        cp "$modules/config" "$root/boot/config-$version"
    else
        cp "$tree/boot/vmlinuz-$version" "$tree/boot/config-$version" "$root/boot/"
    fi
    rm -rf -- "$tree"
    depmod -b "$root" "$version"
    chroot "$root" update-initramfs -c -k "$version" >>"$work/initramfs.log" 2>&1 ||
        { tail -n 5 "$work/initramfs.log" >&2; fail "no initramfs for $version"; }
}

add_kernels() {
    local series version asked=$#
    ((asked)) || set -- 5.10 6.12 newest
    prepare_kernel_apt
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    for series; do
        version=$(newest_kernel "$series")
        if [[ -n $version && -e $root/boot/vmlinuz-$version ]]; then
            say "kernel $series: $version, there already"
        elif [[ -n $version ]]; then
            add_kernel "$version"
            say "kernel $series: $version"
        elif ((asked)); then
            fail "no kernel $series in ${kernel_suites[*]} ${kernel_security_suites[*]} of this machine's mirror"
        else
            say "kernel $series: the mirror has none, so the box has none"
        fi
    done
    umount "$root/proc" "$root/dev"
}

# boot/extlinux/extlinux.conf; boot-kernel.sh changes its first line in the guest.
write_boot_menu() {
    local image version own
    own=$(cd "$root/boot" && printf '%s\n' vmlinuz-6.1.* | sort -V | tail -n 1)
    mkdir -p "$root/boot/extlinux"
    printf 'DEFAULT %s\nPROMPT 0\nTIMEOUT 1\n' "${own#vmlinuz-}"
    for image in "$root"/boot/vmlinuz-*; do
        version=${image##*/vmlinuz-}
        printf 'LABEL %s\n  LINUX /boot/vmlinuz-%s\n  INITRD /boot/initrd.img-%s\n' "$version" "$version" "$version"
        # A kernel that panics gives way to the one before; see boot-kernel.sh.
        echo '  APPEND root=LABEL=root ro console=tty0 console=ttyS0,115200 net.ifnames=0 panic=5 fsck.mode=skip quiet'
    done
}

make_disk() {
    local disk=$work/disk.raw start_mib=1 mounted=$work/mounted
    truncate -s "${disk_mib}M" "$disk"
    echo "start=${start_mib}MiB, type=83, bootable" | sfdisk --quiet "$disk"
    # extlinux reads neither 64bit nor checksummed ext4.
    mkfs.ext4 -q -F -L root -O '^64bit,^metadata_csum' -E "offset=$((start_mib << 20)),root_owner=0:0" -d "$root" \
        "$disk" "$((disk_mib - start_mib))M"
    mkdir "$mounted"
    # The loop device goes with the mount.
    mount -o "loop,offset=$((start_mib << 20)),sizelimit=$(((disk_mib - start_mib) << 20))" "$disk" "$mounted"
    extlinux --install "$mounted/boot/extlinux" >"$work/extlinux.log" 2>&1 || { cat "$work/extlinux.log" >&2; fail 'extlinux failed'; }
    umount "$mounted"
    dd if=/usr/lib/EXTLINUX/mbr.bin of="$disk" bs=440 count=1 conv=notrunc status=none
    qemu-img convert -c -O qcow2 "$disk" "$work/box/box.img"
}

write_box() {
    printf '{"provider": "libvirt", "format": "qcow2", "virtual_size": %d}\n' $((disk_mib / 1024)) >"$work/box/metadata.json"
    cat >"$work/box/Vagrantfile" <<-END
	Vagrant.configure("2") do |config|
	  config.vm.guest = :debian
	  config.vm.provider(:libvirt) { |libvirt| libvirt.disk_bus = "virtio" }
	end
	END
    part=$(mktemp -- "$out.XXXXXX")
    tar -C "$work/box" -cf "$part" metadata.json Vagrantfile box.img
    chmod 644 -- "$part"
    mv -T -- "$part" "$out"
}

case ${1:-} in
    '' | -*) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
check_machine
if [[ -z ${OVLCTL_BOX_PRIVATE:-} ]]; then
    OVLCTL_BOX_PRIVATE=1 exec unshare --mount --propagation private -- "$BASH" "${BASH_SOURCE[0]}" "$@"
fi
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
mkdir -p -- "$(dirname -- "$1")"
out=$(realpath -- "$(dirname -- "$1")")/$(basename -- "$1")
part=''
shift
work=$(mktemp -d -- "${TMPDIR:-/var/tmp}/ovlctl-box.XXXXXX")
root=$work/root
clean_up() {
    trap '' INT TERM HUP
    umount -q -- "$root/proc" "$root/dev" "$work/mounted" 2>/dev/null || true
    rm -rf --one-file-system -- "$work" ${part:+"$part"}
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$work"
mkdir "$work/box"
# This machine's proxies and the like; not its index targets, which have nothing to do with fetching.
apt-config dump | grep -E '^Acquire::(https?|Check|Retries|ForceIPv)' >"$work/acquire.conf" || true
say 'root file system'
make_root
configure_root
say 'kernels'
add_kernels "$@"
mkdir -p "$root/boot/extlinux"
write_boot_menu >"$root/boot/extlinux/extlinux.conf"
say 'disk'
make_disk
write_box
say "done: $out ($(du -h -- "$out" | cut -f1)), kernels: $(cd "$root/boot" && printf '%s ' vmlinuz-* | sed 's/vmlinuz-//g')"
