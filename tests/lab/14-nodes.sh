#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests spread over the host's nodes, and nodes of their own inside them.
. "$(dirname "$0")/guest/lib.sh"
online=$(lab_online)
nodes=$(lab_count "$(lab_node_of "$online")")
check "the policies are sound" lab_policy <<'CONF'
[policy wide]
match-name = wide*
mode = enforce
placement = dedicated
numa = spread

[policy cells]
base = wide
match-name = cells*
mode = enforce
guest-numa = auto
CONF

# shares GUEST: how many of its CPUs are on each node, in the order of the nodes
shares() {
    local cpu node count=()
    for cpu in $(lab_expand "$(lab_cpus "$1")"); do
        node=$(lab_node_of "$cpu")
        count[node]=$((${count[node]:-0} + 1))
    done
    echo "${count[*]}"
}
want=$(for ((i = 0; i < nodes; i++)); do echo 2; done | xargs)
check "two vCPUs for each node start under spread" lab_guest wide1 vcpus=$((2 * nodes))
check "a CPU for each" lab_one_each wide1 $((2 * nodes))
check "two on each node" assert_eq "CPUs on the nodes" "$want" "$(shares wide1)"
virsh -q destroy wide1
check "their CPUs are free" lab_wait 14 assert_status cpus.dedicated ""
check "one vCPU more starts" lab_guest wide2 vcpus=$((2 * nodes + 1))
check "a CPU for each" lab_one_each wide2 $((2 * nodes + 1))
check "on all nodes or all but what is full" test "$(shares wide2 | wc -w)" -ge $((nodes > 2 ? 3 : 2))
even() {
    local share low=99 high=0
    for share in $(shares wide2); do
        [ "$share" -ge "$low" ] || low=$share
        [ "$share" -le "$high" ] || high=$share
    done
    [ $((high - low)) -le 1 ] || { echo "on the nodes: $(shares wide2)"; return 1; }
}
check "shares differ by one at most" even
echo "# wide2: $(shares wide2) on the nodes"
virsh -q destroy wide2
check "their CPUs are free" lab_wait 14 assert_status cpus.dedicated ""

check "a guest is defined whose nodes are the host's" lab_define cells1 vcpus=$((2 * nodes)) mem=128
cells_defined() {
    assert_eq "cells of the definition" "$nodes" \
        "$(virsh dumpxml --inactive cells1 | grep -c "<cell id='")"
}
check "its definition gets a cell for each node" lab_wait 10 cells_defined
check "it starts" virsh -q start cells1
check "a CPU for each vCPU" lab_one_each cells1 $((2 * nodes))
qemu_nodes() {
    assert_match "info numa" "$nodes nodes*" \
        "$(virsh -q qemu-monitor-command cells1 --hmp info numa | tr -d '\r')"
}
check "QEMU has as many nodes" qemu_nodes
# distances of the first cell, as the kernel has them for the host's first node
distances() {
    virsh dumpxml cells1 | awk '/<cell id=.0/ { on = 1 } /<\/cell>/ { on = 0 }
        on && /<sibling/ { split($0, f, "\047"); printf "%s%s", sep, f[4]; sep = " " }'
}
check "with the host's distances" assert_eq "of cell 0" \
    "$(xargs </sys/devices/system/node/node0/distance)" "$(distances)"
# the vCPUs of a cell are on one node, and those of another on another
own_nodes() {
    local cell vcpu cpus at all=()
    while read -r cell cpus; do
        at=
        for vcpu in $(lab_expand "$cpus"); do
            at=$(lab_union "$at" "$(lab_node_of "$(lab_mask cells1 vcpu "$vcpu")")")
        done
        [[ $at =~ ^[0-9]+$ ]] || { echo "cell $cell, vCPUs $cpus: nodes $at"; return 1; }
        all[at]=1
    done < <(virsh dumpxml cells1 | sed -n "s/.*<cell id='\([0-9]*\)' cpus='\([0-9,-]*\)'.*/\1 \2/p")
    assert_eq "nodes that have a cell" "$nodes" "${#all[@]}"
}
check "each cell's vCPUs are on a node of their own" own_nodes
check "nothing is open" lab_wait 10 assert_calm
