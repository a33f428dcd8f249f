#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Cells of the guest and the host's memory nodes: a definition under reserve = always binds each cell,
# starts so, follows the policy to another number of cells, and is reverted to its bytes.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 xmllint
[ "$(rig_cpus)" = 0-1 ] || rig_skip_all "the figures are those of a host of two CPUs, this one has $(rig_cpus)"
rig_standard a
rig_conf a virtpin.conf <<<$'[host]\ndedicated = all\nsweep = 1s\ncontested = 50/1s'
# cells N: the policy with so many cells
cells() {
    rig_policy a app <<CONF
[policy cells]
match-name = cells*
mode = enforce
placement = dedicated
emulator = with-vcpus
reserve = always
memory = strict
guest-numa = $1
CONF
}
cells 2
root=$(rig_root a)

inactive() {
    rig_virsh a dumpxml --inactive --security-info cells1 2>&1
}
# bound CELLS: what the definition has, cell by cell
bound() {
    local xml
    xml=$(inactive)
    assert_eq "cells and memnodes of: $(sed -n '/<numatune/,/<.numatune/p; /<numa>/,/<.numa>/p' <<<"$xml")" "$1" \
        "$(xmllint --xpath "concat(count(//numa/cell), ' cells, ', count(//numatune/memory[@mode='strict']), ' memory, ',
            count(//numatune/memnode[@mode='strict']), ' memnodes')" - <<<"$xml" 2>&1)"
}

rig_guest_xml cells1 vcpus=2 >"$root/run/cells1.xml"
check "a definition" rig_virsh a define /run/cells1.xml
before=$(inactive)
check "the enforcer comes up" rig_enforcer_start a || exit
check "two cells, each with its node" rig_wait 10 bound '2 cells, 1 memory, 2 memnodes'
check "it starts" rig_virsh a start cells1
monitor() {
    rig_virsh a qemu-monitor-command cells1 "$@" | tr -d '\r'
}
check "QEMU has two nodes" assert_match "info numa" '2 nodes*' "$(monitor --hmp info numa)"
memory=$(monitor '{"execute":"query-memdev"}')
check "whose memory is bound" assert_eq "bound in $memory" 2 "$(grep -o '"policy":"bind"' <<<"$memory" | wc -l)"
check "each vCPU on a CPU of its own" assert_eq "CPUs" "$(rig_cpus)" \
    "$(printf '%s\n' "$(rig_affinity a cells1 vcpu 0)" "$(rig_affinity a cells1 vcpu 1)" | sort -n | paste -sd '-')"
check "nothing differs" rig_wait 5 assert_no_drift a
rig_virsh a destroy cells1 >/dev/null
cells 1
check "the policy wants one" rig_wait 15 bound '1 cells, 1 memory, 0 memnodes'
cells 2
check "and two again" rig_wait 15 bound '2 cells, 1 memory, 2 memnodes'
check "it starts" rig_virsh a start cells1
rig_virsh a destroy cells1 >/dev/null
check "it is reverted" rig_exec a virtpin revert cells1
same() {
    [ "$before" = "$(inactive)" ] || { diff <(echo "$before") <(inactive); return 1; }
}
check "to the bytes that stood there" same
