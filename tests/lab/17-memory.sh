#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory follows a guest that is moved to CPUs of another node, and nothing of it is lost.
. "$(dirname "$0")/guest/lib.sh"
online=$(lab_online)
nodes=$(lab_count "$(lab_node_of "$online")")
[ "$nodes" -ge 2 ] || lab_skip_all "this host has one node"
check "the policies are sound" lab_policy <<'CONF'
[policy kept]
match-name = kept*
mode = enforce
placement = dedicated
numa = single
memory = strict
reserve = always

[policy loose]
base = kept
match-name = loose*
memory = preferred
reserve = running
CONF
MIB=192
RAM=/var/tmp/lab-ram
# all of it is there from the start, and not all of it zero
full="<memoryBacking><allocation mode='immediate'/></memoryBacking>
  <qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
    <qemu:arg value='-device'/>
    <qemu:arg value='loader,file=$RAM.in,addr=0x200000,force-raw=on'/>
  </qemu:commandline>"
head -c 16M /dev/urandom >$RAM.in
chmod 644 $RAM.in

# lies GUEST NODE: MiB of its anonymous memory there
lies() {
    awk -v node="N$2=" '!/ file=/ { for (i = 3; i <= NF; i++) if (index($i, node) == 1)
        sum += substr($i, length(node) + 1) } END { print int(sum / 256) }' \
        "/proc/$(lab_qemu "$1")/numa_maps"
}
# all_on GUEST NODE: all of its RAM is there, and next to nothing of it anywhere else
all_on() {
    local node other=0
    for ((node = 0; node < nodes; node++)); do
        [ "$node" = "$2" ] || other=$((other + $(lies "$1" "$node")))
    done
    [ "$(lies "$1" "$2")" -ge $MIB ] && [ "$other" -lt 8 ] && return
    echo "$1: $(lies "$1" "$2") MiB on node $2, $other MiB elsewhere"
    return 1
}
# free_on NODE COUNT: so many CPUs of that node that nobody has
free_on() {
    local list
    list=$(lab_minus "$(lab_minus "$(</sys/devices/system/node/node"$1"/cpulist)" "$(lab_shared_core)")" \
        "$(lab_status cpus.dedicated)")
    # shellcheck disable=SC2046
    set -- $(lab_expand "$list") "$2"
    lab_list "${@:1:${*: -1}}"
}
mems() {
    echo "$(<"$(lab_group "$1" vcpu 0)/cpuset.mems")"
}
bound() {
    assert_eq "cpuset.mems of vCPU 0 of $1" "$2" "$(mems "$1")"
}
# what the guest has of it
same() {
    rm -f $RAM.out
    virsh -q qemu-monitor-command "$1" --hmp \
        "pmemsave 0x200000 0x1000000 \"$RAM.out\"" >/dev/null
    cmp $RAM.in $RAM.out
}

check "a guest is defined whose memory is bound" lab_define kept1 vcpus=2 mem=$MIB top="$full"
has_nodes() {
    virsh dumpxml --inactive kept1 | grep -q "<memory mode='strict' nodeset='$1'/>" ||
        { virsh dumpxml --inactive kept1 | grep -A4 numatune; return 1; }
}
has_some() {
    virsh dumpxml --inactive kept1 | grep -q "<memory mode='strict' nodeset='[0-9]*'/>"
}
check "its definition gets its node" lab_wait 10 has_some
check "it starts" virsh -q start kept1
from=$(lab_node_of "$(lab_cpus kept1)")
to=$((from == 0 ? 1 : 0))
check "its CPUs are on one node" assert_match nodes '[0-9]' "$from"
check "its memory is there" lab_wait 10 all_on kept1 "$from"
check "and bound to it" bound kept1 "$from"
check "it has what was put in" same kept1
lab_settle

where=$(free_on "$to" 2)
check "it is moved to node $to" virtpin move kept1 --to "$where"
check "its CPUs are there" lab_one_each kept1 2
check "on that node" assert_eq node "$to" "$(lab_node_of "$(lab_cpus kept1)")"
check "its memory follows" lab_wait 20 all_on kept1 "$to"
check "and is bound there" lab_wait 20 bound kept1 "$to"
elsewhere() {
    local kib
    kib=$(virtpin status kept1 --json | lab_json 'guests[0].memory.elsewhere_kib')
    [ "$kib" -lt 32768 ] || { echo "$kib KiB elsewhere"; return 1; }
}
check "status says so" elsewhere
said() {
    journalctl -t virtpind --no-pager -o cat | grep -q "$1" ||
        { journalctl -t virtpind --no-pager -o cat | tail; return 1; }
}
check "the journal too" lab_wait 5 said "guest kept1: .* MiB of its memory were moved to node $to"
journalctl -t virtpind --no-pager -o cat | grep "guest kept1: .* of its memory" | sed 's/^/# /'
check "not a byte is another" same kept1
check "its definition follows" lab_wait 10 has_nodes "$to"
calm() {
    assert_calm && assert_eq "drift of its nodes" "" "$(lab_drift "kept1 mems repaired" id)"
}
check "nothing of it was drift" lab_wait 10 calm

# Killed in the middle: the next one goes on.
systemctl stop virtpind
check "moved back while the enforcer is down" virtpin move kept1 --to "$(free_on "$from" 2)"
check "its memory stays" all_on kept1 "$to"
systemctl start virtpind
begun() {
    [ -e /run/virtpin/memory ] || [ "$(lies kept1 "$from")" -gt 8 ]
}
check "with the enforcer it begins to move" lab_wait 10 begun
systemctl kill -s KILL virtpind
echo "# killed with $(lies kept1 "$from") MiB moved"
check "the enforcer comes back" lab_wait 20 assert_status enforcer.running true
check "and the rest follows" lab_wait 20 all_on kept1 "$from"
check "and is bound there" lab_wait 20 bound kept1 "$from"
check "not a byte is another" same kept1
check "nothing is open" lab_wait 10 assert_calm
check "and nothing of it was drift" assert_eq "drift of its nodes" "" "$(lab_drift "kept1 mems repaired" id)"

# What somebody else does to its nodes is drift as before.
echo "$to" >"$(lab_group kept1 vcpu 0)/cpuset.mems"
check "foreign nodes are drift" lab_wait 10 assert_drift kept1 mems repaired
check "and put back" lab_wait 10 bound kept1 "$from"
check "memory and all" lab_wait 20 all_on kept1 "$from"
virsh -q destroy kept1

# No group confines this one: only its pages are moved.
check "a guest starts whose memory is nowhere bound" lab_guest loose1 vcpus=2 mem=$MIB top="$full"
from=$(lab_node_of "$(lab_cpus loose1)")
to=$((from == 0 ? 1 : 0))
check "its memory comes to its CPUs" lab_wait 20 all_on loose1 "$from"
before=$(mems loose1)
check "it is moved" virtpin move loose1 --to "$(free_on "$to" 2)"
check "its memory follows" lab_wait 20 all_on loose1 "$to"
check "its groups are left alone" bound loose1 "$before"
check "nothing is open" lab_wait 10 assert_calm
rm -f $RAM.in $RAM.out
