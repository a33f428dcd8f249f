#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Definitions under fire: edits that race the enforcer are not lost, what was undefined stays so, and
# revert gives back the very bytes.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_conf a virtpin.conf <<'CONF'
[host]
contested = 16/1s
CONF
rig_policy a app <<'CONF'
[policy app]
match-name = app*
mode = enforce
cpu-mode = custom
cpu-models = Westmere
topology = sockets=1 cores=2 threads=1

[policy model]
match-name = model*
mode = enforce
cpu-mode = host-model

[policy pass]
match-name = pass*
mode = enforce
cpu-mode = host-passthrough

[policy ibrs]
match-name = ibrs*
mode = enforce
cpu-mode = custom
cpu-models = Westmere-IBRS

[policy clusters]
match-name = clu*
mode = enforce
topology = sockets=1 clusters=2 cores=2 threads=1

[policy fixed]
match-name = fix*
mode = enforce
placement = fixed
vcpupin = 0:1 1:1
emulator = 0

[policy odd]
match-name = odd*
mode = enforce
topology = sockets=3
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)

inactive() {
    rig_virsh a dumpxml --inactive --security-info "$1" 2>&1
}
meets() {
    local xml
    xml=$(inactive "$1")
    [[ $xml == *Westmere* && $xml == *"cores='2'"* ]] ||
        { echo "its <cpu> is: $(grep -A 3 '<cpu' <<<"$xml")"; return 1; }
}
has() {
    [[ $(inactive "$1") == *"$2"* ]] || { echo "no '$2' in the definition of $1"; return 1; }
}

# ---- revert gives back the bytes ----
# revert_same NAME GLOB: what stood there before virtpin, the enforcer's rewriting, revert
revert_same() {
    local before after name=$1
    rig_enforcer_stop a
    rig_virsh a define "/run/$name.xml" >/dev/null || return 1
    before=$(inactive "$name")
    rig_enforcer_start a || return 1
    rig_wait 10 has "$name" "$2" || return 1
    rig_exec a virtpin revert "$name" || return 1
    after=$(inactive "$name")
    [ "$before" = "$after" ] || { diff <(echo "$before") <(echo "$after"); return 1; }
    sleep 0.5
    [ "$before" = "$(inactive "$name")" ] || { echo "it is rewritten again after revert"; return 1; }
}
devices="<graphics type='vnc' port='-1' listen='127.0.0.1' passwd='secret'/>"
rig_guest_xml app-plain vcpus=2 devices="$devices" >"$root/run/app-plain.xml"
check "revert: a definition without <cpu>" revert_same app-plain Westmere
rig_guest_xml app-cpu vcpus=2 devices="$devices" \
    cpu="<cpu mode='host-model' check='partial'><feature policy='disable' name='vmx'/><numa><cell id='0' cpus='0-1' memory='65536'/></numa></cpu>" \
    metadata="<x:note xmlns:x='urn:x'>kept -- <x:b/></x:note>" >"$root/run/app-cpu.xml"
check "revert: with features, guest NUMA, metadata" revert_same app-cpu Westmere
rig_guest_xml fix-cpuset vcpus=2 top="<cputune><vcpupin vcpu='0' cpuset='0'/><emulatorpin cpuset='1'/></cputune>" |
    sed "s/<vcpu /<vcpu cpuset='0-1' /" >"$root/run/fix-cpuset.xml"
check "revert: pins and a vcpu cpuset" revert_same fix-cpuset 'urn:virtpin:applied:1'
check "its passwords were kept in files of mode 600" assert_eq "modes" "" \
    "$(find "$root/var/lib/virtpin" -type f -not -perm 600)"
kept() {
    find "$root/var/lib/virtpin/definitions" -name "*.xml" | wc -l
}
check "after revert nothing is kept" assert_eq "kept files" 0 "$(kept)"
rig_guest_xml app-plain vcpus=2 title=other uuid="$(rig_virsh a domuuid app-plain | head -n 1)" \
    >"$root/run/app-plain.xml"
rig_virsh a define /run/app-plain.xml >/dev/null
check "a changed definition is rewritten again" rig_wait 10 meets app-plain
check "and something is kept again" test "$(kept)" -gt 0

# Somebody changed another thing since: revert leaves that alone.
rig_virsh a desc app-plain --config --title edited >/dev/null
rig_exec a virtpin revert app-plain >/dev/null
check "revert after an edit keeps the edit" has app-plain "<title>edited</title>"
check_not "and takes our CPU out" has app-plain Westmere
check_not "a second revert has nothing to do" rig_exec a virtpin revert app-plain

