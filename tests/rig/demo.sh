#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make demo`: virtpin on two private libvirt hosts with real QEMU guests. The machine's own libvirt
# is not touched and nothing is left behind. Each step prints its command, the real output, and ok
# or FAILED; the exit status is 0 only if every step was checked and good.
. "$(dirname "$0")/lib.sh"

steps=0
bold=$([ -t 1 ] && printf '\033[1m') plain=$([ -t 1 ] && printf '\033[0m')

step() {
    steps=$((steps + 1))
    printf '\n%s%s. %s%s\n' "$bold" "$steps" "$*" "$plain"
}

# on HOST COMMAND...: show the command, run it there, show what it says; $said and $status are left.
on() {
    local host=$1
    shift
    if [ "$1" = sh ]; then
        printf '  %s# %s\n' "$host" "$3"
    else
        printf '  %s# %s\n' "$host" "$*"
    fi
    said=$(rig_exec "$host" "$@" 2>&1)
    status=$?
    [ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/    /'
}

# show HOST FILE: what is written to /etc/virtpin/FILE there, from stdin
show() {
    local text
    text=$(cat)
    printf '  %s# cat /etc/virtpin/%s\n' "$1" "$2"
    printf '%s\n' "$text" | sed 's/^/    /'
    printf '%s\n' "$text" | rig_conf "$1" "$2"
}

good() {
    [ "$status" = 0 ] || { echo "the command ended with status $status"; return 1; }
}

says() {
    [[ $said == *"$1"* ]] || { echo "expected '$1' in its output"; return 1; }
}

rig_need sqlite3
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
online=$(cat /sys/devices/system/cpu/online)
[ "$(nproc --all)" -ge 2 ] || rig_skip_all "needs two CPUs; this machine has CPU $online"

echo "$bold$("$BUILD/virtpin" --version | head -n 1) on two private hosts," \
    "$(nproc --all) CPUs ($online)$plain"

step "Two libvirt hosts, alpha and beta; the hook is installed, no policy is active"
rig_up alpha net
rig_up beta net
on alpha ls -l /etc/libvirt/hooks/qemu.d/
check "the hook is in place" says /usr/sbin/virtpin-hook
on alpha virsh version
check "libvirtd answers" good

step "Four policies: dedicated, shared, none, and one that also sets the guest's CPU"
for host in alpha beta; do
    rig_conf $host policy.d/demo.conf <<'CONF'
[policy database]
match-name = db*
mode = enforce
placement = dedicated
emulator = with-vcpus

[policy web]
match-name = web*
mode = enforce
placement = shared

[policy scratch]
match-name = scratch*
mode = enforce
placement = none

[policy app]
base = web
match-name = app*
mode = enforce
cpu-mode = custom
cpu-models = Westmere
topology = sockets=1 cores=2 threads=1
CONF
done
on alpha cat /etc/virtpin/policy.d/demo.conf
on alpha virtpin policy check
check "the policies are sound" good

step "The enforcer runs on alpha"
echo "  alpha# virtpind"
check "virtpind is up" rig_enforcer_start alpha

step "A shared guest; somebody moves one of its threads with taskset"
rig_define alpha web1 vcpus=2
on alpha virsh start web1
check "web1 starts" good
check "it may use all CPUs while nobody has one of its own" assert_affinity alpha web1 vcpu 1 "$online"
rig_settle
tid=$(rig_tid alpha web1 vcpu 1)
on alpha taskset -cp "${online##*[-,]}" "$tid"
check "taskset has worked" good
check "the thread is put back" rig_wait 10 assert_affinity alpha web1 vcpu 1 "$online"
check "and that is recorded" rig_wait 5 assert_drift alpha affinity repaired

step "Three guests under three policies: dedicated, shared, none"
rig_define alpha db1 vcpus=1
on alpha virsh start db1
check "db1 starts" good
dedicated=$(rig_affinity alpha db1 vcpu 0)
shared=$(rig_cpus without "$dedicated")
first_shared=${shared%%[-,]*}
check "its vCPU had a CPU of its own when virsh came back" \
    assert_match "affinity of db1's vCPU 0" '[0-9]' "$dedicated"
check "in affinity and cpuset" assert_affinity alpha db1 vcpu 0 "$dedicated"
check "web1 has left that CPU, vCPU 0" assert_affinity alpha web1 vcpu 0 "$shared"
check "web1 has left that CPU, vCPU 1" assert_affinity alpha web1 vcpu 1 "$shared"
rig_guest_xml scratch1 vcpus=1 |
    sed "s/<vcpu /<vcpu cpuset='$first_shared' /" >"$(rig_root alpha)/run/scratch1.xml"
on alpha virsh define /run/scratch1.xml
on alpha virsh start scratch1
check "scratch1 is where its own definition has it" assert_affinity alpha scratch1 vcpu 0 "$first_shared"

step "A second dedicated guest that does not fit is refused, with the reason"
rig_define alpha db2 vcpus="$(nproc --all)"
on alpha virsh start db2
check "virsh start fails" test "$status" != 0
check "with the reason" says "CPU"
check_not "db2 does not run" assert_state alpha db2 running

step "What is in force"
on alpha virtpin status
check "nothing differs" good
check "db1 has CPU $dedicated" assert_status alpha cpus.dedicated "$dedicated"
check "the enforcer can repair" assert_status alpha enforcer.can_repair true

step "Somebody rewrites the cpuset file of db1's dedicated vCPU"
on alpha taskset -cp "$first_shared" "$(rig_tid alpha db1 vcpu 0)"
check "the kernel lets nobody out of the cpuset" test "$status" != 0
file=$(rig_inner_cpuset_dir alpha db1 vcpu 0)/cpuset.cpus
on alpha sh -c "echo $first_shared >$file; sleep 1"
check "the write has worked" good
check "it is put back" rig_wait 10 assert_affinity alpha db1 vcpu 0 "$dedicated"
check "and recorded" rig_wait 5 assert_drift alpha cpuset repaired

step "What differed, by whom, and how long the repair took"
on alpha virtpin drift
check "nothing is open" good
check "the guest is named" says db1
check "the writer is known" assert_eq "who wrote the cpuset" sh \
    "$(rig_drift alpha cpuset repaired by.comm)"
micros=$(rig_drift alpha cpuset repaired repair_us)
check "the repair took $micros microseconds" test "${micros:-0}" -gt 0

step "A definition is rewritten to the policy when it is defined, then started"
rig_guest_xml app1 vcpus=2 >"$(rig_root alpha)/run/app1.xml"
on alpha grep cpu /run/app1.xml
on alpha virsh define /run/app1.xml
rewritten() {
    local xml
    xml=$(rig_virsh alpha dumpxml --inactive app1)
    [[ $xml == *Westmere* && $xml == *"cores='2'"* ]] || { echo "$xml" | grep -A 4 '<cpu'; return 1; }
}
check "the enforcer writes what the policy says" rig_wait 10 rewritten
on alpha sh -c "virsh dumpxml --inactive app1 | sed -n '/<cpu /,/<.cpu>/p'"
on alpha virsh start app1
check "app1 starts" good
on alpha sh -c "tr '\\0' ' ' </proc/$(rig_qemu_pid alpha app1)/cmdline | grep -oE -e '-(cpu|smp) [^ ]*'"
check "its CPU is the policy's" says Westmere
check "its topology is the policy's" says cores=2
on alpha virtpin revert app1
check "revert puts the definition back" good
reverted() {
    ! rig_virsh alpha dumpxml --inactive app1 | grep -n Westmere
}
check "as it was" reverted

step "db1 moves to beta, where CPU $dedicated is reserved"
show beta virtpin.conf <<CONF
[host]
reserved = $dedicated
dedicated = all
CONF
check "virtpind is up on beta" rig_enforcer_start beta
on alpha virsh migrate --live db1 qemu+tcp://beta/system tcp://beta
check "the migration succeeds" good
check "db1 runs on beta" assert_state beta db1 running
moved=$(rig_affinity beta db1 vcpu 0)
check_not "not on CPU $dedicated" assert_eq "affinity of vCPU 0" "$dedicated" "$moved"
check "but on one of beta's own" assert_affinity beta db1 vcpu 0 "$moved"
on beta virtpin status
check "beta says the same" assert_status beta cpus.dedicated "$moved"
check "CPU $dedicated of alpha is free again" rig_wait 15 assert_status alpha cpus.dedicated ""

step "Nothing is left behind"
groups=$(cat "$RIG_DIR/alpha/cgroups" "$RIG_DIR/beta/cgroups")
inits="$(rig_pid alpha) $(rig_pid beta)"
rig_down alpha
rig_down beta
gone() {
    local g p
    for g in $groups; do
        [ ! -d "$g" ] || { echo "cgroup $g"; return 1; }
    done
    for p in $inits; do
        [ ! -d "/proc/$p" ] || { echo "process $p"; return 1; }
    done
}
check "no process and no cgroup" gone

printf '\n%sdemo: %s steps, %s checks ok, %s FAILED, %s s%s\n' "$bold" "$steps" "$RIG_OK" "$RIG_FAILED" \
    "$SECONDS" "$plain"
