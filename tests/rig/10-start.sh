#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Cold starts without the enforcer: the hook alone places, pins, refuses and frees.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a

check "a host without policies for it leaves a guest alone" rig_guest a other vcpus=2
check "it runs anywhere" assert_mask a other vcpu 1 "$(rig_cpus)"
rig_virsh a destroy other >/dev/null

check "a shared guest starts" rig_guest a web1 vcpus=2
check "it may use all CPUs while nobody has one" assert_mask a web1 vcpu 1 "$(rig_cpus)"

check "a dedicated guest starts" rig_guest a db1 vcpus=1 iothreads=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
check "its vCPU has one CPU when virsh start returns" assert_match "affinity" '[0-9]' "$own"
check "by affinity and cpuset" assert_affinity a db1 vcpu 0 "$own"
check "its emulator threads are shared" assert_affinity a db1 emulator "$rest"
check "its I/O thread is with them" assert_affinity a db1 iothread 1 "$rest"
check "the shared guest has left that CPU, vCPU 0" assert_affinity a web1 vcpu 0 "$rest"
check "the shared guest has left that CPU, vCPU 1" assert_affinity a web1 vcpu 1 "$rest"
check "the shared guest has left that CPU, emulator" assert_affinity a web1 emulator "$rest"
check "status has the booking" assert_status a cpus.dedicated "$own"
check "and the guest" assert_guest a db1 cpus "$own"
check "under its policy" assert_guest a db1 policy database

rig_define a db2 vcpus="$(nproc --all)"
refused() {
    local said
    said=$(rig_virsh a start db2 2>&1) && { echo "db2 started"; return 1; }
    assert_match "what virsh says" '*CPU*' "$said" &&
        assert_match "its length" '*Hook script execution failed*' "$said"
}
check "a guest that does not fit is refused with the reason" refused
check_not "it has no part in the ledger" assert_guest a db2 state running
check "it takes nothing from db1" assert_affinity a db1 vcpu 0 "$own"

check "an untouched guest starts" rig_guest a free1 vcpus=1
check "it runs anywhere" assert_mask a free1 vcpu 0 "$(rig_cpus)"
check "so the dedicated CPU is not exclusive" assert_guest a db1 exclusive false
rig_virsh a destroy free1 >/dev/null
check "and is again when that guest is gone" assert_guest a db1 exclusive true

rig_hook a 10-other <<'HOOK'
#!/bin/sh
echo "$1 $2" >>/run/other-hook
HOOK
rig_virsh a destroy db1 >/dev/null
check "destroyed, a guest gets its CPU again" rig_virsh a start db1
check "the same one" assert_affinity a db1 vcpu 0 "$own"
other_hook() {
    assert_match "calls of the other hook" '*db1 prepare*db1 started*' \
        "$(tr '\n' ' ' <"$(rig_root a)/run/other-hook")"
}
check "a second hook in qemu.d is called too" other_hook

rig_virsh a destroy db1 >/dev/null
freed() {
    assert_status a cpus.dedicated ""
}
check "its CPU is free ten seconds after it has gone" rig_wait 14 freed