# ---- other modes, and what this host or this guest cannot have ----
check "host-model" rig_define a model1 vcpus=1
check "is written" rig_wait 10 has model1 "mode='host-model'"
check "and starts" rig_virsh a start model1
rig_virsh a destroy model1 >/dev/null
check "host-passthrough on a host that cannot" rig_define a pass1 vcpus=1
rig_wait 5 assert_drift a definition open >/dev/null
check_not "is not written" has pass1 host-passthrough
check "with the reason in the log" rig_wait 5 assert_log a 'pass1.*host-passthrough'
check "a model that this host cannot run" rig_define a ibrs1 vcpus=1
check "is reported" rig_wait 5 assert_log a 'ibrs1.*Westmere-IBRS.*usable here'
check_not "and not written" has ibrs1 Westmere-IBRS
check "a topology that is not the vCPUs" rig_define a odd1 vcpus=2
check "is reported with the arithmetic" rig_wait 5 assert_log a 'odd1.*makes 3, the guest has 2'
check_not "and not written" has odd1 "sockets='3'"
check "what this libvirt cannot have" rig_define a clu1 vcpus=4
check "is reported in its words" rig_wait 5 assert_log a 'libvirt does not take.*clu1.*topology'
check_not "and not written" has clu1 "cores='2'"
check "fixed pins" rig_define a fix1 vcpus=2
check "stand in the definition" rig_wait 10 has fix1 "<vcpupin vcpu='1' cpuset='1'/>"
check "and it starts on them" rig_virsh a start fix1
check "at once" assert_affinity a fix1 vcpu 0 1
rig_virsh a destroy fix1 >/dev/null

# ---- edits in a race with the enforcer ----
uuid=$(cat /proc/sys/kernel/random/uuid)
title() {
    assert_eq "title of app-race" "$1" "$(inactive app-race | sed -n 's:.*<title>\(.*\)</title>.*:\1:p')"
}
# race_edits N: bursts of one to three defines over one connection, then a pause of another length
race_edits() {
    local i j n=0 late=0
    for i in $(seq "$1"); do
        for j in 1 2 3; do
            n=$((n + 1))
            rig_guest_xml app-race vcpus=2 title="edit-$n" uuid="$uuid" >"$root/run/race-$j.xml"
            [ $j -le $((i % 3 + 1)) ] || break
        done
        n=$((n - j + i % 3 + 1))
        rig_exec a sh -c "{ for j in \$(seq $((i % 3 + 1))); do echo define /run/race-\$j.xml; sleep 0.00$((i % 8)); done; } |
            virsh -q >/dev/null" || return 1
        sleep "0.0$((i * 7 % 60 + 10))"
        last=$(sed -n 's:.*<title>\(.*\)</title>.*:\1:p' "$root/run/race-$((i % 3 + 1)).xml")
        rig_wait 5 meets app-race || return 1
        # ours over theirs for a moment is put right from the overwritten file
        # (the enforcer's turn may come late on a busy machine)
        title "$last" >/dev/null || late=$((late + 1))
        rig_wait 10 title "$last" >/dev/null || { title "$last"; echo "after burst $i"; return 1; }
    done
    rig_say "$late edits came back from their file"
}
check "no edit is lost in forty bursts" race_edits 40

# ---- undefine in a race ----
race_undefine() {
    local i
    for i in $(seq 60); do
        rig_exec a sh -c "{ echo define /run/race-1.xml; sleep 0.0$((i * 3 % 40 + 10)); echo undefine app-race; } |
            virsh -q >/dev/null" || return 1
    done
}
ghost() {
    assert_eq "domains by that name" "" "$(rig_virsh a list --all --name | grep race)"
}
rig_wait 5 meets app-race >/dev/null
rig_virsh a undefine app-race >/dev/null
check "define and undefine sixty times" race_undefine
sleep 1
check "no ghost comes back" ghost
no_kept() {
    assert_eq "files kept of it" "" "$(find "$root/var/lib/virtpin/definitions" -name "$uuid*")"
}
check "and nothing is kept of it" rig_wait 3 no_kept
rig_virsh a define /run/race-1.xml >/dev/null
check "the last word is a definition" rig_wait 10 meets app-race
check "which stays" sleep 1
check "defined" has app-race Westmere

# ---- the define that fights back ----
rig_conf a virtpin.conf <<'CONF'
[host]
contested = 3/60s
CONF
rig_signal a virtpind HUP
rig_guest_xml app-fight vcpus=2 >"$root/run/fight.xml"
rig_virsh a define /run/fight.xml >/dev/null
rig_virsh a dumpxml --inactive app-fight >"$root/run/fight.xml" 2>&1
sed -i "/<cpu /,/<.cpu>/d" "$root/run/fight.xml"
for i in 1 2 3 4 5 6; do
    rig_virsh a define /run/fight.xml >/dev/null
    sleep 0.4
done
check "what changes it back each time is not fought" rig_wait 3 assert_drift a definition contested
check_not "and has the last word" has app-fight Westmere
