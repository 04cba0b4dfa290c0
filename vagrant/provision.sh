#!/usr/bin/env bash
# In the guest, as root, at the first `vagrant up` and at `vagrant provision`: what the box lacks, the data disk,
# `ovlctl`, and what makes emulation bearable. A second run changes nothing.
set -euo pipefail

readonly source=/opt/ovlctl/source

say() { echo "provision: $*"; }
fail() { echo "provision: $*" >&2; exit 1; }

# Nothing to do in a box of build-box.sh. In another one, without a network, tests say what they miss.
install_packages() {
    local missing=() package
    while read -r package; do
        [[ -z $package || $package == \#* ]] || dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
            missing+=("$package")
    done <"$source/vagrant/packages"
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"; } \
        >/tmp/provision-apt.log 2>&1; then
        tail -n 3 /tmp/provision-apt.log
        say "could not install ${missing[*]}: tests that need them will be skipped"
        return 0
    fi
    # The tests start engines of their own.
    systemctl --quiet disable --now docker.socket docker.service containerd.service podman-auto-update.service \
        2>/dev/null || true
}

# The disk of the machine that is neither the root's nor used for anything else.
data_disk() {
    local disk root found=()
    if [[ -b /dev/disk/by-id/virtio-ovlctl-data ]]; then
        readlink -f /dev/disk/by-id/virtio-ovlctl-data
        return
    fi
    root=$(lsblk --noheadings --paths --inverse --output NAME,TYPE "$(findmnt -no SOURCE /)" | awk '$2 == "disk" {print $1}' | tr -dc '/a-z0-9\n')
    while read -r disk; do
        if [[ $disk != "$root" ]]; then found+=("$disk"); fi
    done < <(lsblk --noheadings --paths --nodeps --output NAME,TYPE | awk '$2 == "disk" {print $1}')
    ((${#found[@]} == 1)) || fail "there should be one disk beside the root's, for data: found ${#found[@]}"
    echo "${found[0]}"
}

# /data/ext4, /data/xfs and /data/btrfs: found by their labels, so that whatever is on them is kept.
make_data() {
    local kind disk mkfs number=1 labels=(ext4 xfs btrfs)
    declare -A mkfs=([ext4]='mkfs.ext4 -q -F -L data-ext4' [xfs]='mkfs.xfs -q -f -L data-xfs' [btrfs]='mkfs.btrfs -q -f -L data-btrfs')
    disk=$(data_disk)
    if [[ -z $(blkid -p -o value -s PTTYPE "$disk") ]]; then
        [[ -z $(blkid -p "$disk") ]] || fail "$disk holds something that is not from here: not touching it"
        say "making file systems on $disk"
        printf '%s\n' 'label: gpt' 'size=2730MiB' 'size=2730MiB' 'size=+' | sfdisk --quiet "$disk"
        udevadm settle
        for kind in "${labels[@]}"; do
            ${mkfs[$kind]} "$(lsblk --noheadings --paths --list --output NAME "$disk" | sed -n "$((number + 1))p")" >/dev/null
            number=$((number + 1))
        done
        udevadm settle
    fi
    for kind in "${labels[@]}"; do
        grep -q "^LABEL=data-$kind " /etc/fstab || echo "LABEL=data-$kind /data/$kind $kind defaults,nofail 0 0" >>/etc/fstab
        mkdir -p "/data/$kind"
        mountpoint -q "/data/$kind" || mount "/data/$kind"
        chmod 1777 "/data/$kind"
    done
}

# The packages are there for every Python and every user: tests run programs as somebody else, with nothing but the
# source in PYTHONPATH.
install_command() {
    local packages
    packages=$(python3 -c 'import site; print(site.getsitepackages()[0])')
    mkdir -p "$packages"
    echo /opt/ovlctl/site >"$packages/ovlctl-packages.pth"
    cat >/usr/local/bin/ovlctl <<-END
	#!/bin/sh
	PYTHONPATH=$source exec python3 -P -m ovlctl "\$@"
	END
    chmod 755 /usr/local/bin/ovlctl
}

# QEMU translates a program anew wherever it lies in memory. Where each process has its libraries at the same addresses,
# starting one takes a third of the time, and the tests start thousands.
tune_emulation() {
    [[ $(systemd-detect-virt || true) == qemu ]] || return 0
    echo 'kernel.randomize_va_space = 0' >/etc/sysctl.d/90-emulation.conf
    sysctl --quiet --load=/etc/sysctl.d/90-emulation.conf
}

install_packages
make_data
install_command
tune_emulation
say "kernel $(uname -r); $(ovlctl --version)"
