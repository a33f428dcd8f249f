#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Definitions that change without an event of libvirt's; an audit of them.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a more <<'CONF'
[policy pinned]
match-name = pinned*
mode = enforce
placement = fixed
vcpupin = 0:0

[policy looked-at]
match-name = look*
mode = audit
topology = sockets=1 cores=2 threads=1
CONF
check "the enforcer comes up" rig_enforcer_start a || exit

pinned_to() {
    assert_match "the definition's pins" "*vcpupin vcpu='0' cpuset='$1'*" \
        "$(rig_virsh a dumpxml pinned1 --inactive)"
}

check "a definition" rig_define a pinned1 vcpus=1
check "gets the policy's pins" rig_wait 5 pinned_to 0
check "one is changed with --config, of which libvirt tells nobody" \
    rig_virsh a vcpupin pinned1 0 "$(rig_cpus)" --config
check "and changed back" rig_wait 5 pinned_to 0
check "as drift" rig_wait 5 assert_drift a definition repaired
check "whose repair took its time" test "$(rig_drift a definition repaired repair_us)" -gt 0

check "a definition under audit" rig_define a look1 vcpus=2
check "is recorded" rig_wait 5 assert_drift a definition audit
check "and left" assert_eq "lines with a topology" 0 \
    "$(rig_virsh a dumpxml look1 --inactive | grep -c '<topology')"
check "it is undefined" rig_virsh a undefine look1
closed() {
    ! assert_drift a definition audit >/dev/null
}
check "and its record closed" rig_wait 5 closed

printf '[policy looked-at]\nmatch-name = look*\nmode = enforce\ntopology = sockets=1 cores=2 threads=1\n' |
    rig_policy a more
check "a policy is enforced for a definition that stands" rig_define a look2 vcpus=2
rewritten() {
    rig_virsh a dumpxml look2 --inactive | grep -q "cores='2'"
}
check "it is rewritten" rig_wait 10 rewritten
check "nothing is open" rig_wait 5 assert_no_drift a

check "the pinned one is undefined" rig_virsh a undefine pinned1
# A place that another guest has when the definition is written, and no longer when it starts.
check "a dedicated guest" rig_guest a db1 vcpus=1
own=$(rig_exec a virtpin status --json db1 | rig_json 'guests[0].cpus')
printf '[policy pinned]\nmatch-name = pinned*\nmode = enforce\nplacement = fixed\nvcpupin = 0:%s\n' \
    "$own" | rig_policy a more
sleep 2 # else it is the new policy by which all definitions are looked at
check "a definition whose CPU it has" rig_define a pinned2 vcpus=1
check "is open" rig_wait 5 assert_drift a definition open
check "the other one ends" rig_virsh a destroy db1
check "it starts" rig_wait 15 rig_virsh a start pinned2
check "on its CPU" assert_affinity a pinned2 vcpu 0 "$own"
check "which stands in its definition now, and nothing is open" rig_wait 5 assert_no_drift a
