#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The nodes of a guest's memory come with it where the policy of the host that it comes to says so,
# at a migration and at a restore, and go where none does; nobody else's are touched.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a net
rig_standard b net
bound() {
    rig_policy "$1" bound <<CONF
[policy bound]
match-name = mem*
mode = enforce
placement = dedicated
memory = $2
CONF
}
bound a keep
bound b strict
check "an enforcer on each" rig_enforcer_start a || exit
check "of two hosts" rig_enforcer_start b || exit

live_has() {
    assert_match "$2 as it runs on $1" "*$3*" "$(rig_virsh "$1" dumpxml "$2" 2>&1)"
}
live_lacks() {
    ! live_has "$@" >/dev/null || { echo "$3 in $2 on $1: $(rig_virsh "$1" dumpxml "$2" | grep -A3 "$3")"; return 1; }
}
# what QEMU was started with
bind_has() {
    assert_match "command line of $2 on $1" '*"host-nodes":\[0],"policy":"bind"*' \
        "$(rig_exec "$1" cat "/proc/$(rig_qemu_pid "$1" "$2")/cmdline" | tr '\0' ' ')"
}
moves() {
    rig_virsh "$1" migrate --live "$3" "qemu+tcp://$2/system" "tcp://$2" 2>&1
}
nodes="<memory mode='strict' nodeset='0'/>"

check "a guest starts where no policy binds memory" rig_guest a mem1 vcpus=1
check "without nodes" live_lacks a mem1 numatune
check "it migrates to where one does" moves a b mem1
check "runs there" assert_state b mem1 running
check "with its nodes" live_has b mem1 "$nodes"
check "marked as virtpin's" live_has b mem1 memory=?strict
check "QEMU's memory is bound to them" bind_has b mem1
check "and its groups" assert_eq cpuset.mems 0 "$(cat "$(rig_cpuset_dir b mem1 vcpu 0)/cpuset.mems")"

check "it is saved" rig_virsh b save mem1 /run/mem1.save
check "and restored" rig_virsh b restore /run/mem1.save
check "with its nodes" live_has b mem1 "$nodes"
check "bound" bind_has b mem1
check "it migrates back" moves b a mem1
check "its nodes are gone" live_lacks a mem1 numatune
check "and the mark of them" live_lacks a mem1 memory=?strict
check "it runs" assert_state a mem1 running

bound a preferred
check "the policy binds it now" rig_wait 5 rig_exec a virtpin policy check
check "it is saved" rig_virsh a save mem1 /run/mem1.save
check "and restored" rig_virsh a restore /run/mem1.save
check "with the policy's mode" live_has a mem1 "<memory mode='preferred' nodeset='0'/>"
check "saved once more" rig_virsh a save mem1 /run/mem1.save
bound a keep
check "and restored under a policy that asks for none" rig_virsh a restore /run/mem1.save
check "it has none" live_lacks a mem1 numatune
rig_virsh a destroy mem1 >/dev/null

check "a guest with nodes of its owner's starts" rig_guest a mem2 vcpus=1 \
    top="<numatune><memory mode='preferred' nodeset='0'/></numatune>"
check "is saved" rig_virsh a save mem2 /run/mem2.save
check "and restored" rig_virsh a restore /run/mem2.save
check "and has them" live_has a mem2 "<memory mode='preferred' nodeset='0'/>"
check "nothing is open" rig_wait 10 assert_no_drift a
