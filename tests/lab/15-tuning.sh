#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Shares, period, quota and the vCPUs' scheduler in systemd's groups: in force when virsh start returns,
# put back, told to libvirt, changed with the policy.
. "$(dirname "$0")/guest/lib.sh"
policies() {
    lab_policy <<CONF
[policy tune]
match-name = tune*
mode = enforce
placement = shared
shares = $1
period = 50000
quota = $2
vcpu-scheduler = batch
CONF
}
# tuning_dir GUEST [vcpuN]: the scope, whose shares are the guest's, or a vCPU's group
tuning_dir() {
    local group
    if [ -d /sys/fs/cgroup/cpu ]; then
        group=/sys/fs/cgroup/cpu$(awk -F: '$2 ~ /(^|,)cpu(,|$)/ { print $3 }' "/proc/$(lab_qemu "$1")/cgroup")
    else
        group=/sys/fs/cgroup$(awk -F: '$1 == "0" { print $3 }' "/proc/$(lab_qemu "$1")/cgroup")
    fi
    group=${group%/emulator}
    [ -n "${2:-}" ] && echo "$group/$2" || echo "${group%/libvirt}"
}
shares_file() {
    local dir
    dir=$(tuning_dir tune1)
    [ -e "$dir/cpu.weight" ] && echo "$dir/cpu.weight" || echo "$dir/cpu.shares"
}
shares() {
    assert_eq "shares of tune1" "$1" "$(cat "$(shares_file)")"
}
# limit N QUOTA: of vCPU N
limit() {
    local dir
    dir=$(tuning_dir tune1 "vcpu$1")
    if [ -e "$dir/cpu.max" ]; then
        assert_eq "limit of vCPU $1" "$2 50000" "$(cat "$dir/cpu.max")"
    else
        assert_eq "limit of vCPU $1" "$2 50000" "$(cat "$dir/cpu.cfs_quota_us") $(cat "$dir/cpu.cfs_period_us")"
    fi
}
unlimited() {
    local dir
    dir=$(tuning_dir tune1 vcpu0)
    if [ -e "$dir/cpu.max" ]; then
        echo max >"$dir/cpu.max"
    else
        echo -1 >"$dir/cpu.cfs_quota_us"
    fi
}
scheduler() {
    local tid
    tid=$(lab_tid tune1 vcpu "$1") || return 1
    assert_match "scheduler of vCPU $1" '*SCHED_BATCH*' "$(chrt -p "$tid")"
}
told() {
    assert_match "virsh schedinfo" "*$1*" "$(virsh schedinfo tune1 | tr -s ' \n' ' ')"
}

check "the policy is sound" policies 512 20000
check "a guest starts" lab_guest tune1 vcpus=2
check "it has its shares when virsh came back" shares 512
check "its vCPUs their limit" limit 1 20000
check "and their scheduler" scheduler 1
lab_settle
check "libvirt is told of the shares" lab_wait 15 told 'cpu_shares : 512'
check "and of the limit" lab_wait 15 told 'vcpu_period : 50000 vcpu_quota : 20000'

echo 77 >"$(shares_file)"
check "other shares are put back" lab_wait 15 shares 512
check "which is recorded" lab_wait 5 assert_drift tune1 shares repaired
unlimited
check "so is a limit" lab_wait 15 limit 0 20000
check "which is recorded" lab_wait 5 assert_drift tune1 quota repaired
chrt -o -p 0 "$(lab_tid tune1 vcpu 0)"
check "so is a scheduler" lab_wait 15 scheduler 0
systemctl daemon-reload
check "after daemon-reload the shares are right" lab_wait 15 shares 512
check "and the limit" limit 0 20000

check "the policy changes" policies 300 30000
check "shares follow" lab_wait 15 shares 300
check "so does the limit" lab_wait 15 limit 1 30000
check "nothing is open" lab_wait 20 assert_calm
