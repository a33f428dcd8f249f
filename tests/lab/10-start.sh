#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests are on their CPUs when virsh start returns: whole cores, one node, pool and neighbours.
. "$(dirname "$0")/guest/lib.sh"
pool=$(lab_undivided)
core=$(lab_shared_core)
threads=$(lab_count "$core")
node=$(</sys/devices/system/node/node1/cpulist)
# in a node: an isolated guest, and a core for its emulator
alone=$(($(lab_count "$(lab_cores_of "$node")") - 1))
[ "$alone" -le 2 ] || alone=2
whole=require
[ "$threads" -gt 1 ] || whole=prefer
check "the policies are sound" lab_policy <<CONF
[policy db]
match-name = db*
mode = enforce
placement = dedicated
thread-policy = $whole
numa = single

[policy whole]
base = db
match-name = whole*
mode = enforce
thread-policy = require

[policy alone]
match-name = alone*
mode = enforce
placement = dedicated
thread-policy = isolate
numa = single
emulator = isolate

[policy wide]
match-name = wide*
mode = enforce
placement = dedicated
numa = fewest

[policy web]
match-name = web*
mode = enforce
placement = shared
CONF

check "a shared guest starts" lab_guest web1 vcpus=2
check "it has all CPUs while none is dedicated" assert_at web1 vcpu 1 "$pool"
if [ "$threads" = 1 ]; then
    lab_define whole1 vcpus=2
    check "a guest under require is refused where a core has one thread" assert_match \
        "virsh start" '*more than one thread online*' "$(virsh -q start whole1 2>&1)"
fi

check "four vCPUs under $whole and single start" lab_guest db1 vcpus=4 iothreads=1 confined=yes
check "a CPU for each when virsh came back" lab_one_each db1 4
own=$(lab_cpus db1)
check "on one node" assert_match "node of CPUs $own" '[0-9]' "$(lab_node_of "$own")"
check "on whole cores" assert_eq "CPUs of those cores" "$own" "$(lab_whole "$own")"
rest=$(lab_minus "$pool" "$own")
check "the emulator is in the pool" assert_at db1 emulator "$rest"
check "the I/O thread too" assert_at db1 iothread 1 "$rest"
check "the shared guest has left, vCPU 0" assert_at web1 vcpu 0 "$rest"
check "the shared guest has left, emulator" assert_at web1 emulator "$rest"
check "status says the same" assert_status cpus.dedicated "$own"
check "and that they are its own" assert_guest db1 exclusive true

check "$alone vCPUs under isolate start" lab_guest alone1 vcpus=$alone
check "a CPU for each of them" lab_one_each alone1 "$alone"
two=$(lab_cpus alone1)
check "the siblings idle" assert_eq "cores of $two" "$alone" "$(lab_count "$(lab_cores_of "$two")")"
emulator=$(lab_mask alone1 emulator)
check "its emulator has a CPU of its own" assert_eq "CPUs of it" 1 "$(lab_count "$emulator")"
taken=$(lab_whole "$(lab_union "$two" "$emulator")")
check "nobody else is on those cores" assert_disjoint "$taken" "$own"
rest=$(lab_minus "$rest" "$taken")
check "the pool shrank by whole cores" assert_at web1 vcpu 0 "$rest"
check "for the other guest's emulator too" assert_at db1 emulator "$rest"
check "the core of CPU 0 is in what is left" assert_eq "core of CPU 0 in the pool" "" \
    "$(lab_minus "$core" "$rest")"

lab_define db9 vcpus=12
check_not "twelve more do not fit on one node" virsh -q start db9
said=$(virsh -q start db9 2>&1)
check "which virsh is told" assert_match "virsh start" '*virtpin*' "$said"
echo "# $said"
virsh -q destroy alone1
virsh -q destroy db1
check "all goes back to the pool" lab_wait 14 assert_at web1 vcpu 0 "$pool"
wide=$(($(lab_count "$node") + threads))
check "a guest larger than a node starts under fewest" lab_guest wide1 vcpus=$wide
check "a CPU for each" lab_one_each wide1 "$wide"
nodes=$(lab_node_of "$(lab_cpus wide1)")
check "on two nodes" assert_eq "number of nodes $nodes" 2 "$(lab_count "$nodes")"
check "nothing is open" lab_wait 10 assert_calm
