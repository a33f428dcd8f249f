#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Dedicated guests fill the host to its last CPU: whole cores, then cores half idle.
. "$(dirname "$0")/guest/lib.sh"
online=$(lab_online)
threads=$(lab_count "$(lab_siblings 0)")
cores=$(lab_count "$(lab_cores_of "$online")")
lab_conf <<'CONF'
dedicated = all
CONF
systemctl restart virtpind
require=require
[ "$threads" -gt 1 ] || require=prefer
check "the policies are sound" lab_policy <<CONF
[policy full]
match-name = full*
mode = enforce
placement = dedicated
thread-policy = $require
numa = single
emulator = with-vcpus

[policy half]
match-name = half*
mode = enforce
placement = dedicated
thread-policy = isolate
numa = single
emulator = with-vcpus
CONF

# start_all NAME: as many guests by that name as there are cores, two at a time; paused, because a
# firmware at work on every core is more than an emulated host bears
start_all() {
    local n pid failed=0
    for ((n = 1; n <= cores; n += 2)); do
        virsh -q start --paused "$1$n" 2>&1 &
        pid=$!
        virsh -q start --paused "$1$((n + 1))" 2>&1 || failed=$((failed + 1))
        wait "$pid" || failed=$((failed + 1))
    done
    [ "$failed" = 0 ] || { echo "$failed of $cores did not start"; return 1; }
}

# all_apart NAME VCPUS: each guest has VCPUS CPUs on cores of its own; prints them all
all_apart() {
    local n cpu all=() cpus
    for ((n = 1; n <= cores; n++)); do
        lab_one_each "$1$n" "$2" || return 1
        cpus=$(lab_cpus "$1$n")
        for cpu in $(lab_expand "$(lab_cores_of "$cpus")"); do
            [ -z "${all[cpu]:-}" ] || { echo "$1$n and $1${all[cpu]} share the core of CPU $cpu"; return 1; }
            all[cpu]=$n
        done
        assert_at "$1$n" emulator "$cpus" || return 1
    done
    assert_eq "cores in use" "$cores" "${#all[@]}"
}

for ((n = 1; n <= cores; n++)); do
    lab_define "full$n" vcpus="$threads"
    lab_define "half$n"
done
lab_define full9
check "$cores guests of one core each start" start_all full
check "each has a core of its own" all_apart full "$threads"
check "the host is full" assert_status cpus.dedicated "$online"
check "no CPU is shared" assert_status cpus.shared ""
check_not "one more is refused" virsh -q start full9
check "nothing is open" lab_wait 10 assert_calm
virsh -q destroy full3
check "there is room for one after a while" lab_wait 14 virsh -q start --paused full3
check "each has a core of its own again" all_apart full "$threads"
for ((n = 1; n <= cores; n++)); do
    virsh -q destroy "full$n"
done
check "nothing stays booked" lab_wait 14 assert_status cpus.dedicated ""
check "$cores guests under isolate start" start_all half
check "each has a core of its own, too" all_apart half 1
check "and no CPU is left" assert_status cpus.shared ""
check_not "for one more" virsh -q start full9
check "nothing is open" lab_wait 10 assert_calm
