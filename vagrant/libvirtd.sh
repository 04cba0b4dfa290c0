#!/usr/bin/env bash
# libvirt's daemons where no init starts them, as in a container.
#
#     vagrant/libvirtd.sh start|stop|status
#
# Needs root. Whoever shall use them must be in the group libvirt. They see a qemu.conf of their own, for a machine without
# control groups and security modules: it is bound over /etc/libvirt/qemu.conf in a mount namespace that only they are in.
# Where /dev/kvm is there and cannot boot a stock kernel (see Vagrantfile), they do not see it either: libvirt asks QEMU
# with rights that the machines run without, does not believe the answer, and asks anew for a minute each time.
set -euo pipefail

PATH="$PATH:/usr/sbin"
readonly state=/run/ovlctl-libvirtd
readonly qemu_settings='
# Where this is needed there are neither control groups nor a security driver, and no device nodes can be made.
cgroup_controllers = [ ]
security_driver = "none"
namespaces = [ ]
stdio_handler = "file"
'
# There is no polkit either: whoever is in the group may.
readonly libvirtd_settings='
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
'

say() { echo "libvirtd.sh: $*" >&2; }
fail() { say "$@"; exit 1; }

# pid_of DAEMON: its process, if it runs and is the one that was started here.
pid_of() {
    local pid
    pid=$(cat "$state/$1.pid" 2>/dev/null) || return 1
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$1" ]] && echo "$pid"
}

kvm_works() { [[ -d /sys/module/kvm_intel || -d /sys/module/kvm_amd ]]; }

reachable() { virsh -q -c qemu:///system version >/dev/null 2>&1; }

start() {
    local daemon
    if pid_of libvirtd >/dev/null; then say 'runs already'; return; fi
    ! reachable || fail "libvirt answers already, started by something else: nothing to do"
    [[ ! -d /run/systemd/system ]] || fail 'systemd runs here: systemctl start libvirtd'
    for daemon in virtlogd libvirtd virsh; do
        command -v "$daemon" >/dev/null ||
            fail "no $daemon: apt-get install libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients"
    done
    mkdir -p "$state"
    { cat /etc/libvirt/qemu.conf; echo "$qemu_settings"; } >"$state/qemu.conf"
    echo "$libvirtd_settings" >"$state/libvirtd.conf"
    : >"$state/virtlogd.conf"
    if [[ -e /dev/kvm ]] && ! kvm_works; then install -m 000 /dev/null "$state/no-kvm"; fi
    # With nothing of this shell's own open, so that nobody who reads what it prints waits for them.
    for daemon in virtlogd libvirtd; do
        # shellcheck disable=SC2016 # for the inner shell
        setsid unshare --mount --propagation slave -- sh -c '
            mount --bind "$1/qemu.conf" /etc/libvirt/qemu.conf
            if [ -e "$1/no-kvm" ]; then mount --bind "$1/no-kvm" /dev/kvm; fi
            echo $$ >"$1/$2.pid"
            exec "$2" --config "$1/$2.conf"' sh "$state" "$daemon" </dev/null >"$state/$daemon.log" 2>&1 &
    done
    for ((i = 0; i < 100; i++)); do
        if reachable; then return; fi
        sleep 0.2
    done
    tail -n 5 "$state/libvirtd.log" >&2
    stop
    fail "libvirtd did not answer within 20 seconds"
}

stop() {
    local daemon pid
    if reachable && [[ -n $(virsh -q -c qemu:///system list --name) ]]; then
        say "machines that run go on without it: $(virsh -q -c qemu:///system list --name | paste -sd' ')"
    fi
    for daemon in libvirtd virtlogd; do
        pid=$(pid_of "$daemon") || continue
        kill "$pid"
        for ((i = 0; i < 100; i++)); do
            [[ -d /proc/$pid ]] || break
            sleep 0.1
        done
    done
    rm -rf -- "$state"
}

status() {
    local daemon pid
    for daemon in virtlogd libvirtd; do
        if pid=$(pid_of "$daemon"); then echo "$daemon runs, process $pid"; else echo "$daemon does not run (not from here)"; fi
    done
    if reachable; then echo 'libvirt answers'; else echo 'libvirt does not answer'; return 1; fi
}

case ${1:-} in
    start | stop) ((EUID == 0)) || fail "needs root: sudo vagrant/libvirtd.sh $1"; "$1" ;;
    status) status ;;
    *) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
