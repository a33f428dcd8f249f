#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Definitions: rewritten when they are defined, put back on demand, never brought back to life.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 xmllint
rig_standard a
rig_policy a app <<'CONF'
[policy app]
match-name = app*
mode = enforce
cpu-mode = custom
cpu-models = Westmere
topology = sockets=1 cores=2 threads=1

[policy strict]
base = app
match-name = strict*
mode = enforce
on-start = refuse
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)

inactive() {
    rig_virsh a dumpxml --inactive --security-info "$1"
}
meets() {
    local xml
    xml=$(inactive "$1")
    [[ $xml == *Westmere* && $xml == *"cores='2'"* ]] || { echo "its <cpu> is: $(grep -A 3 '<cpu' <<<"$xml")"; return 1; }
}

# A guest that is defined before the enforcer sees it, with a password that must survive.
rig_guest_xml app1 vcpus=2 devices="<graphics type='vnc' port='-1' listen='127.0.0.1' passwd='secret'/>" \
    metadata="<x:note xmlns:x='urn:x'>kept</x:note>" >"$root/run/app1.xml"
check "a definition" rig_virsh a define /run/app1.xml
check "is rewritten" rig_wait 10 meets app1
has_password() {
    assert_match "graphics" "*passwd='secret'*" "$(inactive app1 | grep '<graphics')"
}
check "its password is there" has_password
kept_metadata() {
    assert_match "metadata" "*kept*" "$(inactive app1)"
}
check "its metadata is there" kept_metadata
check "it starts" rig_virsh a start app1
cmdline=$(tr '\0' ' ' <"$root/proc/$(rig_qemu_pid a app1)/cmdline")
check "with the policy's CPU" assert_match "QEMU's command line" '*-cpu Westmere*' "$cmdline"
check "and topology" assert_match "QEMU's command line" '*-smp 2*cores=2*' "$cmdline"
rig_virsh a destroy app1 >/dev/null

check "it is reverted" rig_exec a virtpin revert app1
back() {
    ! inactive app1 | grep Westmere
}
check "to what stood there" back
check "with its password" has_password

check "a definition" rig_define a app2 vcpus=2
check "is rewritten" rig_wait 10 meets app2
rig_guest_xml app2 vcpus=2 title=edited uuid="$(rig_virsh a domuuid app2 | head -n 1)" >"$root/run/app2.xml"
check "edited" rig_virsh a define /run/app2.xml
check "and rewritten again" rig_wait 10 meets app2
check "with the edit" assert_match "title" '*edited*' "$(inactive app2)"

# on-start = refuse: refused until the definition meets the policy
rig_enforcer_stop a
check "a definition while the enforcer is down" rig_define a strict1 vcpus=2
check_not "is refused at start" rig_virsh a start strict1
check "the enforcer starts" rig_enforcer_start a
check "and rewrites it" rig_wait 10 meets strict1
check "then it starts" rig_virsh a start strict1
rig_virsh a destroy strict1 >/dev/null

# Defined and undefined in a loop: nothing that was undefined comes back.
race() {
    rig_guest_xml app-race vcpus=2 >"$root/run/race.xml"
    rig_exec a sh -c "for i in \$(seq 30); do
        virsh -q define /run/race.xml >/dev/null || exit 1
        virsh -q undefine app-race >/dev/null || exit 1
    done"
}
check "define and undefine thirty times" race
sleep 2
ghost() {
    assert_eq "domains by that name" "" "$(rig_virsh a list --all --name | grep race)"
}
check "no ghost comes back" ghost
sleep 1
check "nor later" ghost
