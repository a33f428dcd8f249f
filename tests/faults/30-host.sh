# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The host under hook and enforcer: clock, policy files, controllers, errors of system calls.

clock_jump() {
    local first second
    [ -e "$BUILD/tests/faults/clock.so" ] || { SKIP="$BUILD/tests/faults/clock.so is not built"; return; }
    cp "$BUILD/tests/faults/clock.so" "$ROOT/run/faults/clock.so"
    rig_enforcer_stop "$H"
    echo 0 >"$ROOT/run/faults/clock"
    echo /run/faults/clock.so >"$ROOT/etc/ld.so.preload"
    must "virtpind starts" rig_enforcer_start "$H" || return
    draw_of 3600 -3600 86400 -86400 31536000 -31536000
    first=$DRAWN
    draw_of 0 60 -60 3600 -3600 -7200 63072000
    second=$DRAWN
    note "by $first s, then $second s"
    for offset in "$first" "$second"; do
        echo "$offset" >"$ROOT/run/faults/clock"
        guest_down "$H" web1 >/dev/null
        must "a guest starts" rig_virsh "$H" start web1
        repairs
        soon "all is well" claims_settled "$H"
        guest_down "$H" db1 >/dev/null
        must "the dedicated guest starts anew" rig_virsh "$H" start db1
        soon "and all is well" claims_settled "$H"
        guard "$H" db1
    done
    rig_enforcer_stop "$H"
    rm -f "$ROOT/etc/ld.so.preload" "$ROOT/run/faults/clock"
    must "virtpind starts with the right clock" rig_enforcer_start "$H"
    repairs
}

# Two directories of policies change places all the time, with an instant between that has none;
# both place db* and web* alike.
policy_replaced() {
    local i
    cp -a "$ROOT/etc/virtpin/policy.d" "$ROOT/etc/virtpin/policy.b"
    printf '\n[policy other]\nmatch-name = other*\nmode = enforce\nplacement = shared\n' \
        >>"$ROOT/etc/virtpin/policy.b/standard.conf"
    rig_spawn "$H" swapper sh -c 'cd /etc/virtpin; while :; do
        mv policy.d policy.c; mv policy.b policy.d; mv policy.c policy.b; done'
    for ((i = 0; i < 4; i++)); do
        guest_down "$H" db1 >/dev/null
        must "a dedicated guest starts" rig_virsh "$H" start db1 || break
    done
    rig_signal "$H" swapper KILL
    rig_reap "$H" swapper
    rig_exec "$H" sh -c 'cd /etc/virtpin; [ -d policy.d ] || mv policy.c policy.d || mv policy.b policy.d
        rm -rf policy.b policy.c'
    soon "it has its place" claims_settled "$H"
    cp -a "$RIG_DIR/policy.$H/policy.d/." "$ROOT/etc/virtpin/policy.d/"
    guard "$H" db1
    soon "by the policies that are there" claims_settled "$H"
    repairs
}

# The controller goes away below running guests, and guests start without it.
cpuset_missing() {
    if ! findmnt -rn -t cgroup -O cpuset >/dev/null; then
        # shellcheck disable=SC2034 # for run
        SKIP="the cpuset controller is not on cgroup v1 here"
        return
    fi
    local at
    at=$(rig_exec "$H" findmnt -rn -t cgroup -O cpuset -o TARGET | head -n 1)
    rig_exec "$H" umount -l "$at"
    guest_down "$H" web1 >/dev/null
    rig_virsh "$H" start web1 >/dev/null 2>&1 || note "libvirt does not start a guest without it"
    must "the enforcer reads everything anew" rig_signal "$H" virtpind HUP
    sleep 0.5
    must "the enforcer lives" daemon_lives "$H" virtpind
    must "no guest is lost" claim_alive
    rig_exec "$H" mount -t cgroup -o "$(awk -v t="$at" '$3 == t { print $2 }' \
        "$RIG_DIR/$H/cgroup-mounts")" cgroup "$at"
    guest_down "$H" web1 >/dev/null
    must "a guest starts when it is back" rig_virsh "$H" start web1
    soon "all is well" claims_settled "$H"
    repairs
}

