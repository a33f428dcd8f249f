#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One guest with a kernel: what it sees of the CPU that its policy gives it, and `virtpin vcpus` by
# each of its ways. QEMU 7.2 under TCG ends when a vCPU is plugged after another was unplugged, and
# never tells libvirt of an unplug: the unplugging comes last.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guest/lib.sh"
rig_need sqlite3
rig_need_kernel
rig_standard a
rig_policy a app <<'CONF'
[policy kern]
match-name = kern*
mode = enforce
cpu-mode = custom
cpu-models = Westmere-IBRS Westmere
cpu-features = -aes
vcpus = 4
vcpus-current = 2
vcpus-hotplug = yes
topology = auto
preferred-threads = 2
guest-agent = yes
placement = fixed
vcpupin = 0-1:0 2-3:1
on-start = refuse

[policy plain]
match-name = plain*
mode = enforce
placement = fixed
vcpupin = 0-1:0 2-3:1

[policy boot]
base = plain
match-name = boot*
mode = enforce
vcpus-current = 2
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)

defined_as() {
    assert_match "$1" "*$2*" "$(rig_virsh a dumpxml --inactive "$1" 2>&1)"
}
says() {
    assert_match "what the guest has" "$1" "$(rig_ask a kern1 "$2" 2>&1)"
}
lacks() {
    ! rig_ask a kern1 "$2" | grep -qw "$1"
}
# vcpus EXIT GLOB ARGS...: `virtpin vcpus ARGS` ends so and says so
vcpus() {
    local want=$1 glob=$2 said status=0
    shift 2
    said=$(rig_exec a virtpin vcpus "$@" 2>&1) || status=$?
    assert_eq "exit status, and it says: $said" "$want" "$status" &&
        assert_match "virtpin vcpus $*" "$glob" "$said"
}
json() {
    local path=$1 want=$2 found
    found=$(rig_json "$path" <"$RIG_DIR/json")
    assert_eq "$path in $(cat "$RIG_DIR/json")" "$want" "$found"
}
threads() {
    local n
    n=$(grep -l '^CPU ' "$root/proc/$(rig_qemu_pid a "$1")/task"/*/comm | wc -l)
    assert_eq "vCPU threads of $1" "$2" "$n"
}

# ---- what the guest sees ----
rig_kernel_define a kern1 vcpus=1
check "the definition has the policy's CPU" rig_wait 10 defined_as kern1 "current='2'>4</vcpu>"
check "it starts" rig_virsh a start kern1 || exit
check "it boots" rig_kernel_up a kern1 || exit
cpu0=/sys/devices/system/cpu/cpu0/topology
check "the guest sees the model" says '*Westmere*' "grep -m1 'model name' /proc/cpuinfo"
check "without the feature that the policy takes" lacks aes 'cat /proc/cpuinfo'
check "with the model's others" says '*sse4_2*' "grep -m1 flags /proc/cpuinfo"
check "two vCPUs of four" says $'0-1\n0-3' 'cat /sys/devices/system/cpu/online /sys/devices/system/cpu/possible'
check "which are two threads of a core" says 0-1 "cat $cpu0/thread_siblings_list"
check "in the only socket" says $'0\n0' 'cat /sys/devices/system/cpu/cpu[01]/topology/physical_package_id'

# ---- plug ----
check "a number out of the maximum" vcpus 1 '*found 5 vCPUs, legal 1 to 4*vcpus = 5*' kern1 5
check "no number" vcpus 2 '*found "0", legal 1 to*' kern1 0
check "another number" vcpus 2 '*found "2x", legal 1 to*' kern1 2x
check "no such guest" vcpus 1 '*has no guest "nobody"*' nobody 2
check "what it has already" vcpus 0 'kern1 has 2 vCPUs already' kern1 2
check "one more is plugged, and the guest uses it" \
    vcpus 0 'kern1: 2 -> 3 vCPUs, plugged; the guest uses 3; all are on their CPUs' kern1 3
check "it is on its CPU" assert_affinity a kern1 vcpu 2 1
check "the guest sees it" says 0-2 'cat /sys/devices/system/cpu/online'
rig_enforcer_stop a
check "and the fourth without the enforcer" vcpus 0 '*3 -> 4 vCPUs, plugged; the guest uses 4*' kern1 4
check "it is on its CPU too" assert_affinity a kern1 vcpu 3 1
check "the guest sees two cores" says $'0-1\n2-3' \
    'cat /sys/devices/system/cpu/cpu[02]/topology/thread_siblings_list'
check "the enforcer starts" rig_enforcer_start a

# ---- the agent: what was taken offline inside is put to use before anything is plugged ----
check "inside, two are taken offline" rig_ask a kern1 \
    'echo 0 >/sys/devices/system/cpu/cpu2/online; echo 0 >/sys/devices/system/cpu/cpu3/online'
check "the agent puts one to use" \
    vcpus 0 'kern1: the guest uses 3 vCPUs of 4 by its agent, it was 2; all threads stay' kern1 3
check "the lowest" says 0-2 'cat /sys/devices/system/cpu/online'

# ---- unplug ----
rig_exec a virtpin vcpus kern1 2 --json >"$RIG_DIR/json"
check "two are unplugged" json way unplug
check "which the guest has done" json "done" true
check "QEMU has the others" json vcpus 0-1
check "the guest too" json guest_online 0-1
check "two threads are left" threads kern1 2
settled() {
    assert_no_drift a && rig_exec a virtpin status kern1 >/dev/null
}
check "nothing differs" rig_wait 10 settled
check "libvirt has not noticed: nothing is plugged" vcpus 1 \
    '*libvirt has not noticed that vCPU 2-3 is unplugged*' kern1 3
check "it runs" assert_state a kern1 running
check "libvirt waits for the agent as before" test -z "$(grep "<agentTimeout>[^-]" "$root/run/libvirt/qemu/kern1.xml")"
rig_ask a kern1 "echo c >/proc/sysrq-trigger" >/dev/null 2>&1 &
check "one that has crashed does not answer" \
    vcpus 1 '*not given back vCPU 1 within 1 s and may do so later*' kern1 1 --timeout 1s
check "its vCPU stays" threads kern1 2
wait $!
rig_virsh a destroy kern1 >/dev/null
nothing_left() {
    assert_eq "groups of the guest" "" \
        "$(find "$root/sys/fs/cgroup" -path '*kern1*' -name 'vcpu*' 2>/dev/null | head -n 1)"
}
check "destroyed, it leaves nothing" rig_wait 5 nothing_left

# ---- guests that give nothing back ----
check "the next start has what the policy says" vcpus 1 \
    '*policy kern has vcpus-current = 2, which would be written back*' kern1 3
check "a guest that was not started for it" rig_guest a plain1 vcpus=4 current=3
check "gets one more" vcpus 0 'plain1: 3 -> 4 vCPUs, plugged; no guest agent says*' plain1 4
check "and gives none back without a kernel" vcpus 1 '*not take part in CPU hotplug*' plain1 3
rig_virsh a suspend plain1 >/dev/null
check "paused, it gives none back" vcpus 1 '*it is paused*virsh resume*' plain1 3
rig_virsh a resume plain1 >/dev/null
check "others from its next start" vcpus 0 '*2 vCPUs from its next start*runs on with 4*' plain1 2
check "which the definition has" defined_as plain1 "current='2'>4</vcpu>"
check "a guest under vcpus-current" rig_guest a boot1 vcpus=4
check "keeps it" vcpus 1 '*policy boot has vcpus-current = 2*' boot1 1
rig_virsh a destroy plain1 >/dev/null
check "shut off, its definition changes" vcpus 0 'plain1: 3 vCPUs from its next start' plain1 3
check "up to its maximum" vcpus 1 '*legal 1 to 4*' plain1 5

# ---- where libvirt is not told pins ----
rig_enforcer_stop a
rig_conf a virtpin.conf <<<$'[host]\ntell-libvirt = no'
check "libvirt is not told pins" rig_virsh a start plain1
check "a vCPU is plugged all the same" vcpus 0 '*all are on their CPUs' plain1 4
check "onto its CPU" assert_affinity a plain1 vcpu 3 1
