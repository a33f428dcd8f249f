#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The rig itself, without virtpin: guests run and are seen, a plain hook is called, a migrate hook's
# pins are taken over, hosts do not see each other, nothing is left behind.
. "$(dirname "$0")/lib.sh"
rig_need

rig_up a net install=no
rig_up b net install=no

hook_records() {
    rig_hook "$1" 50-record <<'HOOK'
#!/bin/sh
echo "$1 $2" >>/run/hook-calls
logger -t record "$1 $2"
if [ "$2" = migrate ] || [ "$2" = restore ]; then
    sed "/<cputune>/,/<\\/cputune>/d; s|<os>|<cputune><vcpupin vcpu='0' cpuset='0'/></cputune><os>|"
fi
HOOK
}
hook_records a
hook_records b
rig_libvirtd_restart a
rig_libvirtd_restart b

calls() {
    assert_match "hook calls on $1" "$2" "$(tr '\n' ' ' <"$(rig_root "$1")/run/hook-calls")"
}

check "a guest with two vCPUs and an I/O thread starts" rig_guest a g1 vcpus=2 iothreads=1
check "the hook is called at its start" calls a 'g1 prepare g1 start g1 started '
check "syslog of the host is seen" rig_wait 2 assert_log a 'record.*g1 started'
all=$(rig_exec a cat /sys/devices/system/cpu/online)
check "vCPU 1 may run anywhere" assert_mask a g1 vcpu 1 "$all"
check "the I/O thread is found" assert_mask a g1 iothread 1 "$all"
rig_virsh a vcpupin g1 1 0 >/dev/null
check "vcpupin is seen in mask and cpuset" assert_affinity a g1 vcpu 1 0
check_not "a wrong list is noticed" assert_affinity a g1 vcpu 1 1
check_not "the guest is not on the other host" assert_state b g1 running
check "live migration to b" rig_virsh a migrate --live g1 qemu+tcp://b/system tcp://b
check "the guest runs on b" assert_state b g1 running
check "with the pins of b's hook" assert_affinity b g1 vcpu 0 0
check "the hook is called on b" calls b 'g1 migrate g1 prepare g1 start g1 started '
check_not "the guest is gone from a" assert_state a g1 running
check "libvirtd restarts beside a running guest" rig_libvirtd_restart b
check "and the guest still runs" assert_state b g1 running

groups=$(cat "$RIG_DIR/a/cgroups")
init=$(rig_pid a)
rig_down a
left() {
    local g
    for g in $groups; do
        [ ! -d "$g" ] || { echo "$g is left behind"; return 1; }
    done
    [ ! -d "/proc/$init" ] || { echo "process $init is left behind"; return 1; }
    ! findmnt -rn -o TARGET | grep -F "$RIG_DIR" || { echo "a mount is left behind"; return 1; }
}
check "nothing of a host is left behind" left
