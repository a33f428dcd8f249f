#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A host whose guests have no cpuset controller: affinity alone, and status says so.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
awk '$1 == "cpuset" && $2 != 0 { found = 1 } END { exit !found }' /proc/cgroups ||
    rig_skip_all "the cpuset controller is on cgroup v2 here"
rig_standard a cgroup=v2
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest starts" rig_guest a db1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
check "its vCPU has one CPU" assert_match "affinity" '[0-9]' "$own"
check "its emulator threads have the others" assert_mask a db1 emulator "$rest"
check "a shared guest starts" rig_guest a web1 vcpus=1
check "beside it" assert_mask a web1 vcpu 0 "$rest"
rig_settle
check "a thread is moved" rig_exec a taskset -cp "${rest%%[-,]*}" "$(rig_tid a db1 vcpu 0)"
check "and put back" rig_wait 10 assert_mask a db1 vcpu 0 "$own"
said() {
    assert_match "findings" '*cpuset*' "$(rig_exec a virtpin status --json | rig_json findings)"
}
check "status says that there is no cpuset" said
