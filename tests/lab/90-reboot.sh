#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The host restarts, and its autostarted guests are on their CPUs.
. "$(dirname "$0")/guest/lib.sh"
if [ "${1:-}" != booted ]; then
    check "the policies are sound" lab_db_and_web 'numa = single'
    check "a dedicated guest is defined" lab_define db1 vcpus=2
    check "a second" lab_define db2 vcpus=4
    check "and a shared one" lab_define web1 vcpus=1
    for name in db1 db2 web1; do
        virsh -q autostart "$name"
    done
    lab_reboot booted
fi
check "virtpind runs" lab_wait 20 systemctl is-active virtpind
for name in db1 db2 web1; do
    check "$name runs" lab_wait 30 assert_running "$name"
done
check "db1 has a CPU for each vCPU" lab_wait 10 lab_one_each db1 2
check "db2 has a CPU for each vCPU" lab_one_each db2 4
check "they are apart" assert_disjoint "$(lab_cpus db1)" "$(lab_cpus db2)"
check "web1 is beside both" lab_wait 10 assert_at web1 vcpu 0 \
    "$(lab_minus "$(lab_undivided)" "$(lab_union "$(lab_cpus db1)" "$(lab_cpus db2)")")"
check "nothing is open" lab_wait 15 assert_calm
