#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests that come in by migration and restore under policies of the guest CPU: what they have is
# theirs until their next cold start, so it is reported or refused in a sentence; what libvirt lets
# a hook change is changed; a definition that came with --persistent is set right.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a net
rig_standard b net
rig_policy b app <<'CONF'
[policy app]
match-name = app*
mode = enforce
cpu-mode = custom
cpu-models = Westmere
topology = sockets=1 cores=2 threads=1
pmu = off
placement = fixed
vcpupin = 0-1:1
shares = 300

[policy strict]
base = app
match-name = strict*
mode = enforce
on-migrate = refuse
CONF
check "an enforcer on b" rig_enforcer_start b || exit
root=$(rig_root a)

# move GUEST [virsh's options]
move() {
    local guest=$1
    shift
    rig_virsh a migrate --live "$@" "$guest" qemu+tcp://b/system tcp://b 2>&1
}
inactive_has() {
    assert_match "definition of $1 on b" "*$2*" "$(rig_virsh b dumpxml --inactive "$1" 2>&1)"
}
live_has() {
    assert_match "$1 as it runs on b" "*$2*" "$(rig_virsh b dumpxml "$1" 2>&1)"
}
refused() {
    local said
    said=$("${@:2}") && { echo "it was not refused"; return 1; }
    assert_match "what virsh says" "*$1*" "$said"
}

# ---- reported ----
check "a guest starts on a" rig_guest a app1 vcpus=2
check "it migrates to b with its definition" move app1 --persistent --undefinesource
check "runs there" assert_state b app1 running
check "on b's CPU" assert_affinity b app1 vcpu 1 1
check "as libvirt knows" live_has app1 "<vcpupin vcpu='1' cpuset='1'/>"
check "with the shares of b's policy" live_has app1 '<shares>300</shares>'
check "its CPU is not the policy's, which is said" \
    assert_log b 'guest app1 comes in with CPU .*, policy app wants .*Westmere.*next cold start'
check "so is its topology" assert_log b 'app1 comes in with topology .*policy app wants'
check "its definition on b is set right" rig_wait 10 inactive_has app1 Westmere
check "topology and all" inactive_has app1 "cores='2'"
check "status says: at the next start" \
    rig_wait 5 assert_match pending '*next start*Westmere*' "$(rig_guest_status b app1 pending)"
check "it keeps its CPU until then" assert_match "as it runs" '*qemu64*' \
    "$(tr '\0' ' ' <"$(rig_root b)/proc/$(rig_qemu_pid b app1)/cmdline")"
rig_virsh b destroy app1 >/dev/null
check "it starts anew" rig_virsh b start app1
check "with the policy's CPU" assert_match "QEMU's command line" '*-cpu Westmere*pmu=off*cores=2*' \
    "$(tr '\0' ' ' <"$(rig_root b)/proc/$(rig_qemu_pid b app1)/cmdline")"

# ---- compared: what meets the policy comes in under on-migrate = refuse ----
check "a guest that misses it starts on a" rig_guest a strict1 vcpus=2
check "and is refused in a sentence" refused \
    'guest CPU is *, policy strict wants *Westmere*; this takes effect at the next cold start (on-migrate = refuse)*' \
    move strict1
check "it runs on" assert_state a strict1 running
no_guest() {
    ! rig_virsh b domstate "$1" 2>/dev/null
}
check "b has no such guest" no_guest strict1
check "one that has the policy's CPU starts on a" rig_guest a strict2 vcpus=2 \
    cpu="<cpu mode='custom' match='exact'><model fallback='forbid'>Westmere</model><topology sockets='1' cores='2' threads='1'/></cpu>"
check "lacks the pmu's setting, and is refused for that" refused 'guest feature is pmu=none, policy strict wants pmu=off*' move strict2
rig_guest_xml strict3 vcpus=2 \
    cpu="<cpu mode='custom' match='exact'><model fallback='forbid'>Westmere</model><topology sockets='1' cores='2' threads='1'/></cpu>" |
    sed "s|<acpi/>|<acpi/><pmu state='off'/>|" >"$root/run/strict3.xml"
check "one that has all of it starts on a" rig_virsh a create /run/strict3.xml
check "and comes in" move strict3
check "where it runs on b's CPU" assert_affinity b strict3 vcpu 0 1

# ---- restored: the same ----
check "saved on a" rig_virsh a save strict1 /run/strict1.save
check "and app2" rig_guest a app2 vcpus=2
check "saved on a" rig_virsh a save app2 /run/app2.save
cp "$root/run/strict1.save" "$root/run/app2.save" "$(rig_root b)/run/"
restore() {
    rig_virsh b restore "/run/$1.save" 2>&1
}
check "restored on b under on-migrate = refuse it is refused in a sentence" refused \
    'guest CPU is *, policy strict wants *Westmere*; this takes effect at the next cold start (on-migrate = refuse)*' \
    restore strict1
check "under allow it is restored" restore app2
check "onto b's CPU" assert_affinity b app2 vcpu 1 1
check "with the reason in the log" assert_log b 'guest app2 comes in with CPU .*Westmere.*next cold start'
check "nothing differs on b" rig_wait 5 assert_no_drift b

# ---- a transient guest in the caller's session ----
rig_guest_xml app3 vcpus=2 devices="<serial type='pty'/>" >"$(rig_root b)/run/app3.xml"
mkfifo "$RIG_DIR/keys"
rig_exec b script -qec 'virtpin start --autodestroy --console --paused /run/app3.xml' /dev/null \
    <"$RIG_DIR/keys" >"$RIG_DIR/console" 2>&1 &
session=$!
exec 4>"$RIG_DIR/keys"
check "started with its console" rig_wait 10 grep -q 'Connected to domain' "$RIG_DIR/console"
check "paused" assert_state b app3 paused
check "with the policy's CPU" live_has app3 Westmere
check "on b's CPU" assert_affinity b app3 vcpu 0 1
check "transient" assert_match "list" '*app3*' "$(rig_virsh b list --all --transient --name)"
printf '\035' >&4   # ^]
exec 4>&-
ended() {
    ! kill -0 "$session" 2>/dev/null
}
check "the console ends" rig_wait 10 ended
check "and with it the guest" rig_wait 5 no_guest app3
check "which holds nothing" rig_wait 15 assert_eq "app3 in status of b" "" "$(rig_guest_status b app3 state)"
