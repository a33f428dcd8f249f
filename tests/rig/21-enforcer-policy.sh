#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Policies change, break and go while guests run; the off switch.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
check "the enforcer comes up" rig_enforcer_start a || exit
check "a shared guest starts" rig_guest a web1 vcpus=1
all=$(rig_cpus)
one=${all##*[-,]}
file=$(rig_inner_cpuset_dir a web1 vcpu 0)/cpuset.cpus
rig_settle

narrow() {
    rig_exec a sh -c "echo $one >$file"
}

printf '[policy web]\nmatch-name = web*\nmode = enforce\nplacement = sharde\n' | rig_policy a standard
check "a policy file breaks: said so, with file and line" rig_wait 5 assert_log a "standard.conf:4"
check "the good set stays" rig_wait 5 assert_log a "the last good set stays in force"
check "a cpuset is rewritten" narrow
check "it is undone by the good set" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"
check "a check names the place" assert_match "output" "*standard.conf:4*sharde*" \
    "$(rig_exec a virtpind -n 2>&1)"

web_is() {
    printf '[policy web]\nmatch-name = web*\nmode = %s\nplacement = %s\n' "$1" "$2" |
        rig_policy a standard
}

check "it is mended" web_is enforce dedicated
check "and in force at once: the running guest has a CPU of its own" \
    rig_wait 10 assert_guest a web1 placement dedicated
own=$(rig_guest_status a web1 cpus)
check "its threads are there" rig_wait 10 assert_affinity a web1 vcpu 0 "$own"
told() {
    assert_match "virsh vcpupin" "*0*$own" "$(rig_virsh a vcpupin web1 --live)"
}
check "libvirt was told" rig_wait 10 told
# what libvirt knows is the definition's again, and our mark is gone
untold() {
    assert_match "virsh vcpupin" "*0*$all" "$(rig_virsh a vcpupin web1 --live)" &&
        assert_match "virsh emulatorpin" "*$all" "$(rig_virsh a emulatorpin web1 --live)" &&
        assert_eq "marks" 0 "$(rig_virsh a dumpxml web1 | grep -c urn:virtpin:applied)"
}
check "nothing of it is drift" assert_no_drift a
check "the normalised policy can be had" assert_match "output" "*placement = dedicated*" \
    "$(rig_exec a virtpind --check)"

check "it becomes an audit" web_is audit shared
check "which status shows" rig_wait 10 assert_guest a web1 mode audit
check "its CPU is free" rig_wait 5 assert_status a cpus.dedicated ""
check "libvirt's pins are open" rig_wait 5 untold
rig_settle
check "a cpuset is rewritten" narrow
check "which is recorded" rig_wait 10 assert_drift a cpuset audit
check "and not undone" assert_affinity a web1 vcpu 0 "$one"
check "it is enforced again" web_is enforce shared
check "and the guest goes there" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"

check "virtpin is disabled" rig_exec a virtpin disable "a test"
check "the enforcer knows" rig_wait 5 assert_status a enforcer.can_repair false
check "a cpuset is rewritten" narrow
sleep 3
check "and left" assert_affinity a web1 vcpu 0 "$one"
check "but seen" rig_wait 5 assert_drift a cpuset open
check "virtpin is enabled" rig_exec a virtpin enable
check "then it is undone" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"

# dedicated first, so that there is something to be given back
check "the guest has a CPU of its own once more" web_is enforce dedicated
check "for a while" rig_wait 10 assert_affinity a web1 vcpu 0 "$own"
printf '[policy other]\nmatch-name = other*\nmode = enforce\nplacement = shared\n' | rig_policy a standard
check "it has what its definition says" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"
check "its CPU is free" rig_wait 5 assert_status a cpus.dedicated ""
check "libvirt's pins are open again" rig_wait 5 untold
check "and no thread was moved by that" assert_affinity a web1 vcpu 0 "$all"
check "a cpuset is rewritten" narrow
sleep 3
check "which is nobody's business now" assert_affinity a web1 vcpu 0 "$one"

# The same with pins of the definition's own, and placement = none instead of no policy.
rig_virsh a destroy web1 >/dev/null
first=${all%%[-,]*}
check "a definition with pins" rig_define a web1 vcpus=1 uuid="$(rig_virsh a domuuid web1 | head -n 1)" \
    top="<cputune><vcpupin vcpu='0' cpuset='$first'/></cputune>"
check "the guest is dedicated" web_is enforce dedicated
sleep 2
check "starts" rig_virsh a start web1
check "libvirt is told" rig_wait 10 told
own_pins() {
    assert_match "virsh vcpupin" "* $first" "$(rig_virsh a vcpupin web1 --live)" &&
        assert_eq "marks" 0 "$(rig_virsh a dumpxml web1 | grep -c urn:virtpin:applied)"
}
check "placement becomes none" web_is enforce none
check "libvirt has the definition's pins" rig_wait 10 own_pins
check "which are in force" rig_wait 5 assert_affinity a web1 vcpu 0 "$first"

# Broken policies, and no earlier set to go on with.
check "it is enforced once more" web_is enforce shared
check "the guest goes there" rig_wait 10 assert_affinity a web1 vcpu 0 "$all"
rig_enforcer_stop a
printf '[policy web]\nmatch-name = web*\nmode = enforce\nplacement = sharde\n' | rig_policy a standard
rig_exec a sh -c 'rm /run/virtpin/policy.*'
check "started by hand it says so and ends with 2" assert_eq "status" 2 \
    "$(rig_exec a virtpind >/dev/null 2>&1; echo $?)"
check "under a service manager it is started" \
    rig_spawn a virtpind env NOTIFY_SOCKET=/run/nobody /usr/sbin/virtpind
check "and says what is the matter" rig_wait 5 assert_log a "no policies can be had, *.*standard.conf:4"
before=$(rig_log a "no policies can be had" | wc -l)
sleep 3
check "once" assert_eq "times" "$before" "$(rig_log a "no policies can be had" | wc -l)"
check "virtpin status says so too" assert_match "status" '*standard.conf:4*' "$(rig_exec a virtpin status 2>&1)"
check "the guest stays as it is" assert_affinity a web1 vcpu 0 "$all"
check "the policies are mended" web_is enforce dedicated
check "at once it is there" rig_wait 5 rig_enforcer_up a
check "and keeps the guest" rig_wait 10 assert_guest a web1 placement dedicated
check "on its CPU" rig_wait 5 assert_affinity a web1 vcpu 0 "$(rig_guest_status a web1 cpus)"
