#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# reserve = always: a guest that is off keeps its CPUs, and its definition has pins and nodes.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a places <<'CONF'
[policy kept]
match-name = kept*
mode = enforce
placement = dedicated
memory = strict
reserve = always

[policy other]
match-name = other*
mode = enforce
placement = dedicated
CONF
all=$(rig_cpus)
[ "$all" = 0-1 ] || rig_skip_all "the figures are those of a host of two CPUs, this one has $all"

defined() {
    rig_virsh a dumpxml --inactive "$1" | grep -q -- "$2" ||
        { echo "no $2 in the definition of $1: $(rig_virsh a dumpxml --inactive "$1" | head -30)"; return 1; }
}
not_defined() {
    ! defined "$@" >/dev/null || { echo "$2 is in the definition of $1"; return 1; }
}
gone() {
    [ -z "$(rig_guest_status a "$1" state)" ] || { echo "$1 still holds CPUs"; return 1; }
}

check "the enforcer comes up" rig_enforcer_start a || exit
check "a guest is defined" rig_define a kept1 vcpus=1
check "its definition gets its pin" rig_wait 5 defined kept1 "<vcpupin vcpu='0' cpuset='1'/>"
check "and its nodes" defined kept1 "<memory mode='strict' nodeset='0'/>"
check "and says whose they are" defined kept1 "memory=.strict.*policy=.kept\|policy=.kept.*memory=.strict"
check "it has its CPU while it is off" assert_guest a kept1 state reserved
check "that CPU" assert_guest a kept1 cpus 1

rig_define a other1 vcpus=1
rig_exec a virsh start other1 >/run/rig-reserve.out 2>&1
check "another guest does not get it" grep -q "kept1 has CPU 1" /run/rig-reserve.out
rm -f /run/rig-reserve.out

check "the guest starts" rig_virsh a start kept1
check "on its CPU" assert_affinity a kept1 vcpu 0 1
check "as libvirt has it" grep -q "<vcpupin vcpu='0' cpuset='1'/>" \
    "$(rig_root a)/run/libvirt/qemu/kept1.xml"
check "and runs" assert_guest a kept1 state running
check "it ends" rig_virsh a destroy kept1
check "and has its CPU" rig_wait 5 assert_guest a kept1 state reserved

rig_enforcer_stop a
rig_exec a rm -f /run/virtpin/ledger.db /run/virtpin/ledger.db-wal /run/virtpin/ledger.db-shm
check_not "with the ledger lost another gets it no more than before" rig_virsh a start other1
check "the reservation was read from the definition" assert_guest a kept1 cpus 1
check "the enforcer comes back" rig_enforcer_start a

check "virtpin's part is taken out" rig_exec a virtpin revert kept1
check "pins" not_defined kept1 vcpupin
check "and nodes" not_defined kept1 numatune
check "the guest is undefined" rig_virsh a undefine kept1
check "its CPU is free" rig_wait 5 gone kept1
check "and another has it" rig_virsh a start other1
check "as it should" assert_affinity a other1 vcpu 0 1
