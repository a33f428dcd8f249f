#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# PID 1 of a private libvirt host; started by rig_up (lib.sh) inside new mount, UTS, network, IPC,
# PID and cgroup namespaces. Makes the host's own view of the file system, then starts what it is
# told to over a FIFO, so that everything is a child of this host and in its cgroups.
#
# usage: host.sh NAME DIR     DIR holds: cgroup-mounts, options, fifo; log/ is kept for the reader
set -eu

name=$1
dir=$2
# shellcheck source=/dev/null
. "$dir/options"    # RIG_TREE, RIG_KVM, RIG_OVERLAY, RIG_LOGSINK, RIG_UUID, RIG_CAPS, RIG_TRACE
ns=$dir/ns          # scratch that ends with the mount namespace

die() {
    echo "rig: host $name: $*" >&2
    exit 1
}

# A directory whose entries are links to the machine's, for where overlayfs is not to be had.
farm() {
    local real=$ns/farm$1 links=$ns/links$1
    mkdir -p "$real" "$links"
    mount --bind "$1" "$real"
    mount -t tmpfs -o mode=755 farm "$links"
    find "$real" -mindepth 1 -maxdepth 1 -exec ln -s -t "$links" {} +
    mount --move "$links" "$1"
}

# A writable view of /etc and /usr, the machine's own untouched.
private_tree() {
    local d
    if [ "$RIG_OVERLAY" = yes ]; then
        for d in etc usr; do
            mkdir -p "$ns/up/$d" "$ns/work/$d"
            mount -t overlay -o "lowerdir=/$d,upperdir=$ns/up/$d,workdir=$ns/work/$d" rig "/$d" ||
                return 1
        done
        return 0
    fi
    mkdir -p "$ns/etc"
    cp -a /etc/. "$ns/etc/"
    mount --bind "$ns/etc" /etc
    for d in /usr/bin /usr/sbin /usr/libexec /usr/share; do
        [ ! -d "$d" ] || farm "$d"
    done
    # QEMU looks for its modules beside the file that it is
    for d in /usr/bin/qemu-system-*; do
        [ -e "$d" ] || continue
        rm "$d" && : >"$d" && mount --bind "$ns/farm$d" "$d"
    done
}

private_dev() {
    local node
    mkdir "$ns/dev"
    mount -t tmpfs -o mode=755 dev "$ns/dev"
    for node in null zero full random urandom tty fd stdin stdout stderr; do
        cp -a "/dev/$node" "$ns/dev/"
    done
    [ "$RIG_KVM" = no ] || [ ! -e /dev/kvm ] || cp -a /dev/kvm "$ns/dev/"
    mkdir "$ns/dev/pts" "$ns/dev/shm" "$ns/dev/mqueue" "$ns/dev/hugepages"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$ns/dev/pts"
    ln -s pts/ptmx "$ns/dev/ptmx"
    mount -t tmpfs -o mode=1777 shm "$ns/dev/shm"
    # libvirt moves what it finds mounted below /dev: what the machine has there must be gone
    umount -R -l /dev 2>/dev/null || true
    mount --move "$ns/dev" /dev
}

private_cgroups() {
    local type options target links=$ns/cgroup-links
    mkdir "$links"
    find /sys/fs/cgroup -maxdepth 1 -type l -exec cp -a -t "$links" {} +
    umount -R -l /sys/fs/cgroup 2>/dev/null || true
    if ! grep -q '^cgroup2 [^ ]* /sys/fs/cgroup$' "$dir/cgroup-mounts"; then
        mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    fi
    while read -r type options target; do
        mkdir -p "$target"
        mount -t "$type" -o "$options" "$type" "$target" || die "cannot mount $type at $target"
    done <"$dir/cgroup-mounts"
    find "$links" -type l -exec cp -a -t /sys/fs/cgroup {} +
}

# As systemd does; a kernel without it has no directory for it.
private_tracefs() {
    umount -R -l /sys/kernel/tracing 2>/dev/null || true
    # shellcheck disable=SC2153 # of the options file
    if [ "$RIG_TRACE" = yes ] && [ -d /sys/kernel/tracing ]; then
        mount -t tracefs tracefs /sys/kernel/tracing || true
    fi
}

libvirt_conf() {
    rm -rf /etc/libvirt/qemu /etc/libvirt/hooks /etc/libvirt/nwfilter /etc/libvirt/storage \
        /etc/libvirt/secrets /etc/virtpin /usr/lib/virtpin
    mkdir -p /etc/libvirt/hooks/qemu.d /etc/libvirt/qemu
    cat >/etc/libvirt/libvirtd.conf <<CONF
host_uuid = "$RIG_UUID"
auth_unix_ro = "none"
auth_unix_rw = "none"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
listen_addr = "0.0.0.0"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
CONF
    cat >/etc/libvirt/qemu.conf <<CONF
security_driver = "none"
remember_owner = 0
CONF
    : >/etc/libvirt/virtlogd.conf
}

mount --make-rprivate /
hostname "$name"
mkdir -p "$ns" "$dir/log"
mount -t tmpfs -o mode=755 rig "$ns"
private_tree || die "no overlay over /etc and /usr"
private_dev
private_cgroups
private_tracefs
umount -R -l /run 2>/dev/null || true
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/systemd/journal
for d in /var/lib/libvirt /var/cache/libvirt /var/lib/virtpin /var/log/libvirt; do
    mkdir -p "$ns$d"
done
if [ ! -d /var/lib/virtpin ]; then
    # /var/lib has to be writable for us alone
    mkdir -p "$ns/varup" "$ns/varwork"
    mount -t overlay -o "lowerdir=/var/lib,upperdir=$ns/varup,workdir=$ns/varwork" rig /var/lib 2>/dev/null ||
        farm /var/lib
    mkdir -p /var/lib/virtpin
fi
chmod 700 "$ns/var/lib/virtpin"
mount --bind "$ns/var/lib/virtpin" /var/lib/virtpin
mount --bind "$ns/var/lib/libvirt" /var/lib/libvirt
mount --bind "$ns/var/cache/libvirt" /var/cache/libvirt
mount --bind "$dir/log" /var/log/libvirt
mkdir -p /var/cache/libvirt/qemu
if [ -d "$RIG_CAPS" ]; then
    cp -a "$RIG_CAPS" /var/cache/libvirt/qemu/capabilities
fi
libvirt_conf
# on a terminal virsh would start it, to ask a polkit that is not here
rm -f /usr/bin/pkttyagent
printf '127.0.0.1 localhost %s\n' "$name" >/etc/hosts
if [ -n "$RIG_TREE" ]; then
    cp -a "$RIG_TREE/." /
fi
exec 3<>"$dir/fifo"     # read and write: no end of file between two orders
if [ -n "$RIG_LOGSINK" ]; then
    "$RIG_LOGSINK" /dev/log /run/systemd/journal/socket "$dir/log/syslog" &
fi
cd /
: >"$dir/ready"

# An order is one line: PIDFILE LOGFILE COMMAND..., quoted for eval.
trap : TERM INT HUP
while :; do
    IFS= read -r order <&3 || continue
    eval "set -- $order"
    pidfile=$1 log=$2
    shift 2
    setsid "$@" </dev/null >>"$log" 2>&1 3<&- &
    echo $! >"$pidfile.new" && mv "$pidfile.new" "$pidfile"
done
