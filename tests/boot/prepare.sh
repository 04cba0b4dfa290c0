#!/bin/sh
# Run inside the guest's tree, before it is booted: the layers, and what `ovlctl unit` and `ovlctl fstab` write.
set -eu
export PATH=/opt/ovlctl/bin:/usr/sbin:/usr/bin LANG=C.UTF-8
python3 -m compileall -q /opt/ovlctl
cd /srv
mkdir -p top base state/upper state/work plain/upper plain/work "we\"ird 'n %n/back\\x"
sed -n 's/.*"base", "\(long[a-z]*\)".*/\1/p' stacks.toml | xargs mkdir
echo top >top/f
echo base | tee base/f >base/g
echo weird >"we\"ird 'n %n/back\\x/f"
mkdir -p "/mnt/in fstab" /mnt/over-hidden
ovlctl unit stacks.toml unit kept over memory --dir /etc/systemd/system
ovlctl unit stacks.toml plain --plain --dir /etc/systemd/system
ovlctl fstab stacks.toml fstab over-hidden >>/etc/fstab
systemctl enable mnt-unit.mount 'mnt-kept\x2d\x25n\x20upper.mount' mnt-over.mount mnt-memory.mount mnt-plain.mount

# An ordinary user, whose manager runs from boot on.
useradd --create-home --uid 1000 dev
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/dev
as_dev() { setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/dev "$@"; }
as_dev mkdir -p /home/dev/one /home/dev/two /home/dev/.config/systemd/user/default.target.wants
echo one | as_dev tee /home/dev/one/f >/dev/null
printf '[stack.mine]\nlowers = ["one", "two"]\n' | as_dev tee /home/dev/mine.toml >/dev/null
as_dev ovlctl unit --user /home/dev/mine.toml --dir /home/dev/.config/systemd/user
as_dev ln -s ../ovlctl-mine.service /home/dev/.config/systemd/user/default.target.wants/

cat >/etc/systemd/system/boot-check.service <<'X'
[Unit]
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /opt/check.py
ExecStopPost=/usr/bin/systemctl poweroff --no-block

[Install]
WantedBy=multi-user.target
X
systemctl enable boot-check.service
