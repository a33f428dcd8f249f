#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An enforcer that is shown made-up cgroup files of real guests, on a file system of their own, and a
# host of two nodes: what this machine's own groups cannot be made to do. Memory nodes, and a file
# system that turns read-only; then an enforcer that may not touch threads.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 setpriv
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
rig_up a
findmnt -rn -t cgroup -O cpuset >/dev/null || rig_skip_all "no cgroup v1 hierarchy with cpuset"
[ "$(nproc)" -ge 2 ] || rig_skip_all "one CPU is no two nodes"
check "a guest starts" rig_guest a web1 vcpus=2
fake=/run/made-up/cpuset
copy() {
    rig_exec a sh -c "mkdir -p /run/made-up && mount -t tmpfs tmpfs /run/made-up &&
        cd /sys/fs/cgroup/cpuset && find . -type d | while read -r dir; do
            mkdir -p $fake/\$dir && for file in cpuset.cpus cpuset.effective_cpus; do
                cat \$dir/\$file >$fake/\$dir/\$file || exit 1; done
            echo 0-1 >$fake/\$dir/cpuset.mems
            echo 0-1 >$fake/\$dir/cpuset.effective_mems
            cat \$dir/tasks >$fake/\$dir/tasks; done"
}
check "its groups are copied" copy
group=$fake/$(rig_inner_cpuset_dir a web1 vcpu 1 | sed 's,^/sys/fs/cgroup/cpuset/,,')
rig_conf a virtpin.conf <<'CONF'
[host]
cgroup-dir = /run/made-up
tell-libvirt = no
dedicated = all
CONF
rig_policy a web <<'CONF'
[policy web]
match-name = web*
mode = enforce
placement = shared
CONF
check "the enforcer comes up" rig_enforcer_start a --topology 'node:2 core:1 pu:1' || exit
rig_settle
check "nothing differs" rig_wait 10 assert_no_drift a

# Every group but the hierarchy's own has a file that says what is in force; here the writer does.
value() { assert_eq "$1" "$2" "$(rig_exec a cat "$1")"; }
narrow() { rig_exec a sh -c "echo 0 >$group/$1; sleep 0.2; :"; }
check "a vCPU loses a memory node" narrow cpuset.mems
check "it is put back" rig_wait 3 value "$group/cpuset.mems" 0-1
check "that is recorded" rig_wait 3 assert_drift a mems repaired
check "with the file" assert_eq where "$group/cpuset.mems" "$(rig_drift a mems repaired where)"
check "the nodes" assert_eq wanted 0-1 "$(rig_drift a mems repaired wanted)"
check "and the author" assert_eq by.comm sh "$(rig_drift a mems repaired by.comm)"
check "nothing is open" rig_wait 3 assert_no_drift a

# Wrong and read-only at once, as the enforcer sees it.
freeze() {
    rig_signal a virtpind STOP
    rig_exec a sh -c "echo 1 >$group/cpuset.cpus; mount -o remount,ro /run/made-up"
    rig_signal a virtpind CONT
}
can() { assert_eq can_repair "$1" "$(rig_status a enforcer.can_repair)"; }
metric() { rig_exec a virtpin metrics | grep -qx "virtpin_enforcer_can_repair $1"; }
check "a file system turns read-only under a wrong value" freeze
check "status says that nothing can be repaired" rig_wait 5 can false
check "and why" assert_match why '*Read-only file system*' "$(rig_status a enforcer.why)"
check "and what to do" rig_exec a sh -c "virtpin status | grep 'mount -o remount,rw /run/made-up/cpuset'"
check "so does doctor" rig_exec a sh -c "virtpin doctor | grep 'cannot repair'"
check "the metrics" metric 0
check "and the journal" rig_wait 3 eval 'rig_log a | grep -q "cannot repair: "'
check "it can be written again" rig_exec a mount -o remount,rw /run/made-up
check "the value is put back" rig_wait 10 value "$group/cpuset.cpus" 0-1
check "and status says so" rig_wait 5 can true
check "the metrics, too" metric 1
check "nothing is open" rig_wait 3 assert_no_drift a
rig_enforcer_stop a

# Without the right to set other processes' affinity; QEMU of the rig is another user's then.
tid=$(rig_tid a web1 vcpu 0)
rig_spawn a virtpind setpriv --bounding-set -sys_nice,-sys_admin --inh-caps -all \
    /usr/sbin/virtpind --topology 'node:2 core:1 pu:1'
check "an enforcer without the right comes up" rig_wait 10 rig_enforcer_up a
rig_settle
owner=$(rig_exec a stat -c %u "/proc/$tid")
if [ "$owner" = 0 ]; then
    skip "affinity without the right" "QEMU runs as root here"
else
    check "taskset moves a vCPU" rig_exec a taskset -cp 1 "$tid"
    check "status says that nothing can be repaired" rig_wait 10 can false
    check "and why" assert_match why '*Operation not permitted*' "$(rig_status a enforcer.why)"
    check "and what to do" rig_exec a sh -c "virtpin status | grep CAP_SYS_NICE"
    check "it is moved back by hand" rig_exec a taskset -cp 0-1 "$tid"
    check "which ends it" rig_wait 10 can true
fi
