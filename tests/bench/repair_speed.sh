#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# From a foreign change to the thing put back, as the one who changed it sees it: a thread's
# affinity, the cpuset of a leaf, and the guest's own group.
# Variables: COUNT (300), GUESTS (4), VCPUS (4).
. "$(dirname "$0")/../rig/lib.sh"
rig_need
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
COUNT=${COUNT:-300}
GUESTS=${GUESTS:-4}
VCPUS=${VCPUS:-4}
meddle=$(rig_program meddle)

rig_up a
# Nothing is contested: the point is how fast it is, not when it gives up.
mkdir -p "$(rig_root a)/etc/virtpin"
printf '[host]\ncontested = 100/10ms\nrepair-limit = 100000/1s\n' \
    >"$(rig_root a)/etc/virtpin/virtpin.conf"
rig_policy a speed <<'CONF'
[policy speed]
match-name = speed*
mode = enforce
placement = shared
CONF
rig_enforcer_start a >/dev/null || rig_die "the enforcer does not come up"
for i in $(seq "$GUESTS"); do
    rig_guest a "speed$i" vcpus="$VCPUS" mem=16 || rig_die "guest $i does not start"
done
sleep 2
all=$(rig_cpus)
one=${all##*[-,]}
leaf=$(rig_inner_cpuset_dir a speed1 vcpu 0)

# line WHAT KIND THING VALUE
line() {
    local took
    took=$(rig_exec a "$meddle" "$2" "$3" "$4" "$COUNT") || rig_die "$1: $took"
    echo "$took" | awk -v what="$1" '{
        printf "  %-34s median %6d us, p90 %6d, p99 %6d, longest %6d\n", what, $2, $3, $4, $5 }'
}
printf 'repairs, %d of each, %d guests of %d vCPUs, load %s\n' "$COUNT" "$GUESTS" "$VCPUS" \
    "$(cut -d' ' -f1 /proc/loadavg)"
line "sched_setaffinity of a vCPU" affinity "$(rig_tid a speed1 vcpu 1)" "$one"
line "cpuset of a vCPU's group" cpuset "$leaf/cpuset.cpus" "$one"
line "cpuset of the emulator's group" cpuset "${leaf%/*}/emulator/cpuset.cpus" "$one"
