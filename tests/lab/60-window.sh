#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# How long a guest has run when the hook has pinned it, at a cold boot.
. "$(dirname "$0")/guest/lib.sh"
. "$(dirname "$0")/guest/window.sh"
window_open || lab_skip_all "the kernel's trace does not say"
trap 'window_close; lab_end' EXIT
check "the policy is sound" lab_policy <<'CONF'
[policy db]
match-name = db*
mode = enforce
placement = dedicated
CONF
lab_define db1 vcpus=4
export WINDOW_SETTLE=$LAB_PATIENCE
for n in 1 2 3 4 5; do
    read -r us all <<<"$(window_guest virsh db1)"
    check "start $n is seen" test -n "$us" || { virsh -q destroy db1; continue; }
    check "a CPU for each vCPU" lab_one_each db1 4
    echo "# start $n: pinned $((all / 1000)) ms after QEMU's exec, $((us / 1000)) ms after its RESUME"
    check "db1 did not run for long before that" test "$us" -lt $((1000000 * LAB_PATIENCE))
    virsh -q destroy db1
done
