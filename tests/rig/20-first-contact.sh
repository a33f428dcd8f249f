#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# virtpin comes to a host where guests run: installing changes nothing, audit changes nothing, and
# enforce places what is there without moving what is well placed.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
rig_up a install=no
all=$(rig_cpus)
check "a guest runs before virtpin is there" rig_guest a db1 vcpus=1
check "and another" rig_guest a web1 vcpus=2
pid=$(rig_qemu_pid a db1)

rig_install a
check "libvirtd restarts with the hook in place" rig_libvirtd_restart a
check "the enforcer comes up" rig_enforcer_start a
sleep 3
check "without policies nothing moves" assert_affinity a db1 vcpu 0 "$all"
check "and nothing differs" assert_no_drift a

policy() {
    rig_policy a all <<CONF
[policy database]
match-name = db*
mode = $1
placement = dedicated

[policy web]
match-name = web*
mode = $1
placement = shared
CONF
}
policy audit
check "under audit status shows the policy" rig_wait 10 assert_guest a db1 policy database
sleep 3
check "and nothing moves" assert_affinity a db1 vcpu 0 "$all"
check "what differs is recorded" rig_wait 10 assert_drift a cpuset audit

policy enforce
placed() {
    local own
    own=$(rig_affinity a db1 vcpu 0)
    assert_match "affinity of db1" '[0-9]' "$own" && assert_affinity a db1 vcpu 0 "$own" &&
        assert_affinity a web1 vcpu 1 "$(rig_cpus without "$own")"
}
check "under enforce each is placed" rig_wait 10 placed
check "while it runs" assert_eq "its process" "$pid" "$(rig_qemu_pid a db1)"
own=$(rig_affinity a db1 vcpu 0)
check "status agrees" rig_wait 5 assert_status a cpus.dedicated "$own"

# A dedicated guest that comes first: adoption never takes its CPU away.
check "a guest that does not fit" rig_define a db2 vcpus=1
check_not "is refused" rig_virsh a start db2
check "db1 stays" assert_affinity a db1 vcpu 0 "$own"

rm "$(rig_root a)/etc/virtpin/policy.d/all.conf"
check "its policy gone, a guest runs where its definition says" \
    rig_wait 15 assert_affinity a db1 vcpu 0 "$all"
check "all of them" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"
