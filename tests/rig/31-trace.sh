#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Calls that move a thread are seen when they happen, with their author, also when he has ended;
# without tracing the sweep sees them.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
check "the enforcer comes up" rig_enforcer_start a || exit
[ -e "$(rig_root a)/sys/kernel/tracing/events/syscalls/sys_enter_sched_setaffinity/id" ] ||
    rig_skip_all "this kernel has no tracepoint of sched_setaffinity"
ldd "$(rig_root a)/usr/sbin/virtpind" | grep -q libbpf || rig_skip_all "built without libbpf"
meddle=$(rig_program meddle)
all=$(rig_cpus)
one=${all##*[-,]}
check "a shared guest starts" rig_guest a web1 vcpus=2 iothreads=1
tid=$(rig_tid a web1 vcpu 1)
main=$(rig_tid a web1 emulator)
check_not "status has nothing unseen" rig_exec a sh -c "virtpin status | grep 'not seen at once'"

# From here on sweeps are half a minute apart.
slow() {
    local last now
    last=$(rig_status a enforcer.last_sweep)
    sleep 2.6
    now=$(rig_status a enforcer.last_sweep)
    [ "$last" = "$now" ] || { echo "a sweep was at $last and at $now"; return 1; }
}
check "at rest the sweep takes its time" rig_wait 25 slow

# A pseudoterminal of its own, as a login has.
login() {
    rig_exec a script -qec "taskset -cp $one $tid" /dev/null
}
terminal() {
    assert_match "by.tty" "pts/[0-9]*" "$(rig_drift a affinity repaired by.tty)"
}
check "taskset moves a vCPU" rig_exec a taskset -cp "$one" "$tid"
check "it is back at once" rig_wait 1 assert_affinity a web1 vcpu 1 "$all"
check "it is recorded" rig_wait 1 assert_drift a affinity repaired
check "with its author, who has ended" assert_eq "by.comm" taskset \
    "$(rig_drift a affinity repaired by.comm)"
check "for certain" assert_eq "by.exact" true "$(rig_drift a affinity repaired by.exact)"
check "and his user" assert_eq "by.uid" 0 "$(rig_drift a affinity repaired by.uid)"
check "a repair takes milliseconds" test "$(rig_drift a affinity repaired repair_us)" -lt 500000
if command -v script >/dev/null; then
    check "from a terminal" login
    check "it is back at once" rig_wait 1 assert_affinity a web1 vcpu 1 "$all"
    check "the terminal is known" rig_wait 2 terminal
fi
check "all threads at once" rig_exec a taskset -acp "$one" "$main"
check "each is back at once" rig_wait 1 assert_affinity a web1 vcpu 0 "$all"
check "the I/O thread, too" rig_wait 1 assert_affinity a web1 iothread 1 "$all"
authors() {
    assert_eq "authors" 0 "$(rig_exec a virtpin drift --json | grep -o '"by": *{[^}]*}' |
        grep -vc '"comm": *"taskset"')"
}
check "each with its author" authors
check "other tools' threads wake nobody" rig_exec a taskset -cp "$one" "$(rig_daemon_pid a virtlogd)"
# Contested after five repairs; these are of another thread.
took=$(rig_exec a "$meddle" affinity "$(rig_tid a web1 vcpu 0)" "$one" 4) || echo "$took"
printf '# calls to repair, us: %s\n' "$took"
check "repairs are quick" test "$(echo "$took" | cut -d' ' -f2)" -lt 200000

rig_up b trace=no
rig_policy b standard <"$(rig_root a)/etc/virtpin/policy.d/standard.conf"
check "without tracing the enforcer comes up" rig_enforcer_start b
check "a shared guest starts" rig_guest b web1 vcpus=1
rig_settle
check "taskset moves a vCPU" rig_exec b taskset -cp "$one" "$(rig_tid b web1 vcpu 0)"
check "the sweep puts it back" rig_wait 10 assert_affinity b web1 vcpu 0 "$all"
check "status says what is not seen at once" rig_exec b sh -c \
    "virtpin status --json | grep 'calls on threads are not seen at once'"
check "and doctor what would help" rig_exec b sh -c "virtpin doctor | grep 'mount -t tracefs'"
