#!/bin/sh
# Choose the kernel, in the guest. The newest one of a series (5.10) is taken.
#
#     boot-kernel.sh               list the kernels of the box, oldest first
#     boot-kernel.sh once SERIES   boot it the next time, and the one of before if that fails
#     boot-kernel.sh keep SERIES   go on with it at every boot; it has to be the one that runs
set -eu

menu=/boot/extlinux/extlinux.conf
PATH="$PATH:/usr/sbin:/sbin"
fail() { echo "boot-kernel: $*" >&2; exit 1; }

kernels() { for image in /boot/vmlinuz-*; do echo "${image#/boot/vmlinuz-}"; done | sort -V; }

# A version in full, or a series: what comes after it must not go on with its last number.
of_series() { kernels | awk -v series="$1" 'index($0, series) == 1 && substr($0, length(series) + 1, 1) !~ /[0-9]/' | tail -n 1; }

if [ $# -eq 0 ]; then
    kernels
    exit
fi
chosen=$(of_series "$2")
[ -n "$chosen" ] || fail "no kernel $2 in this box, which has: $(kernels | paste -s -d ' ' -)"
running=$(uname -r)
if [ "$1" = keep ] && [ "$running" != "$chosen" ]; then fail "kernel $2 ($chosen) was to boot, and $running did"; fi
if [ ! -e "$menu" ]; then
    [ "$running" = "$chosen" ] || fail "cannot choose in this box; vagrant/build-box.sh makes one with several kernels"
elif [ "$1" = keep ]; then
    sed -i "s/^DEFAULT .*/DEFAULT $chosen/" "$menu"
else
    extlinux --once="$chosen" "${menu%/*}" >/dev/null
fi
sync
