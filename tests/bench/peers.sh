#!/bin/bash
# shellcheck disable=SC2016,SC1091
# SPDX-License-Identifier: GPL-2.0-or-later
# The pins of a 16-vCPU guest by other means, on a private host: pinVcpu over one connection, virsh
# for each vCPU, taskset for each thread.
. "$(dirname "$0")/../rig/lib.sh"
rig_need taskset
rig_need_built tests/bench/bench_pinvcpu
rig_up bench install=no
rig_guest bench peer vcpus=16 >/dev/null || rig_die "the guest does not start"
cp "$BUILD/tests/bench/bench_pinvcpu" "$(rig_root bench)/run/bench_pinvcpu"

# milliseconds of a command on the host, the shell's own start left out
timed() {
    rig_exec bench bash -c 'began=${EPOCHREALTIME/./}; eval "$1"; echo $(((${EPOCHREALTIME/./} - began) / 1000))' _ "$1"
}

tids=$(for v in $(seq 0 15); do rig_tid bench peer vcpu "$v"; done | tr '\n' ' ')
echo "the pins of a running 16-vCPU guest by other means"
printf '  16 pinVcpu calls over one connection     %8s ms\n' "$(rig_exec bench /run/bench_pinvcpu peer 16 15)"
printf '  16 virsh vcpupin                         %8s ms\n' \
    "$(timed 'for v in $(seq 0 15); do virsh -q vcpupin peer $v 0-1 --live >/dev/null; done')"
printf '  16 taskset -p                            %8s ms\n' \
    "$(timed "for t in $tids; do taskset -cp 0 \$t >/dev/null; done")"
