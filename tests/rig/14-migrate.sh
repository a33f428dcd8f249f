#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Live migration: each host places by its own policy; what libvirt refuses or an operator cancels
# leaves no booking behind.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a net
rig_standard b net
check "an enforcer on each" rig_enforcer_start a || exit
rig_conf b virtpin.conf <<'CONF'
[host]
dedicated = all
CONF
check "of two hosts" rig_enforcer_start b || exit

check "a guest starts on a" rig_guest a packed1 vcpus=1
on_a=$(rig_affinity a packed1 vcpu 0)
# a's CPU is taken on b
rig_conf b virtpin.conf <<CONF
[host]
dedicated = all
reserved = $on_a
CONF
to_b() {
    rig_virsh a migrate --live "$@" qemu+tcp://b/system tcp://b
}
to_a() {
    rig_virsh b migrate --live "$@" qemu+tcp://a/system tcp://a
}

# The hook after ours changes what libvirt does not allow: the migration is refused after our answer.
rig_hook b 90-spoil <<'HOOK'
#!/bin/sh
[ "$2" != migrate ] || sed 's|<vcpu \(.*\)>1</vcpu>|<vcpu \1>2</vcpu>|'
HOOK
check_not "libvirt refuses a changed vCPU count" to_b packed1
rm "$(rig_root b)/etc/libvirt/hooks/qemu.d/90-spoil"
check "our hook had answered by then" assert_guest b packed1 state lease
lease_since=$SECONDS
check "the guest still runs on a" assert_affinity a packed1 vcpu 0 "$on_a"

check "it migrates to b" to_b packed1
check "runs there" assert_state b packed1 running
on_b=$(rig_affinity b packed1 vcpu 0)
check_not "on another CPU" assert_eq "CPU" "$on_a" "$on_b"
check "by affinity and cpuset" assert_affinity b packed1 vcpu 0 "$on_b"
check "as b's status says" assert_guest b packed1 cpus "$on_b"
check "a has its CPU back" rig_wait 15 assert_status a cpus.dedicated ""
check "it migrates back" to_a packed1
check "and is pinned on a" assert_affinity a packed1 vcpu 0 "$(rig_guest_status a packed1 cpus)"

check "a large guest starts on a" rig_guest a web1 vcpus=1 mem=2048
cancelled() {
    rig_exec a sh -c "virsh -q migrate-setspeed web1 1
        virsh -q migrate --live web1 qemu+tcp://b/system tcp://b >/run/cancelled 2>&1 & job=\$!
        for i in \$(seq 50); do
            sleep 0.1; virsh -q domjobabort web1 2>/dev/null && break
        done
        ! wait \$job" || { cat "$(rig_root a)/run/cancelled"; return 1; }
}
check "its migration is cancelled" cancelled
check "it runs on a" assert_state a web1 running
gone() {
    assert_eq "web1 in status of b" "" "$(rig_guest_status b web1 state)"
}
check "b has forgotten it" rig_wait 15 gone

# A lease of a migration that libvirt refused ends a minute after the answer.
rig_hook b 90-spoil <<'HOOK'
#!/bin/sh
[ "$2" != migrate ] || sed 's|<vcpu \(.*\)>1</vcpu>|<vcpu \1>2</vcpu>|'
HOOK
check_not "a migration is refused once more" to_b packed1
check "b has leased a CPU" assert_guest b packed1 state lease
lease_gone() {
    assert_status b cpus.dedicated ""
}
check "which it gives back after a minute" rig_wait 70 lease_gone
rig_say "first lease after $((SECONDS - lease_since)) s"
