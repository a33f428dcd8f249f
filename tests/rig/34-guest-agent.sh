#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with a kernel and a guest agent whose vCPUs cannot be unplugged: `virtpin vcpus` takes them
# offline inside, says what the guest confirmed, and does not wait for an agent that answers no more.
# What is offline is read in the guest: its /proc/cpuinfo and topology files.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guest/lib.sh"
rig_need sqlite3
rig_need_kernel
rig_standard a
rig_policy a app <<'CONF'
[policy inside]
match-name = inside*
mode = enforce
cpu-mode = custom
cpu-models = Westmere
vcpus = 3
topology = sockets=1 cores=3 threads=1
guest-agent = yes
placement = fixed
vcpupin = 0:0 1-2:1
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)
sys=/sys/devices/system/cpu

defined() {
    assert_match "the definition" '*org.qemu.guest_agent.0*' "$(rig_virsh a dumpxml --inactive inside1 2>&1)"
}
says() {
    assert_match "what the guest has" "$1" "$(rig_ask a inside1 "$2" 2>&1)"
}
# vcpus EXIT GLOB ARGS...: `virtpin vcpus inside1 ARGS` ends so and says so
vcpus() {
    local want=$1 glob=$2 said status=0
    shift 2
    said=$(rig_exec a virtpin vcpus inside1 "$@" 2>&1) || status=$?
    assert_eq "exit status, and it says: $said" "$want" "$status" &&
        assert_match "virtpin vcpus inside1 $*" "$glob" "$said"
}
# json KEY VALUE ...: of the answer in $RIG_DIR/json
json() {
    while [ $# -gt 0 ]; do
        assert_eq "$1 in $(cat "$RIG_DIR/json")" "$2" "$(rig_json "$1" <"$RIG_DIR/json")" || return 1
        shift 2
    done
}
threads() {
    assert_eq "vCPU threads" "$1" \
        "$(grep -l '^CPU ' "$root/proc/$(rig_qemu_pid a inside1)/task"/*/comm | wc -l)"
}
settled() {
    assert_no_drift a && assert_affinity a inside1 vcpu 2 1 && rig_exec a virtpin status inside1 >/dev/null
}

rig_kernel_define a inside1 vcpus=3
check "the definition gets the agent's channel" rig_wait 10 defined
check "it starts" rig_virsh a start inside1 || exit
check "it boots" rig_kernel_up a inside1 || exit
answers() {
    rig_virsh a guestinfo inside1 --os >/dev/null 2>&1 || rig_virsh a qemu-agent-command inside1 '{"execute":"guest-ping"}'
}
check "its agent answers" rig_wait 20 answers || exit
check "it uses three" says 3 "grep -c '^processor' /proc/cpuinfo"
check "as the policy's three cores" says $'cpu cores\t: 3\ncore id\t\t: 0\ncore id\t\t: 1\ncore id\t\t: 2' \
    "grep -m1 'cpu cores' /proc/cpuinfo; grep 'core id' /proc/cpuinfo"
check "of one socket" says 0-2 "cat $sys/cpu0/topology/package_cpus_list"
no_unplug() {
    local said
    said=$(rig_virsh a setvcpus --live inside1 1 2>&1) && { echo "it was unplugged"; return 1; }
    assert_match "virsh setvcpus" '*failed to find appropriate hotpluggable vcpus*' "$said"
}
check "libvirt cannot unplug one" no_unplug

# ---- down and up inside ----
check "the agent takes two offline" vcpus 0 \
    'inside1: the guest uses 1 vCPU of 3 by its agent, it was 3; all threads stay' 1
check "the guest has one online" says $'0\n1-2' "cat $sys/online; cat $sys/offline"
check "and one processor" says $'1\nprocessor\t: 0' "grep -c '^processor' /proc/cpuinfo; grep '^processor' /proc/cpuinfo"
check "alone in its socket" says 0 "cat $sys/cpu0/topology/package_cpus_list"
check "QEMU has its three threads" threads 3
check "on their CPUs, and nothing differs" rig_wait 5 settled
check "again it has nothing to do" vcpus 0 'inside1 has 1 vCPU already' 1
rig_exec a virtpin vcpus inside1 2 --json >"$RIG_DIR/json"
check "one comes back, as JSON" json way agent "done" true before 1 guest_online 0-1 vcpus 0-2
check "the guest has two" says $'0-1\n2' "cat $sys/online; cat $sys/offline"
check "with the enforcer down" rig_enforcer_stop a
check "all come back" vcpus 0 '*uses 3 vCPUs of 3 by its agent, it was 2*' 3
check "the guest has three" says 3 "grep -c '^processor' /proc/cpuinfo"

# ---- a guest that does not do what its agent was asked ----
# /dev/zero takes what is written and never says 0: the agent finds the vCPU online as before.
rig_ask a inside1 "mount --bind /dev/zero $sys/cpu2/online" >/dev/null
check "a vCPU that stays online is not said to be offline" \
    vcpus 1 '*the guest agent was asked, and the guest has another number*' 2
check "the guest has it" says 0-2 "cat $sys/online"
rig_exec a virtpin vcpus inside1 2 --json >"$RIG_DIR/json"
check "as JSON" json way agent "done" false guest_online 0-2
rig_ask a inside1 "umount $sys/cpu2/online" >/dev/null

# ---- an agent that hangs ----
rig_ask a inside1 "kill -STOP \$(pidof qemu-ga)" >/dev/null
SECONDS=0
check "an agent that hangs: the definition, for the next start" \
    vcpus 0 '*2 vCPUs from its next start*runs on with 3: *no guest agent answers*' 2
check "after the agent's time, and not much more" test "$SECONDS" -ge 4 -a "$SECONDS" -le $((12 * RIG_PATIENCE))
check "which the definition has" assert_match "the definition" "*current='2'>3</vcpu>*" \
    "$(rig_virsh a dumpxml --inactive inside1)"
check "the guest has all" says 0-2 "cat $sys/online"
rig_ask a inside1 "kill -CONT \$(pidof qemu-ga)" >/dev/null
check "when it answers again" rig_wait 20 answers
check "it is asked again" vcpus 0 '*uses 2 vCPUs of 3 by its agent, it was 3*' 2
