#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Kinds of drift beyond masks: tuning, threads moved to another group, groups above the guest's.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
findmnt -rn -t cgroup -O cpuset >/dev/null || rig_skip_all "no cgroup v1 hierarchy with cpuset"
rig_policy a tune <<'CONF'
[policy tune]
match-name = tune*
mode = enforce
placement = shared
shares = 512
period = 50000
quota = 20000
vcpu-scheduler = batch
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
all=$(rig_cpus)
root=$(rig_root a)
check "a guest starts" rig_guest a tune1 vcpus=2
rig_settle

# inner CONTROLLER FILE [vcpuN]: a file of tune1's as it is named inside the host
inner() {
    local pid group
    pid=$(rig_qemu_pid a tune1)
    group=$(awk -F: -v c="$1" '$2 ~ "(^|,)" c "(,|$)" { print $3 }' "$root/proc/$pid/cgroup")
    group=${group%/emulator}
    group=/sys/fs/cgroup/$1/${group#*/virtpin-rig-"$$"-a/}
    [ -z "${3:-}" ] || group=$group/$3
    echo "$group/$2"
}
value() {
    assert_eq "$1" "$2" "$(rig_exec a cat "$1")"
}
# undone KIND FILE WRONG RIGHT
undone() {
    rig_exec a sh -c "echo $3 >$2; sleep 0.5; :" || return
    rig_wait 5 value "$2" "$4" && rig_wait 3 assert_drift a "$1" repaired &&
        assert_eq "by.comm" sh "$(rig_drift a "$1" repaired by.comm)"
}
if [ -e "$root$(inner cpu cpu.shares)" ]; then
    check "shares are put back" undone shares "$(inner cpu cpu.shares)" 77 512
    check "in words" assert_match "wanted" "*512*" "$(rig_drift a shares repaired wanted)"
    check "a quota is put back" undone quota "$(inner cpu cpu.cfs_quota_us vcpu1)" -1 20000
    check "of its vCPU" assert_eq "index" 1 "$(rig_drift a quota repaired index)"
else
    skip "shares and quota" "no cgroup v1 hierarchy with the cpu controller"
fi
tid=$(rig_tid a tune1 vcpu 1)
batch() { [[ $(rig_exec a chrt -p "$tid") == *SCHED_BATCH* ]]; }
check "another scheduler" rig_exec a chrt -i -p 0 "$tid"
check "is put back" rig_wait 40 batch
check "and recorded" rig_wait 3 assert_drift a scheduler repaired
check "with its author" assert_eq "by.comm" chrt "$(rig_drift a scheduler repaired by.comm)"
check "schedinfo of libvirt" rig_virsh a schedinfo tune1 --live cpu_shares=1000
check "is put back" rig_wait 10 value "$(inner cpu cpu.shares)" 512
told() { [[ $(rig_virsh a schedinfo tune1 | tr -s ' ') == *'cpu_shares : 512'* ]]; }
check "and libvirt is told" rig_wait 10 told

check "a thread is moved out of its group" rig_exec a sh -c \
    "mkdir /sys/fs/cgroup/cpuset/else && cat /sys/fs/cgroup/cpuset/cpuset.mems >/sys/fs/cgroup/cpuset/else/cpuset.mems &&
    echo $all >/sys/fs/cgroup/cpuset/else/cpuset.cpus && echo $tid >/sys/fs/cgroup/cpuset/else/tasks; sleep 0.3; :"
check "which is seen at once" rig_wait 2 assert_drift a group open
check "with its author" assert_eq "by.comm" sh "$(rig_drift a group open by.comm)"
check "and where it is" assert_match "where" "*/else" "$(rig_drift a group open where)"
check "it is put back by hand" rig_exec a sh -c \
    "echo $tid >$(inner cpuset tasks vcpu1) && rmdir /sys/fs/cgroup/cpuset/else"
check "nothing is open" rig_wait 40 assert_no_drift a

rig_virsh a destroy tune1 >/dev/null

# v1: a group is not narrowed before its children, so from the leaves up, and beside an enforcer that
# cannot put them back meanwhile. A shared guest would make do with what its partition has left.
check "a dedicated guest starts" rig_guest a db1 vcpus=1
rig_settle
mine=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$mine")
leaf=$(rig_inner_cpuset_dir a db1 vcpu 0)
own=${leaf%/*}
above=${own%/*}/cpuset.cpus
narrow() {
    rig_signal a virtpind STOP
    rig_exec a bash -c "for g in $own/*/ $own/; do echo $rest >\$g/cpuset.cpus || exit 1; done
        echo $rest >$above; kill -CONT $(rig_daemon_pid a virtpind); sleep 0.5; :"
}
where_above() {
    assert_eq "where" "$above" "$(rig_drift a cpuset-above "$1" where)"
}
check "a group above the guest is narrowed" narrow
check "it is named, with its file" rig_wait 5 where_above open
check "the value" assert_eq "found" "$rest" "$(rig_drift a cpuset-above open found)"
check "and the author" assert_eq "by.comm" bash "$(rig_drift a cpuset-above open by.comm)"
check "it is not undone unasked" value "$above" "$rest"
rig_conf a virtpin.conf <<'CONF'
[host]
manage-slices = yes
CONF
check "with manage-slices it is undone" rig_wait 15 value "$above" "$all"
check "the guest has its CPU again" rig_wait 10 assert_affinity a db1 vcpu 0 "$mine"
check "nothing is open" rig_wait 10 assert_no_drift a
check "the next time at once" narrow
check "the guest has its CPU again" rig_wait 2 assert_affinity a db1 vcpu 0 "$mine"
check "which is recorded" rig_wait 2 where_above repaired
