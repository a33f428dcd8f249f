#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How long a guest runs before the hook has pinned its threads, at a cold boot.
# Variables: STARTS (20).
. "$(dirname "$0")/../rig/lib.sh"
. "$(dirname "$0")/../lab/guest/window.sh"
rig_need
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
rig_up a
window_open || rig_skip_all "the kernel's trace does not say"
trap 'window_close; rig_end' EXIT
rig_policy a all <<'CONF'
[policy all]
match-name = w*
mode = enforce
placement = shared
CONF
rig_enforcer_start a >/dev/null || rig_die "the enforcer does not come up"
on_a() {
    rig_exec a virsh "$@"
}
for vcpus in 1 8; do
    rig_define a "w$vcpus" "vcpus=$vcpus" || rig_die "no guest"
    for _ in $(seq "${STARTS:-20}"); do
        window_guest on_a "w$vcpus" || rig_die "no figure of w$vcpus"
        rig_virsh a destroy "w$vcpus"
    done | sort -n | awk -v vcpus="$vcpus" '{ us[NR] = $1 } END {
        printf "a guest of %d vCPUs runs before it is pinned: median %.1f ms, longest %.1f ms of %d starts\n",
            vcpus, us[int((NR + 1) / 2)] / 1000, us[NR] / 1000, NR }'
done
