#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# virtpin is installed on a host whose libvirtd runs already.
. "$(dirname "$0")/guest/lib.sh"
cd /var/lib/lab || exit 1
trap - EXIT

check "systemd is PID 1" assert_eq "comm of PID 1" systemd "$(cat /proc/1/comm)"
case $LAB_VARIANTS in
*v1*) check "cgroup v1" test -d /sys/fs/cgroup/cpuset ;;
*) check "cgroup v2" test -e /sys/fs/cgroup/cgroup.controllers ;;
esac
case $LAB_VARIANTS in
*nosmt*) check "no thread has a sibling online" assert_eq "siblings of CPU 0" 0 "$(lab_siblings 0)" ;;
*) check "CPU 0 has a thread sibling" assert_eq "siblings of CPU 0" 0-1 "$(lab_siblings 0)" ;;
esac
case $LAB_VARIANTS in
*nodes4*) check "four nodes" test -d /sys/devices/system/node/node3 ;;
*) check "two nodes" test -d /sys/devices/system/node/node1 -a ! -d /sys/devices/system/node/node2 ;;
esac
check "AppArmor is on" assert_eq "enabled" Y "$(cat /sys/module/apparmor/parameters/enabled)"
# What AppArmor denies libvirt and QEMU without virtpin is not our business.
lab_guest before confined=yes || lab_die "a guest does not start without virtpin"
mkdir -p state
confined() {
    assert_match "profile of libvirtd" '*\(enforce)' \
        "$(cat "/proc/$(pidof libvirtd virtqemud)/attr/current")"
}
check "libvirtd is confined" confined
virsh -q destroy before
virsh -q undefine before
lab_denials >state/denials

libvirtd=$(pidof libvirtd virtqemud)
if [ -e virtpin.deb ]; then
    check "the package installs" dpkg -i virtpin.deb
    check "libvirtd was only reloaded for it" assert_eq "PID" "$libvirtd" "$(pidof libvirtd virtqemud)"
else
    cp -a --no-preserve=ownership tree/. / || lab_die "cannot copy the programs"
    systemctl daemon-reload
    systemd-tmpfiles --create virtpin.conf
    # libvirtd looks for hooks when it starts
    systemctl restart libvirtd
    systemctl enable -q --now virtpind || lab_die "$(systemctl status virtpind)"
fi
check "virtpind runs" lab_wait 20 systemctl is-active virtpind || exit 1
: >state/installed
check "virtpin status is content" lab_wait 20 virtpin status
check "the enforcer can repair" assert_status enforcer.can_repair true
check "it is connected" lab_wait 10 assert_status enforcer.libvirt connected
check "no policy is active as shipped" assert_status policy.policies 0
check "the hook is a link to /usr/sbin" assert_eq "link" /usr/sbin/virtpin-hook \
    "$(readlink -f /etc/libvirt/hooks/qemu.d/50-virtpin)"
check "a guest without a policy starts" lab_guest plain vcpus=2 confined=yes
check "it may run anywhere" assert_mask plain vcpu 1 "$(lab_online)"
check "and is unmanaged" assert_guest plain state unmanaged
virsh -q destroy plain
lab_policy >/dev/null <<<$'[policy big]\nmatch-name = big\nmode = enforce\nplacement = dedicated'
lab_define big vcpus=40
said=$(virsh -q start big 2>&1)
check "libvirtd has noticed the hook" assert_match "virsh start of 40 vCPUs" '*virtpin: guest big*' "$said"
check "virtpin doctor finds no error" virtpin doctor
# fanotify and BPF, both inside the unit's sandbox
sees() {
    local said
    said=$(virtpin doctor 2>&1)
    assert_match "virtpin doctor" '*the enforcer sees writes and calls at once*' "$said"
}
check "the enforcer sees writes and calls" sees
exposed() {
    systemd-analyze --no-pager security --threshold=22 virtpind.service | tail -n 1
    return "${PIPESTATUS[0]}"
}
check "virtpind's unit is exposed by 2.2 at most" exposed
lab_clean
