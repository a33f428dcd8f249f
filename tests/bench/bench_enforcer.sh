#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the enforcer costs with 20 guests at rest: part of a core, resident memory.
# Variables: GUESTS (20), SECONDS_AT_REST (40).
. "$(dirname "$0")/../rig/lib.sh"
rig_need
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
GUESTS=${GUESTS:-20}
SECONDS_AT_REST=${SECONDS_AT_REST:-40}

# Nanoseconds that all threads of the enforcer have run.
ran() {
    cat "$(rig_root a)/proc/$(rig_daemon_pid a virtpind)/task"/*/schedstat | awk '{ n += $1 } END { printf "%d\n", n }'
}

rss() {
    awk "/^$1:/ { print \$2 }" "$(rig_root a)/proc/$(rig_daemon_pid a virtpind)/status"
}

rig_up a
rig_policy a rest <<'CONF'
[policy rest]
match-name = rest*
mode = enforce
placement = shared
CONF
rig_enforcer_start a >/dev/null || rig_die "the enforcer does not come up"
for i in $(seq "$GUESTS"); do
    rig_guest a "rest$i" vcpus=2 mem=16 || rig_die "guest $i does not start"
done
sleep 20
before=$(ran)
sleep "$SECONDS_AT_REST"
after=$(ran)
awk -v ns=$((after - before)) -v s="$SECONDS_AT_REST" -v n="$GUESTS" -v rss="$(rss VmRSS)" \
    -v peak="$(rss VmHWM)" 'BEGIN {
        printf "enforcer, %d guests at rest, sweep 2 s: %.3f %% of a core, %.1f MB resident (peak %.1f MB)\n",
            n, ns / s / 1e7, rss / 1024, peak / 1024 }'
