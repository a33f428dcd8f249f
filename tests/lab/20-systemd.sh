#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# systemd's own commands beside running guests.
. "$(dirname "$0")/guest/lib.sh"
online=$(lab_online)
check "the policies are sound" lab_db_and_web 'numa = single'
check "a dedicated guest starts" lab_guest db1 vcpus=2
check "a shared guest starts" lab_guest web1 vcpus=1
own=$(lab_cpus db1)
first=$(lab_mask db1 vcpu 0)
pool=$(lab_minus "$(lab_undivided)" "$own")
in_place() {
    lab_one_each db1 2 && assert_eq "CPUs of db1" "$own" "$(lab_cpus db1)" &&
        assert_at web1 vcpu 0 "$pool"
}

systemctl daemon-reload
check "daemon-reload moves nobody" in_place
systemctl daemon-reexec
check "daemon-reexec neither" in_place
scope=$(machinectl list --no-legend --no-pager | awk '/db1/ { print $1 }')
check "machined knows the guest" assert_match "machine" '*db1' "$scope"
unit=$(loginctl show-seat seat0 >/dev/null 2>&1; systemctl list-units --no-legend --plain 'machine-qemu*db1.scope' | awk '{ print $1 }')
check "set-property on its scope" systemctl set-property --runtime "$unit" CPUWeight=50
check "moves nobody" in_place
check "nothing is open" lab_wait 10 assert_calm

case $LAB_VARIANTS in
*v1*)
    skip "machine.slice narrowed" "AllowedCPUs= is cgroup v2's"
    exit
    ;;
esac
# As seen: the property's end does not widen the slice again.
core=$(lab_shared_core)
check "machine.slice is narrowed" systemctl set-property --runtime machine.slice "AllowedCPUs=$core"
narrowed() {
    assert_mask db1 vcpu 0 "$core"
}
check "the dedicated vCPU is squeezed" lab_wait 5 narrowed
check "which is recorded" lab_wait 10 assert_drift db1 cpuset-above open
check_not "status is not content" virtpin status
where() {
    assert_match "where" '*machine.slice*' "$(lab_drift "db1 cpuset-above open" where)"
}
check "it names the slice" where
check "the guest runs on" assert_running db1
check "the property is taken away" systemctl set-property --runtime machine.slice AllowedCPUs=
sleep 3
check "the kernel's narrowing stays" lab_wait 5 narrowed
check "and virtpin still says so" assert_drift db1 cpuset-above open
check "machine.slice is widened by hand" systemctl set-property --runtime machine.slice "AllowedCPUs=$online"
check "all are back in their places" lab_wait 15 in_place
check "CPU $first is db1's" assert_at db1 vcpu 0 "$first"
check "nothing is open" lab_wait 10 assert_calm

# A partition that is narrow from the start is what the guest may use.
check "machine.slice is without node 0" systemctl set-property --runtime machine.slice \
    "AllowedCPUs=$(lab_minus "$online" "$(cat /sys/devices/system/node/node0/cpulist)")"
virsh -q destroy db1
virsh -q destroy web1
check "all bookings go" lab_wait 14 assert_status cpus.dedicated ""
check "a dedicated guest starts there" virsh -q start db1
check "on a CPU each" lab_one_each db1 2
check "of another node" assert_match "node" '[1-9]' "$(lab_node_of "$(lab_cpus db1)")"
systemctl set-property --runtime machine.slice "AllowedCPUs=$online"
check "nothing is open" lab_wait 10 assert_calm
