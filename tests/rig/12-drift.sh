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
moved() {
    local tid
    tid=$(rig_tid "${@:2}") || return 1
    rig_exec "$2" taskset -cp "$1" "$tid"
}

# While all CPUs are shared: the kernel allows nobody to leave a cpuset.
all=$(rig_cpus)
one=${all##*[-,]}
check "a shared guest starts" rig_guest a web1 vcpus=2 current=1 iothreads=1
rig_settle
check "taskset on a vCPU" moved "$one" a web1 vcpu 0
check "is undone" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"
check "and recorded" rig_wait 5 assert_drift a affinity repaired
check "taskset on the emulator" moved "$one" a web1 emulator
check "is undone" rig_wait 10 assert_affinity a web1 emulator "$all"
check "taskset on an I/O thread" moved "$one" a web1 iothread 1
check "is undone" rig_wait 10 assert_affinity a web1 iothread 1 "$all"

check "a guest under audit starts" rig_guest a audit1 vcpus=1
rig_settle
check "it may be moved" moved "$one" a audit1 vcpu 0
check "which is recorded" rig_wait 10 assert_drift a affinity audit
check "and not undone" assert_mask a audit1 vcpu 0 "$one"
rig_virsh a destroy audit1 >/dev/null

check "a guest is held" rig_exec a virtpin hold web1 --for 1m
check "it may be moved" moved "$one" a web1 vcpu 0
check "which is recorded" rig_wait 10 assert_drift a affinity held
check "and left" assert_mask a web1 vcpu 0 "$one"
check "until it is let go" rig_exec a virtpin hold web1 --for 0s
check "then it is put back" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"

check "a dedicated guest starts" rig_guest a db1 vcpus=1 iothreads=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
first=${rest%%[-,]*}
check_not "the kernel itself keeps taskset from a dedicated vCPU" moved "$first" a db1 vcpu 0

rig_settle
file=$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus
check "a cpuset file rewritten" rig_exec a sh -c "echo $first >$file; sleep 1"
check "is undone" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "and recorded" rig_wait 5 assert_drift a cpuset repaired
check "with the writer" assert_eq "by.comm" sh "$(rig_drift a cpuset repaired by.comm)"
check "and where" assert_match "where" "*vcpu0*" "$(rig_drift a cpuset repaired where)"
check "and how long the repair took" test "$(rig_drift a cpuset repaired repair_us)" -gt 0
check "the journal has it" rig_wait 2 assert_log a "cpuset"

# exit 1 were an open one; the words of the record are in the list, or not
listed() {
    rig_exec a virtpin drift --json "$@" | grep -q '"kind":"cpuset"'
}
check "drift shows it by guest, kind, culprit and time" \
    listed --guest db1 --kind cpuset,mems --by sh --since 10m
check_not "not to who asks for another guest" listed --guest web1
check_not "another kind" listed --kind affinity
check_not "another culprit" listed --by taskset
check_not "or another time" listed --until 1h
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
check "an I/O thread is added" rig_virsh a iothreadadd db1 7 --live
check "it has the shared CPUs, too" rig_wait 10 assert_affinity a db1 iothread 7 "$rest"
check "and the vCPU is where it was" assert_affinity a db1 vcpu 0 "$own"
# Both are there when it looks again: what the ledger says is read before what the guest has.
rig_signal a virtpind STOP
check "an I/O thread is added while the enforcer stands still" rig_virsh a iothreadadd web1 8 --live
check "and a guest starts" rig_guest a web2
rig_signal a virtpind CONT
check "the I/O thread has the shared CPUs" rig_wait 10 assert_affinity a web1 iothread 8 "$rest"
rig_virsh a destroy web2 >/dev/null
check "libvirt knows the pins" rig_wait 10 assert_match "vcpupin" "*$own*" \
    "$(rig_virsh a vcpupin db1 0 --live)"

check "libvirtd is stopped" rig_signal a libvirtd STOP
check "a cpuset is rewritten while it cannot answer" rig_exec a sh -c "echo $first >$file"
check "and is put back all the same" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
rig_signal a libvirtd CONT
check "libvirtd answers again" rig_virsh a list
