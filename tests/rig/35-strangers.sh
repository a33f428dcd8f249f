#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Others that really run on a dedicated CPU are said, with what they used, and left where they are.
. "$(dirname "$0")/lib.sh"
rig_need
rig_standard a
rig_conf a virtpin.conf <<'CONF'
[host]
sweep = 1s
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest starts" rig_guest a db1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
# What busies itself there: a program of the host's, and a guest that somebody started without libvirt,
# whose disk's first sector is a jump to itself.
{
    printf '\353\376'
    head -c 508 /dev/zero
    printf '\125\252'
} >"$RIG_DIR/busy.img"
rig_spawn a busy taskset -c "$own" sh -c 'while :; do :; done' busy-loop
rig_spawn a stray taskset -c "$own" qemu-system-x86_64 -name guest=stray,debug-threads=on -machine pc \
    -accel tcg -m 32 -nodefaults -display none -drive "file=$RIG_DIR/busy.img,format=raw"
busy=$(rig_daemon_pid a busy)
said() {
    rig_exec a virtpin status --json | tr -d ' \n' |
        grep -q "\"cpu\":$own,\"owner\":\"db1\",\"kind\":\"$1\",\"pid\":$2"
}
counted() {
    rig_exec a virtpin metrics | awk -v name="virtpin_dedicated_stranger_seconds_total{kind=\"$1\"}" \
        '$1 == name && $2 > 0 { found = 1 } END { exit !found }'
}
check "the program is said" rig_wait 40 said host "$busy"
check "the stray guest, too" rig_wait 20 said guest "$(rig_daemon_pid a stray)"
check "by its name" rig_exec a sh -c "virtpin status | grep 'CPU $own of db1: guest stray'"
check "the metrics count them" counted host
check "by kind" counted guest
check "nobody was moved" assert_eq "its CPUs" "$own" \
    "$(rig_exec a taskset -cp "$busy" | sed 's/.*: //')"
check "it is no drift" assert_no_drift a
check "the guest's own threads are none" assert_eq "its process" "" \
    "$(rig_exec a grep " $(rig_qemu_pid a db1) " /run/virtpin/strangers)"
rig_signal a busy KILL
rig_reap a busy
gone() { ! said host "$busy"; }
check "what has ended is not said any more" rig_wait 15 gone
