#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests that are moved while they run: by name, to make room for another, and back when it fails.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a places <<'CONF'
[host]
dedicated = all

[policy own]
match-name = own*
mode = enforce
placement = dedicated
emulator = with-vcpus

[policy kept]
base = own
match-name = kept*
reserve = always

[policy here]
match-name = here*
mode = enforce
placement = fixed
vcpupin = 0:0
emulator = 0

[policy rest]
match-name = rest*
mode = enforce
placement = shared
CONF
all=$(rig_cpus)
[ "$all" = 0-1 ] || rig_skip_all "the figures are those of a host of two CPUs, this one has $all"

# exits STATUS ARGUMENT...: virtpin ends so; what it prints is in $out
exits() {
    local status
    out=$(rig_exec a virtpin "${@:2}" 2>&1)
    status=$?
    [ "$status" = "$1" ] || { echo "expected $1, found $status: $out"; return 1; }
}
says() {
    rig_exec a virtpin "${@:2}" 2>&1 | grep -q -- "$1" ||
        { echo "no \"$1\" in: $(rig_exec a virtpin "${@:2}" 2>&1)"; return 1; }
}

check "the enforcer comes up" rig_enforcer_start a || exit
check "a guest starts" rig_guest a own1 vcpus=1
check "on the lowest CPU" assert_affinity a own1 vcpu 0 0
check "a shared one starts" rig_guest a rest1 vcpus=1
check "beside it" assert_affinity a rest1 vcpu 0 1

check "to where it is nothing is moved" exits 0 move own1 --to 0
check "a CPU that is not there is wrong use" exits 2 move own1 --to 7
check "a shared guest is not moved" exits 1 move rest1
check "nor one that is not there" exits 1 move nobody
check "the guest is moved" exits 0 move own1 --to 1
check "it is there" assert_affinity a own1 vcpu 0 1
check "the shared one made room" assert_affinity a rest1 vcpu 0 0
check "libvirt knows" rig_wait 5 grep -q "<vcpupin vcpu='0' cpuset='1'/>" \
    "$(rig_root a)/run/libvirt/qemu/own1.xml"
check "and back, with JSON" says '"moved":true,"state":"done","from":"1","to":"0"' \
    move own1 --to 0 --json

rig_define a here1 vcpus=1
check_not "who wants that CPU does not fit" rig_virsh a start here1
rig_exec a virsh start here1 >/run/rig-move.out 2>&1
check "and is told of the way" grep -q "moving own1 would make room: virtpin defrag --for here1" \
    /run/rig-move.out
rm -f /run/rig-move.out
check "explain has it too" says "moving own1 would make room" explain here1
check "a dry run says what" says "would move own1: CPUs 0 -> 1" defrag --for here1 --dry-run
check "and moves nothing" assert_affinity a own1 vcpu 0 0

# A file that cannot be written keeps the move from coming into force.
group=$(rig_inner_cpuset_dir a own1 vcpu 0)
rig_exec a mount --bind "$group/cpuset.cpus" "$group/cpuset.cpus"
rig_exec a mount -o remount,bind,ro "$group/cpuset.cpus"
check "a move that fails ends with 1" exits 1 defrag --for here1
check "it is undone" assert_affinity a own1 vcpu 0 0
check "in the bookings too" assert_guest a own1 cpus 0
check "the shared one is back as well" rig_wait 5 assert_affinity a rest1 vcpu 0 1
rig_exec a umount "$group/cpuset.cpus"

check "with it gone room is made" says '"state":"done"' defrag --for here1 --json
check "by one move" assert_affinity a own1 vcpu 0 1
check "then it fits" says "fits as it is" defrag --for here1 --dry-run
check "and starts" rig_virsh a start here1
check "on its CPU" assert_affinity a here1 vcpu 0 0
check "a second of them is fitted in no more" exits 1 defrag --for own1
check "no thread is elsewhere" rig_wait 5 rig_exec a virtpin drift --kind affinity,cpuset,pin

rig_enforcer_stop a
check "the fixed guest ends" rig_virsh a destroy here1
check "without the enforcer a guest is moved, too" exits 0 move own1 --to 0
check "and is there" assert_affinity a own1 vcpu 0 0
check "and libvirt knows" grep -q "<vcpupin vcpu='0' cpuset='0'/>" \
    "$(rig_root a)/run/libvirt/qemu/own1.xml"
check "nothing would be better" says "no single move makes it better" defrag

# The place of a guest that keeps it while it is off stands in its definition.
for guest in own1 rest1; do
    rig_virsh a destroy $guest
done
stands() {
    assert_match "definition of kept1" "*<vcpupin vcpu='0' cpuset='$1'/>*" \
        "$(rig_virsh a dumpxml --inactive kept1)"
}
check "the enforcer comes back" rig_enforcer_start a
rig_define a kept1 vcpus=1
check "a guest's definition has its CPU" rig_wait 10 stands 0
check "it starts" rig_virsh a start kept1
check "is moved" exits 0 move kept1 --to 1
check "and its definition with it" rig_wait 5 stands 1
check "and back" exits 0 move kept1 --to 0
check "likewise" rig_wait 5 stands 0
