#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A cpuset partition beside machine.slice that takes a guest's CPU: said with its level and file,
# and left alone.
. "$(dirname "$0")/guest/lib.sh"
case $LAB_VARIANTS in
*v1*) lab_skip_all "partitions are cgroup v2's" ;;
esac
check "the policies are sound" lab_db_and_web
check "a dedicated guest starts" lab_guest db1 vcpus=2
first=$(lab_mask db1 vcpu 0)
second=$(lab_mask db1 vcpu 1)
lab_settle

beside=/sys/fs/cgroup/taker
take() {
    mkdir "$beside" && echo "$first" >"$beside/cpuset.cpus" &&
        echo root >"$beside/cpuset.cpus.partition" && is_root
}
is_root() {
    assert_eq "the partition beside" root "$(<"$beside/cpuset.cpus.partition")"
}
left() {
    local mask
    mask=$(lab_mask db1 vcpu 0) && ! lab_expand "$mask" | grep -qwF "$first" && return
    echo "vCPU 0 may run on $mask"
    return 1
}
check "a partition takes CPU $first" take
check "the vCPU has lost it" lab_wait 5 left
check "which is recorded" lab_wait 10 assert_drift db1 partition open
# The partition is cut out of the root: that is the first group without it.
where() {
    assert_match "where" /sys/fs/cgroup/cpuset.cpus.effective "$(lab_drift "db1 partition open" where)"
}
check "it names the level and the file" where
check_not "status is not content" virtpin status
sleep 4
check "the partition is left alone" is_root
check "the guest runs on" assert_running db1
check "its other vCPU is where it was" assert_mask db1 vcpu 1 "$second"

echo member >"$beside/cpuset.cpus.partition"
rmdir "$beside"
back() {
    assert_at db1 vcpu 0 "$first" && assert_at db1 vcpu 1 "$second"
}
check "without it the vCPU is back" lab_wait 40 back
check "nothing is open" lab_wait 20 assert_calm
