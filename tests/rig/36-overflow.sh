#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# More events than the kernel keeps, each queue really filled while the enforcer stands still: what
# went unseen is found at once all the same, and status, doctor and the journal say it. Then an
# enforcer to whom the kernel gives no watches at all.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
meddle=$(rig_program meddle)
check "the enforcer comes up" rig_enforcer_start a || exit
all=$(rig_cpus)
one=${all##*[-,]}
check "a shared guest starts" rig_guest a web1 vcpus=2
tid=$(rig_tid a web1 vcpu 1)
leaf=$(rig_inner_cpuset_dir a web1 vcpu 0)
rig_settle

says() { rig_exec a virtpin status --json | grep -q "$1 are not seen at once: there were more"; }
doctor() { rig_exec a virtpin doctor | grep -q "$1 are not seen at once"; }
journal() { rig_log a | grep -q "more events of $1 than the kernel keeps"; }
noticed() {
    check "status says so" rig_wait 5 says "$1"
    check "doctor, too" doctor "$1"
    check "and the journal" rig_wait 3 journal "$1"
}

# The change comes last, when there is no room for its event.
fanotify=$(cat /proc/sys/fs/fanotify/max_queued_events)
if [ "$fanotify" -le 20000 ]; then
    rig_signal a virtpind STOP
    check "the queue of writes is filled" rig_exec a "$meddle" writers "${leaf%/*}/emulator/cpuset.cpus" \
        $((fanotify + 100))
    check "and then a cpuset is rewritten" rig_exec a sh -c "echo $one >$leaf/cpuset.cpus"
    rig_signal a virtpind CONT
    check "it is put back" rig_wait 4 assert_affinity a web1 vcpu 0 "$all"
    noticed "writes to cgroups"
else
    skip "an overflow of fanotify" "its queue holds $fanotify events"
fi

inotify=$(cat /proc/sys/fs/inotify/max_queued_events)
if [ "$inotify" -le 70000 ]; then
    rig_signal a virtpind STOP
    check "the queue of status files is filled" rig_exec a "$meddle" renames /run/libvirt/qemu \
        $((inotify + 100))
    check "and then a pin of the guest changes" rig_virsh a vcpupin web1 1 "$one" --live
    rig_signal a virtpind CONT
    check "it is put back" rig_wait 6 assert_affinity a web1 vcpu 1 "$all"
    noticed "libvirt's status files"
    rig_signal a virtpind STOP
    check "the queue of policies is filled" rig_exec a "$meddle" renames /etc/virtpin/policy.d \
        $((inotify + 100))
    rig_policy a other <<'CONF'
[policy other]
match-name = web1
priority = 5
mode = enforce
placement = none
CONF
    rig_signal a virtpind CONT
    policy() { assert_eq policy other "$(rig_guest_status a web1 policy)"; }
    rm -f "$(rig_root a)/etc/virtpin/policy.d/other.conf.new"
    check "the new policy is found" rig_wait 8 policy
    noticed "policies"
    rig_exec a rm /etc/virtpin/policy.d/other.conf
    check "and its end" rig_wait 8 assert_guest a web1 policy web
else
    skip "an overflow of inotify" "its queue holds $inotify events"
fi

if ldd "$(rig_root a)/usr/sbin/virtpind" | grep -q libbpf &&
    [ -e "$(rig_root a)/sys/kernel/tracing/events/syscalls/sys_enter_sched_setaffinity/id" ]; then
    rig_signal a virtpind STOP
    check "the ring of calls is filled" rig_exec a "$meddle" calls "$tid" 2000
    check "and then a mask is changed" rig_exec a taskset -cp "$one" "$tid"
    rig_signal a virtpind CONT
    check "it is put back" rig_wait 4 assert_affinity a web1 vcpu 1 "$all"
    noticed "calls on threads"
else
    skip "an overflow of the ring" "no tracing here"
fi
check "nothing is open" rig_wait 10 assert_no_drift a
rig_enforcer_stop a

if command -v strace >/dev/null; then
    rig_spawn a strace strace -f -qq -o /dev/null -e trace=inotify_add_watch \
        -e inject=inotify_add_watch:error=ENOSPC /usr/sbin/virtpind
    check "an enforcer without watches comes up" rig_wait 20 rig_enforcer_up a
    check "status says why" rig_wait 3 rig_exec a sh -c \
        "virtpin status --json | grep 'fs.inotify.max_user_watches'"
    check "doctor, too" rig_exec a sh -c "virtpin doctor | grep 'fs.inotify.max_user_watches'"
    check "a pin is put back" rig_virsh a vcpupin web1 1 "$one" --live
    check "by the sweep" rig_wait 15 assert_affinity a web1 vcpu 1 "$all"
    rig_policy a other <<'CONF'
[policy other]
match-name = web1
priority = 5
mode = enforce
placement = none
CONF
    check "the sweep finds a new policy" rig_wait 15 assert_guest a web1 policy other
    rig_exec a kill "$(rig_status a enforcer.pid)"
    rig_reap a strace
else
    skip "an enforcer without watches" "no strace"
fi
