#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The enforcer comes to guests that were pinned with virsh and opened behind libvirt's back: what
# libvirt says is right already, so that telling it would change nothing.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
rig_up a
all=$(rig_cpus)
last=${all##*[-,]}
rest=$(rig_cpus without "$last")
check "a guest runs" rig_guest a db1 vcpus=1
check "another one" rig_guest a web1 vcpus=2
check "a third" rig_guest a web2 vcpus=2
rig_virsh a vcpupin db1 0 "$last" --live >/dev/null
rig_virsh a emulatorpin db1 "$rest" --live >/dev/null
for guest in web1 web2; do
    for i in 0 1; do
        rig_virsh a vcpupin $guest $i "$rest" --live >/dev/null
    done
    rig_virsh a emulatorpin $guest "$rest" --live >/dev/null
done
for guest in web1 web2; do
    for i in 0 1; do
        echo "$all" >"$(rig_cpuset_dir a $guest vcpu $i)/cpuset.cpus"
        rig_exec a taskset -pc "$all" "$(rig_tid a $guest vcpu $i)" >/dev/null
    done
done
check "they are opened" assert_affinity a web2 vcpu 1 "$all"
rig_policy a bench <<'CONF'
[policy database]
match-name = db*
mode = enforce
placement = dedicated

[policy web]
match-name = web*
mode = enforce
placement = shared
CONF
check "the enforcer comes up" rig_enforcer_start a
check "the guest has its CPU" rig_wait 10 assert_guest a db1 cpus "$last"
for guest in web1 web2; do
    for i in 0 1; do
        check "$guest, vCPU $i is kept off it" rig_wait 10 assert_affinity a $guest vcpu $i "$rest"
    done
done
check "nothing differs" rig_wait 10 rig_exec a virtpin status
