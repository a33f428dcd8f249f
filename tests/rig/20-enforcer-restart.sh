#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The enforcer is killed, ended, started twice; the ledger is taken away; libvirtd goes and comes.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest starts" rig_guest a db1 vcpus=1
check "a shared guest starts" rig_guest a web1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
other=${rest%%[-,]*}
file=$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus
rig_settle

narrow() {
    rig_exec a sh -c "echo $other >$file"
}

second() {
    local out status
    out=$(rig_exec a virtpind 2>&1)
    status=$?
    assert_eq "exit status" 1 "$status" && assert_match "message" "*pid $(rig_daemon_pid a virtpind) *" "$out"
}

check "a second enforcer refuses, naming the first" second
check "the enforcer is killed" rig_enforcer_kill a
check "status says that it is down" assert_status a enforcer.running false
check "a cpuset is rewritten meanwhile" narrow
check "and stays so" assert_affinity a db1 vcpu 0 "$other"
check "the enforcer comes up again" rig_enforcer_start a
check "it is undone" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "and recorded" rig_wait 5 assert_drift a cpuset repaired
history=$(rig_exec a virtpin drift --json --kind cpuset | grep -o '"id":[0-9]*')
check "the enforcer is started anew" rig_enforcer_kill a
check "and comes up" rig_enforcer_start a
check "what was recorded is still there" assert_eq "cpuset drift" "$history" \
    "$(rig_exec a virtpin drift --json --kind cpuset | grep -o '"id":[0-9]*')"
check "the booking is the same" assert_eq "cpus" "$own" "$(rig_guest_status a db1 cpus)"

check "the ledger is deleted" rig_exec a sh -c 'rm /run/virtpin/ledger.db*'
check "it is made anew, with the same CPUs" rig_wait 10 assert_guest a db1 cpus "$own"
check "and the shared guest beside them" rig_wait 10 assert_guest a web1 state running
check "the journal says so" assert_log a "a new ledger"
check "nobody was moved" assert_affinity a db1 vcpu 0 "$own"
rig_settle
check "a cpuset is rewritten after that" narrow
check "it is undone" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "and in the new ledger" rig_wait 5 assert_drift a cpuset repaired

check "libvirtd restarts" rig_libvirtd_restart a
check "the enforcer connects again" rig_wait 10 assert_status a enforcer.libvirt connected
check "libvirtd ends" rig_libvirtd_stop a
check "which status shows" rig_wait 10 assert_status a enforcer.libvirt reconnecting
check "a cpuset is rewritten while it is away" narrow
check "it is undone all the same" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
rig_libvirtd_start a
check "the enforcer finds it again" rig_wait 35 assert_status a enforcer.libvirt connected
check "a guest that came without the hook" rig_exec a sh -c \
    'mv /etc/libvirt/hooks/qemu.d/50-virtpin /run/ && virsh -q start web1 2>/dev/null ||
     { virsh -q destroy web1 && virsh -q start web1; }; mv /run/50-virtpin /etc/libvirt/hooks/qemu.d/'
check "is taken in" rig_wait 15 assert_affinity a web1 vcpu 0 "$rest"

check "the enforcer ends when told" rig_enforcer_stop a
check "and takes its file with it" rig_exec a sh -c '! [ -e /run/virtpin/enforcer ]'
check "guests keep what they have" assert_affinity a db1 vcpu 0 "$own"
