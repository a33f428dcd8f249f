#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Shares, period, quota and the vCPUs' scheduler: in the definition, in force at started, told to
# libvirt, changed with the policy, printed at a restore; what this host cannot hold is said.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 xmllint
rig_standard a
findmnt -rn -t cgroup -O cpu >/dev/null || rig_skip_all "no cgroup v1 hierarchy with the cpu controller"
policies() {
    rig_policy a tune <<CONF
[policy tune]
match-name = tune*
mode = enforce
shares = $1
period = 50000
quota = $2
vcpu-scheduler = batch
on-start = refuse
on-migrate = refuse

[policy hurry]
match-name = hurry*
mode = enforce
placement = shared
vcpu-scheduler = fifo:1

[policy few]
match-name = few*
mode = enforce
shares = 1
quota = 20000
CONF
}
policies 512 20000
root=$(rig_root a)

# cpu_file GUEST FILE [vcpuN]: the guest's own group where no vCPU is named
cpu_file() {
    local pid group
    pid=$(rig_qemu_pid a "$1") || return 1
    group=$(awk -F: '$2 ~ /(^|,)cpu(,|$)/ { print $3 }' "$root/proc/$pid/cgroup")
    group=$(findmnt -rn -t cgroup -O cpu -o TARGET | head -n 1)${group%/emulator}
    [ -z "${3:-}" ] || group=$group/$3
    echo "$group/$2"
}
has_value() {
    local file
    file=$(cpu_file "$2" "$3" "${4:-}") || return 1
    assert_eq "$2 $3 ${4:-}" "$1" "$(cat "$file")"
}
scheduler() {
    local tid
    tid=$(rig_tid a "$2" vcpu "$3") || return 1
    assert_eq "scheduler of vCPU $3 of $2" "$1" "$(rig_exec a chrt -p "$tid" | sed -n 's/.*policy: //p')"
}
in_definition() {
    local xml
    xml=$(rig_virsh a dumpxml --inactive "$1")
    [[ $xml == *"$2"* ]] || { echo "no '$2' in: $(sed -n '/<cputune/,/<.cputune/p' <<<"$xml")"; return 1; }
}
told() {
    assert_match "schedinfo of $1" "*$2*" "$(rig_virsh a schedinfo "$1" | tr -s ' \n' ' ')"
}

# ---- without an enforcer: the hook alone; tuning is no reason to refuse ----
check "a guest starts" rig_guest a tune1 vcpus=2 top='<cputune><shares>2048</shares></cputune>'
check "shares are in force" has_value 512 tune1 cpu.shares
check "the quota, too" has_value 20000 tune1 cpu.cfs_quota_us vcpu1
check "and its period" has_value 50000 tune1 cpu.cfs_period_us vcpu1
check "and the scheduler" scheduler SCHED_BATCH tune1 1
check "not that of its emulator" has_value -1 tune1 cpu.cfs_quota_us emulator

# ---- a scheduler that groups may not have, shares that this version has not ----
check "fifo does not keep a guest from starting" rig_guest a hurry1 vcpus=1
check "it runs" assert_state a hurry1 running
if [ -e "$(cpu_file hurry1 cpu.rt_runtime_us)" ]; then
    check "it is said" assert_log a 'real-time time'
    check "it runs without" scheduler SCHED_OTHER hurry1 0
else
    skip "real-time time of groups" "this kernel has none"
fi
check "too few shares neither" rig_guest a few1 vcpus=1
check "it is said" assert_log a 'shares are 2 to 262144.*left'
check "the rest is in force" has_value 20000 few1 cpu.cfs_quota_us vcpu0
check "explain says it, too" rig_exec a sh -c 'virtpin explain few1 | grep -q "shares are 2 to"'

# ---- reconcile ----
echo 77 >"$(cpu_file tune1 cpu.shares)"
echo -1 >"$(cpu_file tune1 cpu.cfs_quota_us vcpu0)"
rig_exec a chrt -i -p 0 "$(rig_tid a tune1 vcpu 0)"
rig_exec a virtpin reconcile tune1 >/dev/null
check "reconcile: shares" has_value 512 tune1 cpu.shares
check "reconcile: quota" has_value 20000 tune1 cpu.cfs_quota_us vcpu0
check "reconcile: scheduler" scheduler SCHED_BATCH tune1 0

# ---- with one ----
check "the enforcer comes up" rig_enforcer_start a || exit
check "libvirt is told" rig_wait 10 told tune1 'cpu_shares : 512'
check "of quota and period" told tune1 'vcpu_period : 50000 vcpu_quota : 20000'
check "the definition has the shares" rig_wait 10 in_definition tune1 '<shares>512</shares>'
check "the quota" in_definition tune1 '<quota>20000</quota>'
check "and the scheduler" in_definition tune1 "<vcpusched vcpus='1' scheduler='batch'/>"
check "not a scheduler that could not start" rig_exec a sh -c '! virsh dumpxml --inactive hurry1 | grep vcpusched'
check "nor shares" rig_exec a sh -c '! virsh dumpxml --inactive few1 | grep shares'
policies 300 30000
check "another policy: shares at once" rig_wait 10 has_value 300 tune1 cpu.shares
check "quota at once" rig_wait 10 has_value 30000 tune1 cpu.cfs_quota_us vcpu0
check "libvirt is told" rig_wait 10 told tune1 'cpu_shares : 300'
check "the definition follows" rig_wait 10 in_definition tune1 '<shares>300</shares>'
check "it is reverted" rig_exec a virtpin revert tune1
check "to its own shares" in_definition tune1 '<shares>2048</shares>'
check "and no quota" rig_exec a sh -c '! virsh dumpxml --inactive tune1 | grep quota'
policies keep 30000
check "what is kept is the definition's again" rig_wait 10 has_value 2048 tune1 cpu.shares

check "a guest with a vCPU to plug starts" rig_guest a tune2 vcpus=2 current=1
check "its vCPU is plugged" rig_virsh a setvcpus --live tune2 2
check "and gets the scheduler" rig_wait 10 scheduler SCHED_BATCH tune2 1
check "and the quota" has_value 30000 tune2 cpu.cfs_quota_us vcpu1
rig_virsh a destroy tune2 >/dev/null

# ---- a restore prints the policy's ----
rig_enforcer_stop a
check "saved" rig_virsh a save tune1 /run/tune1.save
policies 400 -1
check "restored under another policy" rig_virsh a restore /run/tune1.save
check "libvirt has its shares" told tune1 'cpu_shares : 400'
check "in force" has_value 400 tune1 cpu.shares
check "no limit" has_value -1 tune1 cpu.cfs_quota_us vcpu0