# error_in_hook CALLS ERROR [WHEN]: in `started` of a guest; the guest runs, the enforcer pins it.
error_in_hook() {
    wrap "$H"
    inject worker db1 started "$3 -e trace=$1 -e inject=$1:error=$2:when=$4"
    guest_down "$H" db1 >/dev/null
    must "a guest starts although $1 gives $2" rig_virsh "$H" start db1
    guard "$H" db1
    if grep -q INJECTED "$ROOT/run/faults/worker.strace" 2>/dev/null; then
        # a cpuset write sets the mask too, where the kernel is so old
        claim_masks "$H" >/dev/null || must "the journal says it" rig_wait 5 log_since 'db1'
    else
        WHY+=("$1 of the worker was never called")
    fi
    inject_end
    soon "the enforcer puts it in its place" claims_settled "$H"
}

error_affinity() {
    draw_of EPERM EINVAL ENOSPC
    local error=$DRAWN
    draw_of 1 2 1+ 2+
    note "$error, call $DRAWN"
    error_in_hook sched_setaffinity "$error" "" "$DRAWN"
}

error_cpuset() {
    draw_of EPERM EINVAL ENOSPC
    local error=$DRAWN
    draw_of vcpu0 emulator
    local group=$DRAWN
    note "$error at $group"
    error_in_hook pwrite64 "$error" "-P @GROUP@/$group/cpuset.cpus" 1+
}

# The enforcer cannot do its work: it says so, and goes on.
error_in_enforcer() {
    local ticks
    draw_of EPERM EINVAL ENOSPC
    local error=$DRAWN
    note "$error"
    rig_enforcer_stop "$H"
    rig_spawn "$H" virtpind strace -D -f -o /dev/null -e trace=pwrite64 \
        -P "$(rig_inner_cpuset_dir "$H" db1 vcpu 0)/cpuset.cpus" \
        -e "inject=pwrite64:error=$error" /usr/sbin/virtpind
    soon "virtpind comes up" rig_enforcer_up "$H"
    sleep 0.7
    must "a vCPU is moved" narrow
    soon "the difference is open" assert_open "$H" db1
    ticks=$(enforcer_ticks)
    sleep 2
    ticks=$(($(enforcer_ticks) - ticks))
    must "it does not spin: $ticks ticks in 2 s" test "$ticks" -lt 60
    must_not "status says so" claim_status "$H"
    must "the enforcer lives" daemon_lives "$H" virtpind
    rig_enforcer_kill "$H"
    must "virtpind starts anew" rig_enforcer_start "$H"
    soon "and puts it back" claims_settled "$H"
    repairs
}

assert_open() {
    [ "$(ledger "$1" "select count(*) from drift where guest = '$2' and state in ('open', 'contested')")" -gt 0 ] ||
        { echo "none is open: $(ledger "$1" 'select guest, kind, state from drift order by id desc limit 3')"; return 1; }
}

enforcer_ticks() {
    sed 's/.*) //' "$ROOT/proc/$(rig_daemon_pid "$H" virtpind)/stat" | awk '{ print $12 + $13 }'
}

fault clock-jump 14 "the wall clock jumps (in virtpin's processes alone)" clock_jump
fault policy-replaced 10 "the policy directory is replaced while guests start" policy_replaced
fault cpuset-missing 8 "the cpuset controller goes away" cpuset_missing
fault error-affinity 5 "sched_setaffinity fails in the hook" error_affinity
fault error-cpuset 5 "cpuset writes fail in the hook" error_cpuset
fault error-enforcer 8 "cpuset writes fail in the enforcer" error_in_enforcer
