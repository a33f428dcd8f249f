#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vhost threads: the kernel's own before Linux 6.4, QEMU's from then on. A vsock device has one, and
# needs no KVM.
# lab: host
. "$(dirname "$0")/guest/lib.sh"
modprobe vhost_vsock || lab_skip_all "no vhost_vsock in this kernel"
device="<vsock model='virtio'><cid auto='yes'/></vsock>"
check "the policies are sound" lab_policy <<'CONF'
[policy db]
match-name = db*
mode = enforce
placement = dedicated

[policy own]
base = db
match-name = own*
mode = enforce
vhost = isolate
CONF

# vhost_of GUEST: its vhost thread
vhost_of() {
    local pid task name
    pid=$(lab_qemu "$1")
    for task in "/proc/$pid/task"/* /proc/[0-9]*; do
        read -r name 2>/dev/null <"$task/comm" || continue
        if [ "$name" = "vhost-$pid" ]; then
            echo "${task##*/}"
            return
        fi
    done
    echo "no thread is called vhost-$pid"
    return 1
}

assert_vhost() {
    local tid
    tid=$(vhost_of "$1") || { echo "$tid"; return 1; }
    assert_eq "affinity of $1's vhost thread" "$2" "$(lab_allowed "$tid")"
}

check "a guest with a vsock starts" lab_guest db1 vcpus=2 devices="$device"
pool=$(lab_minus "$(lab_undivided)" "$(lab_cpus db1)")
tid=$(vhost_of db1)
if [ -d "/proc/$(lab_qemu db1)/task/$tid" ]; then
    echo "# $(uname -r): $tid is a thread of QEMU"
else
    echo "# $(uname -r): $tid is a thread of the kernel"
fi
check "its vhost thread is where the emulator is" assert_vhost db1 "$pool"
check "which is the pool" assert_at db1 emulator "$pool"
check "vhost = isolate: a guest starts" lab_guest own1 vcpus=2 devices="$device"
check "its vCPUs have a CPU each" lab_one_each own1 2
cpu=$(lab_allowed "$(vhost_of own1)")
check "its vhost thread has one of its own" assert_eq "CPUs of it" 1 "$(lab_count "$cpu")"
check "which no vCPU has" assert_disjoint "$cpu" "$(lab_union "$(lab_cpus own1)" "$(lab_cpus db1)")"
pool=$(lab_minus "$pool" "$(lab_union "$cpu" "$(lab_cpus own1)")")
check "the other's has left it" lab_wait 10 assert_vhost db1 "$pool"
check "status has it as dedicated" assert_disjoint "$(lab_status cpus.shared)" "$cpu"
lab_settle
check "taskset on it" taskset -cp 0 "$(vhost_of own1)"
check "it is put back" lab_wait 15 assert_vhost own1 "$cpu"
check "nothing is open" lab_wait 15 assert_calm
