#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Mixed guests, pools with a ratio, guests that wait in the pool for room, CPUs of I/O threads that
# went.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a places <<'CONF'
[pool default]
ratio = 3

[policy mixed]
match-name = mixed*
mode = enforce
placement = mixed
dedicated-vcpus = 1

[policy patient]
match-name = patient*
mode = enforce
placement = dedicated
on-no-room = shared
CONF
all=$(rig_cpus)
[ "$all" = 0-1 ] || rig_skip_all "the figures are those of a host of two CPUs, this one has $all"
check "the enforcer comes up" rig_enforcer_start a || exit

check "a mixed guest starts" rig_guest a mixed1 vcpus=2
check "vCPU 1 has a CPU of its own" assert_affinity a mixed1 vcpu 1 1
check "vCPU 0 runs in the pool" assert_affinity a mixed1 vcpu 0 0
check "the emulator too" assert_affinity a mixed1 emulator 0
check "status says so" assert_guest a mixed1 placement mixed

check "a shared guest starts" rig_guest a web1 vcpus=2
check_not "above the pool's ratio none does" rig_guest a web2 vcpus=1
rig_exec a virsh start web2 >/run/rig-start.out 2>&1
check "and is told why" grep -q "pool default has 1 CPU for 3 vCPUs at ratio 3, 3 of them taken" \
    /run/rig-start.out
check "the shared guest ends" rig_virsh a destroy web1

check "a guest that may wait starts in the pool" rig_guest a patient1 vcpus=1
check "with others" assert_affinity a patient1 vcpu 0 0
check "the mixed guest ends" rig_virsh a destroy mixed1
check "then it has the CPU" rig_wait 10 assert_affinity a patient1 vcpu 0 1
check "and status has it" assert_guest a patient1 cpus 1
check "nothing is open" assert_no_drift a
