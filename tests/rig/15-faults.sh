#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What may break does break: no guest dies, no CPU is booked twice.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 flock
rig_standard a
root=$(rig_root a)
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest starts" rig_guest a db1 vcpus=1
check "a shared guest starts" rig_guest a web1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")

# libvirtd calls reconnect for each running guest, and kills those where that fails.
worker=/usr/libexec/virtpin/virtpin-hook-worker
mv "$root$worker" "$root$worker.away"
check "libvirtd restarts without the worker" rig_libvirtd_restart a
check "db1 lives" assert_state a db1 running
check "web1 lives" assert_state a web1 running
mv "$root$worker.away" "$root$worker"
cp "$root/bin/false" "$root$worker.new"
mv "$root$worker" "$root$worker.away" && mv "$root$worker.new" "$root$worker"
check "libvirtd restarts with a worker that fails" rig_libvirtd_restart a
check "db1 lives" assert_state a db1 running
mv "$root$worker.away" "$root$worker"
check "libvirtd restarts with all in place" rig_libvirtd_restart a
check "db1 is where it was" assert_affinity a db1 vcpu 0 "$own"
connected() {
    assert_status a enforcer.libvirt connected
}
check "the enforcer has found libvirtd again" rig_wait 20 connected

check "the enforcer is killed" rig_enforcer_kill a
check_not "status says so" rig_exec a virtpin status
check "a thread is moved meanwhile" rig_exec a sh -c \
    "echo ${rest%%[-,]*} >$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus"
check "the enforcer starts again" rig_enforcer_start a
check "and puts it back" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "with the booking that was" assert_status a cpus.dedicated "$own"

# Without the ledger, what runs is adopted.
rig_enforcer_stop a
rm -f "$root"/run/virtpin/ledger*
check "the enforcer starts without a ledger" rig_enforcer_start a
check "and books what runs" rig_wait 10 assert_status a cpus.dedicated "$own"
check "the guest has not moved" assert_affinity a db1 vcpu 0 "$own"

# The worker hangs on the ledger's lock and is killed: the launcher's answer is on-error.
rig_virsh a destroy web1 >/dev/null
rig_spawn a locker flock -o /run/virtpin/ledger.lock sleep 6
sleep 0.3
start=$SECONDS
check "a guest starts while the ledger is locked" rig_virsh a start web1
check "within the hook's limit" test $((SECONDS - start)) -le 8
rig_reap a locker
check "and gets its place later" rig_wait 15 assert_affinity a web1 vcpu 0 "$rest"

# The worker is killed at work.
kill_worker() {
    local i
    rig_spawn a locker flock -o /run/virtpin/ledger.lock sleep 20 || return 1
    sleep 0.3
    rig_spawn a starter virsh -q start web1 || return 1
    for ((i = 0; i < 100; i++)); do
        if rig_exec a pkill -KILL -f "^[^ ]*$(basename "$worker")"; then
            rig_signal a locker KILL
            rig_reap a starter && rig_reap a locker && return
        fi
        sleep 0.01
    done
    echo "there was no worker to kill"
    return 1
}
rig_virsh a destroy web1 >/dev/null
check "the worker is killed while a guest starts" kill_worker
check "the guest runs all the same" assert_state a web1 running
check "the journal says why it has no place yet" assert_log a "signal 9"
check "and it gets it" rig_wait 15 assert_affinity a web1 vcpu 0 "$rest"

# A broken policy file: the last good set stays in force.
rig_policy a broken <<'CONF'
[policy broken]
placment = shared
CONF
check_not "the error is found" rig_exec a virtpin policy check
stale() {
    assert_status a policy.stale true
}
check "status says that the set is old" rig_wait 10 stale
rig_virsh a destroy web1 >/dev/null
check "guests start under the last good set" rig_virsh a start web1
check "as it says" assert_affinity a web1 vcpu 0 "$rest"
check "db1 keeps its CPU" assert_affinity a db1 vcpu 0 "$own"
rm "$root/etc/virtpin/policy.d/broken.conf"
sound() {
    assert_status a policy.stale false
}
check "the file gone, the set is new again" rig_wait 10 sound

# The off switch.
check "virtpin is disabled" rig_exec a virtpin disable testing
check "status says so" assert_status a enabled false
rig_virsh a destroy web1 >/dev/null
check "a guest starts" rig_virsh a start web1
check "where libvirt puts it" assert_mask a web1 vcpu 0 "$(rig_cpus)"
check "virtpin is enabled" rig_exec a virtpin enable
check "and the guest is placed" rig_wait 10 assert_affinity a web1 vcpu 0 "$rest"
