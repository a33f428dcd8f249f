#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What moves a thread is undone and recorded with its author; what libvirt does is not disturbed.
. "$(dirname "$0")/guest/lib.sh"
check "the policies are sound" lab_db_and_web
check "a shared guest starts" lab_guest web1 vcpus=2 current=1 iothreads=1
check "a dedicated guest starts" lab_guest db1 vcpus=2
own=$(lab_mask db1 vcpu 0)
pool=$(lab_minus "$(lab_undivided)" "$(lab_cpus db1)")
last=${pool##*[-,]}
lab_settle

check "taskset on a shared vCPU" taskset -cp "$last" "$(lab_tid web1 vcpu 0)"
check "taskset on an I/O thread" taskset -cp "$last" "$(lab_tid web1 iothread 1)"
check "the vCPU is put back" lab_wait 10 assert_at web1 vcpu 0 "$pool"
check "the I/O thread too" lab_wait 10 assert_at web1 iothread 1 "$pool"
check "which is recorded" lab_wait 5 assert_drift web1 affinity repaired
check "with the caller's name" assert_eq by.comm taskset \
    "$(lab_drift "web1 affinity repaired" by.comm)"

# the writer outlives its write, so that its name can be read
file=$(lab_group db1 vcpu 0)/cpuset.cpus
sh -c "echo 0 >'$file'; sleep 3" &
writer=$!
check "a rewritten cpuset is put back" lab_wait 10 assert_at db1 vcpu 0 "$own"
check "recorded" lab_wait 5 assert_drift db1 cpuset repaired
check "with the writer's PID" assert_eq by.pid "$writer" "$(lab_drift "db1 cpuset repaired" by.pid)"
check "and name" assert_eq by.comm sh "$(lab_drift "db1 cpuset repaired" by.comm)"
check "and unit" assert_match by.unit '*.*' "$(lab_drift "db1 cpuset repaired" by.unit)"
check "and how long it took" test "$(lab_drift "db1 cpuset repaired" repair_us)" -gt 0
echo "# repaired in $(lab_drift "db1 cpuset repaired" repair_us) us"
wait "$writer"

check "virsh vcpupin succeeds" virsh -q vcpupin db1 0 0 --live
check "and the vCPU comes back" lab_wait 10 assert_at db1 vcpu 0 "$own"
pins() {
    local i
    for ((i = 0; i < 8; i++)); do
        virsh -q vcpupin db1 0 0 --live && virsh -q vcpupin db1 0 "$own" --live || return 1
    done
}
check "sixteen calls beside the enforcer all succeed" pins
check "the vCPU is where it belongs after them" lab_wait 20 assert_at db1 vcpu 0 "$own"
knows() {
    assert_match "virsh vcpupin" "*$own*" "$(virsh -q vcpupin db1 0 --live)"
}
check "libvirt knows the pins" lab_wait 15 knows

check "a vCPU is plugged" virsh -q setvcpus web1 2 --live
check "the new one is in the pool" lab_wait 10 assert_at web1 vcpu 1 "$pool"
check "nothing is open" lab_wait 20 assert_calm
