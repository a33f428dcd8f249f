#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What cgroup v1 leaves behind when a CPU went offline and came back: groups above that have lost it, and
# a thread in the group above its own, which had become empty.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
all=$(rig_cpus) one=$(rig_cpus | sed 's/[-,].*//')
[ "$all" != "$one" ] || rig_skip_all "one CPU"
check "the enforcer comes up" rig_enforcer_start a || exit
check "a shared guest starts" rig_guest a web1 vcpus=1 || exit
own=$(rig_cpuset_dir a web1 vcpu 0)
guest=${own%/*}
[ -e "$guest/tasks" ] || rig_skip_all "cgroup v2 keeps what a group had"
knows() {
    assert_eq "vCPU 0 by virsh vcpupin" "$1" "$(rig_virsh a vcpupin web1 0 --live | awk '$1 == 0 { print $2 }')"
}
calm() {
    rig_exec a virtpin drift
}
check "libvirt knows where it is" rig_wait 10 knows "$all"
check "nothing is open" rig_wait 10 calm

rig_enforcer_stop a
for group in "$guest"/*/ "$guest" "${guest%/*}"; do
    echo "$one" >"$group/cpuset.cpus"
done
check "the enforcer finds the groups narrowed" rig_enforcer_start a
check "the guest has what they left it" assert_affinity a web1 vcpu 0 "$one"
check "which libvirt is told" rig_wait 10 knows "$one"
check "nothing is open" rig_wait 10 calm

rig_settle
inner=$(rig_inner_cpuset_dir a web1 vcpu 0)
move() {
    rig_exec a sh -c "echo $(rig_tid a web1 vcpu 0) >'$1/tasks'"
}
check "the thread is moved up" move "${inner%/*}"
open() {
    assert_eq "times" "$1" "$(rig_drift a group open count)"
}
check "a thread in the group above its own is said" rig_wait 10 open 1
sleep 4
check "once" open 1
check "and has its CPUs there" assert_mask a web1 vcpu 0 "$one"
check "it is moved back" move "$inner"
check "and nothing is open" rig_wait 10 calm
