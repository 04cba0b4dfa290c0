#!/bin/sh
# In the guest: boot-kernel.sh          list the kernels of the box, oldest first
#               boot-kernel.sh SERIES   boot the newest one of that series (5.10) next time, and print its version
set -eu

menu=/boot/extlinux/extlinux.conf
fail() { echo "boot-kernel: $*" >&2; exit 1; }

kernels() { for image in /boot/vmlinuz-*; do echo "${image#/boot/vmlinuz-}"; done | sort -V; }

if [ $# -eq 0 ]; then
    kernels
    exit
fi
[ -e "$menu" ] || fail "the boot loader of this box is not known here; vagrant/build-box.sh makes a box with several kernels"
# A version in full, or a series: what comes after it must not go on with its last number.
chosen=$(kernels | awk -v series="$1" 'index($0, series) == 1 && substr($0, length(series) + 1, 1) !~ /[0-9]/' | tail -n 1)
[ -n "$chosen" ] || fail "no kernel $1 in this box, which has: $(kernels | paste -s -d ' ' -)"
sed -i "s/^DEFAULT .*/DEFAULT $chosen/" "$menu"
sync
echo "$chosen"
