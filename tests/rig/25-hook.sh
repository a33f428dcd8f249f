#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The hook alone where something stands between: a script that calls it, a ledger that is gone,
# policies that changed, names like options.
. "$(dirname "$0")/lib.sh"
rig_standard a
root=$(rig_root a)

# An old hook script that calls ours and ends with us: the lease is libvirtd's all the same. It
# keeps db1 between prepare and started while db2 asks for CPUs.
rm "$root/etc/libvirt/hooks/qemu.d/50-virtpin"
rig_hook a 50-script <<'HOOK'
#!/bin/sh
/usr/sbin/virtpin-hook "$@"
result=$?
if [ "$1 $2" = "db1 start" ]; then
    touch /run/at-start
    sleep 3
fi
exit $result
HOOK
all=$(($(nproc --all) - 1))
rig_define a db1 vcpus=$all
rig_define a db2 vcpus=$all
rig_spawn a starting virsh -q start db1
check "a guest starts slowly" rig_wait 10 test -e "$root/run/at-start"
check_not "another gets none of its CPUs meanwhile" rig_virsh a start db2
rig_reap a starting
check "the first has started" assert_state a db1 running
own=$(rig_affinity a db1 vcpu 0)
check "on a CPU of its own" assert_match "affinity" '[0-9]*' "$own"
check "which is booked" assert_guest a db1 state running
check "libvirtd restarts with the script" rig_libvirtd_restart a
check "db1 lives" assert_state a db1 running

# The hook makes a lost ledger anew and knows what runs before it books.
rm -f "$root"/run/virtpin/ledger*
check_not "without a ledger, too, db2 gets none of db1's CPUs" rig_virsh a start db2
check "db1 is in the new one" assert_guest a db1 state running

# Policies are what the files say now, also a moment after they changed.
rig_virsh a destroy db1 >/dev/null
rig_policy a zz-later <<'CONF'
[policy later]
match-name = db1
priority = 10
mode = enforce
placement = shared
CONF
check "db1 starts under a policy just written" rig_virsh a start db1
check "in the shared pool" assert_guest a db1 policy later
rm "$root/etc/virtpin/policy.d/zz-later.conf"
rig_virsh a destroy db1 >/dev/null
check "and under the old one when that is gone" rig_virsh a start db1
check "with CPUs of its own" assert_guest a db1 policy database

# What reads policies anew may be missing as well: on-error = allow.
rig_virsh a destroy db1 >/dev/null
mv "$root/usr/libexec/virtpin/virtpin-hook-survey" "$root/run/survey"
touch "$root/etc/virtpin/policy.d/standard.conf"
check "a guest starts without the program that reads policies" rig_virsh a start db1
check "libvirtd restarts without it" rig_libvirtd_restart a
check "db1 lives" assert_state a db1 running
mv "$root/run/survey" "$root/usr/libexec/virtpin/virtpin-hook-survey"
rig_virsh a destroy db1 >/dev/null

rig_define a --help vcpus=1
check "a guest named like an option starts" rig_virsh a start --domain=--help
check "libvirtd restarts beside it" rig_libvirtd_restart a
check "it lives" assert_match "the guests that run" '*--help*' "$(rig_virsh a list --name)"

# Broken policies, and none that was good before: [host] on-error, which is not among them.
rig_virsh a destroy --domain=--help >/dev/null
rig_conf a virtpin.conf <<'CONF'
[host]
on-error = refuse
CONF
rig_policy a broken <<<'[policy'
no_good_set() {
    rm -f "$root"/run/virtpin/policy.* "$root/run/virtpin/launcher"
}
no_good_set
refused() {
    local said
    said=$(rig_virsh a start db1 2>&1) && { echo "it started"; return 1; }
    assert_match "what virsh says" '*broken.conf:1*no earlier good set*on-error = refuse*' "$said"
}
check "with nothing to go by on-error = refuse refuses" refused
rig_conf a virtpin.conf </dev/null
no_good_set
check "on-error = allow lets it start" rig_virsh a start db1
check "which the journal has" assert_log a "no earlier good set.*on-error = allow"
