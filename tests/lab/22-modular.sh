#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirt in parts: virtqemud instead of libvirtd. Where the system has no virtqemud it is libvirtd by
# that name, at that socket and in that unit, which is all that virtpin sees of it.
# lab: host
. "$(dirname "$0")/guest/lib.sh"
units=(libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket)

modular() {
    systemctl stop "${units[@]}" 2>/dev/null
    systemctl mask -q --runtime "${units[@]}"
    rm -f /run/libvirt/libvirt-*sock*
    if [ ! -e /usr/sbin/virtqemud ]; then
        cp /usr/sbin/libvirtd /usr/sbin/virtqemud
        cat >/run/systemd/system/virtqemud.service <<'UNIT'
[Unit]
After=dbus.service apparmor.service virtlogd.socket
Requires=virtlogd.socket
[Service]
Type=notify
ExecStart=/usr/sbin/virtqemud
ExecStartPost=/bin/mv /run/libvirt/libvirt-sock /run/libvirt/virtqemud-sock
ExecStartPost=/bin/rm -f /run/libvirt/libvirt-sock-ro /run/libvirt/libvirt-admin-sock
KillMode=process
Restart=on-failure
Delegate=yes
UNIT
    fi
    systemctl daemon-reload
    systemctl start virtqemud.service
}

back() {
    unset LIBVIRT_DEFAULT_URI
    systemctl stop virtqemud.service
    if [ -e /run/systemd/system/virtqemud.service ]; then
        rm -f /usr/sbin/virtqemud /run/systemd/system/virtqemud.service
    fi
    rm -f /run/libvirt/virtqemud-sock
    systemctl unmask -q --runtime "${units[@]}"
    systemctl daemon-reload
    systemctl start libvirtd.socket libvirtd.service
    lab_wait 20 virsh -q list >/dev/null
}
trap 'status=$?; back; (exit "$status"); lab_end' EXIT

check "the policies are sound" lab_db_and_web
pool=$(lab_undivided)
check "a guest starts under libvirtd" lab_guest db1 vcpus=2
own=$(lab_cpus db1)
check "virtqemud takes libvirtd's place" modular || exit 1
# Without a URI Debian's virsh asks at libvirtd's socket only.
export LIBVIRT_DEFAULT_URI=qemu:///system
check_not "no libvirtd is left" pidof libvirtd
check "it knows the guest" lab_wait 20 assert_running db1
in_place() {
    lab_one_each db1 2 && assert_eq "CPUs of db1" "$own" "$(lab_cpus db1)"
}
check "which is in its place" in_place
check "virtpind is connected" lab_wait 20 assert_status enforcer.libvirt connected
doctor() {
    local out status
    out=$(virtpin doctor)
    status=$?
    echo "$out"
    return $status
}
check "virtpin doctor finds no error" doctor

# The stand-in has no profile of its own, and so no AppArmor to be told that it is not wanted.
check "a shared guest starts" lab_guest web1 vcpus=1 confined=yes
check "beside the dedicated one" assert_at web1 vcpu 0 "$(lab_minus "$pool" "$own")"
check "a dedicated guest starts" lab_guest db2 vcpus=2 confined=yes
check "on a CPU for each vCPU" lab_one_each db2 2
lab_settle
check "virsh vcpupin succeeds" virsh -q vcpupin db1 0 0 --live
check "and the vCPU comes back" lab_wait 20 in_place
taskset -cp 0 "$(lab_tid web1 vcpu 0)" >/dev/null
check "a moved thread is put back" lab_wait 10 assert_at web1 vcpu 0 \
    "$(lab_minus "$pool" "$(lab_union "$own" "$(lab_cpus db2)")")"

systemctl restart virtqemud
check "virtqemud restarts" lab_wait 20 virsh -q list
check "the guests are in place" in_place
check "virtpind connects again" lab_wait 20 assert_status enforcer.libvirt connected
kill -KILL "$(pidof virtqemud)"
check "virtqemud is killed and comes back" lab_wait 30 virsh -q list
check "the guests are in place" in_place
check "virtpind connects again" lab_wait 20 assert_status enforcer.libvirt connected
virsh -q destroy db2
check "a stopped guest's CPUs are free" lab_wait 14 assert_status cpus.dedicated "$own"
check "nothing is open" lab_wait 15 assert_calm
