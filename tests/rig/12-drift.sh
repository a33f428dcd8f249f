#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The enforcer keeps guests as decided: what moves a thread is undone and recorded, what libvirt
# does in good order is not disturbed.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a watched <<'CONF'
[policy watched]
match-name = audit*
mode = audit
placement = shared
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest starts" rig_guest a db1 vcpus=1 iothreads=1
check "a shared guest starts" rig_guest a web1 vcpus=2 current=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
first=${rest%%[-,]*}

moved() {
    local tid
    tid=$(rig_tid "$@") || return 1
    rig_exec "$1" taskset -cp "${MOVE_TO}" "$tid"
}

MOVE_TO=$first
check "taskset on a vCPU" moved a db1 vcpu 0
check "is undone" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "and recorded" rig_wait 5 assert_drift a affinity repaired
MOVE_TO=$own
check "taskset on the emulator" moved a db1 emulator
check "is undone" rig_wait 10 assert_affinity a db1 emulator "$rest"
check "taskset on an I/O thread" moved a db1 iothread 1
check "is undone" rig_wait 10 assert_affinity a db1 iothread 1 "$rest"

file=$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus
check "a cpuset file rewritten" rig_exec a sh -c "echo $first >$file"
check "is undone" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "and recorded" rig_wait 5 assert_drift a cpuset repaired
check "with the writer" assert_eq "by.comm" sh "$(rig_drift a cpuset repaired by.comm)"
check "and where" assert_match "where" "*vcpu0*" "$(rig_drift a cpuset repaired where)"
check "and how long the repair took" test "$(rig_drift a cpuset repaired repair_us)" -gt 0
check "the journal has it" rig_wait 2 assert_log a "cpuset"
check "nothing is open" assert_no_drift a

# libvirt writes a cpuset and then sets affinity: a repair between the two would make its call fail
pins() {
    rig_exec a sh -c "for i in \$(seq 40); do
        virsh -q vcpupin db1 0 $first --live || exit 1
        virsh -q vcpupin db1 0 $own --live || exit 1; done"
}
check "eighty calls of virsh vcpupin beside the enforcer all succeed" pins
check "the vCPU is where it belongs after them" rig_wait 15 assert_affinity a db1 vcpu 0 "$own"

check "a vCPU is plugged" rig_virsh a setvcpus web1 2 --live
check "the new one has the shared CPUs" rig_wait 10 assert_affinity a web1 vcpu 1 "$rest"
check "libvirt knows the pins" rig_wait 10 assert_match "vcpupin" "*$own*" \
    "$(rig_virsh a vcpupin db1 0 --live)"

check "libvirtd is stopped" rig_signal a libvirtd STOP
MOVE_TO=$first
check "a thread is moved while it cannot answer" moved a db1 vcpu 0
check "and is put back all the same" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
rig_signal a libvirtd CONT

check "a guest under audit starts" rig_guest a audit1 vcpus=1
MOVE_TO=$own
check "it may be moved" moved a audit1 vcpu 0
check "which is recorded" rig_wait 10 assert_drift a affinity audit
check "and not undone" assert_mask a audit1 vcpu 0 "$own"
rig_virsh a destroy audit1 >/dev/null

check "drift of a guest on hold" rig_exec a virtpin hold db1 --for 1m
MOVE_TO=$first
check "may be made" moved a db1 vcpu 0
sleep 3
check "and is left" assert_mask a db1 vcpu 0 "$first"
