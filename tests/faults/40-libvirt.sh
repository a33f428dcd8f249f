# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirtd, QEMU and its threads go away at the worst moment.

# die_in HOST OPERATION before|after: libvirtd of that host is killed in this operation of the hook,
# before or after ours.
die_in() {
    local order=10
    [ "$3" = before ] || order=90
    rig_hook "$1" "$order-die" <<HOOK
#!/bin/bash
[ "\$2" = $2 ] || exit 0
rm /etc/libvirt/hooks/qemu.d/$order-die
kill -KILL \$PPID
sleep 0.2
HOOK
}

daemon_back() {
    local end=$((SECONDS + 15))
    while daemon_lives "$1" libvirtd; do
        [ $SECONDS -lt $end ] || { rm -f "$(rig_root "$1")"/etc/libvirt/hooks/qemu.d/*-die; return 0; }
        sleep 0.1
    done
    rig_libvirtd_start "$1"
}

libvirtd_killed() {
    local op
    draw_of prepare start started
    op=$DRAWN
    draw_of before after
    note "in $op, $DRAWN our hook"
    guest_down "$H" db1 >/dev/null
    die_in "$H" "$op" "$DRAWN"
    rig_virsh "$H" start db1 >/dev/null 2>&1
    must "libvirtd starts again" daemon_back "$H" || return
    note "db1 is then $(rig_virsh "$H" domstate db1 2>/dev/null)"
    soon "nothing is left over, nothing is missing" claims_settled "$H"
    guest_up "$H" db1 >/dev/null
    soon "the guest starts, and is in its place" claims_settled "$H"
    guard "$H" db1
    repairs
}

# A guest of db1's policy ends while its threads are pinned, one call at a time.
qemu_killed() {
    local call pid end
    wrap "$H"
    draw_of 1 2 3
    call=$DRAWN
    note "at call $call of sched_setaffinity"
    guest_down "$H" db1 >/dev/null
    inject worker db1 started "-e trace=sched_setaffinity -e inject=sched_setaffinity:delay_enter=700000:when=$call"
    rig_spawn "$H" starter virsh -q start db1
    end=$((SECONDS + 15))
    until grep -q sched_setaffinity "$ROOT/run/faults/worker.strace" 2>/dev/null; do
        [ $SECONDS -lt $end ] || { WHY+=("the worker never pinned"); return; }
        sleep 0.02
    done
    pid=$(rig_qemu_pid "$H" db1)
    rig_exec "$H" kill -KILL "$pid"
    rig_reap "$H" starter >/dev/null || WHY+=("virsh start does not end")
    inject_end
    soon "its CPU is given back" claims_settled "$H"
    must "another guest may have it" rig_virsh "$H" start db2
    soon "and does" claims_settled "$H"
    guest_down "$H" db2 >/dev/null
    must "db1 starts again" rig_virsh "$H" start db1
    guard "$H" db1
}

# The thread is gone when the worker comes to pin it (ESRCH), or to read it (ENOENT).
thread_gone_hook() {
    draw_of 1 2 3
    note "call $DRAWN"
    error_in_hook sched_setaffinity ESRCH "" "$DRAWN"
}

# I/O threads come and go while a slow enforcer lists and pins them.
thread_gone_enforcer() {
    local i
    rig_enforcer_stop "$H"
    rig_spawn "$H" virtpind strace -D -f -o /dev/null -e trace=sched_setaffinity,sched_getaffinity \
        -e inject=sched_setaffinity,sched_getaffinity:delay_enter=5000 /usr/sbin/virtpind
    soon "a slowed virtpind comes up" rig_enforcer_up "$H" || return
    for ((i = 0; i < 8; i++)); do
        must "an I/O thread comes" rig_virsh "$H" iothreadadd db1 7 --live || break
        draw 10
        sleep "0.0$DRAWN"
        must "and goes" rig_virsh "$H" iothreaddel db1 7 --live || break
    done
    must "the enforcer lives" daemon_lives "$H" virtpind
    rig_enforcer_kill "$H"
    must "virtpind starts" rig_enforcer_start "$H"
    soon "all is well" claims_settled "$H"
    repairs
}

# libvirtd kills a running guest whose hook fails in reconnect.
worker_missing() {
    local how
    draw_of missing unexecutable empty killed
    how=$DRAWN
    note "$how"
    case $how in
    missing) mv "$ROOT$WORKER" "$ROOT$WORKER.away" ;;
    unexecutable) cp -a "$ROOT$WORKER" "$ROOT$WORKER.away" && chmod 644 "$ROOT$WORKER" ;;
    empty) mv "$ROOT$WORKER" "$ROOT$WORKER.away" && : >"$ROOT$WORKER" && chmod 755 "$ROOT$WORKER" ;;
    killed)
        mv "$ROOT$WORKER" "$ROOT$WORKER.away"
        # shellcheck disable=SC2016
        printf '#!/bin/sh\nkill -SEGV $$\n' >"$ROOT$WORKER" && chmod 755 "$ROOT$WORKER"
        ;;
    esac
    must "libvirtd restarts" rig_libvirtd_restart "$H"
    must "no guest is lost" claim_alive
    must "libvirt still has db1" assert_state "$H" db1 running
    must "the journal says it" rig_wait 5 log_since 'worker'
    mv "$ROOT$WORKER.away" "$ROOT$WORKER"
    chmod 755 "$ROOT$WORKER"
    must "libvirtd restarts with the worker" rig_libvirtd_restart "$H"
    soon "all is well" claims_settled "$H"
    repairs
}

# A start fails after our prepare, and nothing of ours hears of its end.
lease_forgotten() {
    wrap "$H"
    guest_down "$H" db1 >/dev/null
    inject launcher db1 "[sr][te][ol][pe]*" "-e trace=geteuid -e inject=geteuid:signal=KILL:when=1"
    rig_hook "$H" 90-refuse <<'HOOK'
#!/bin/sh
[ "$1" != db1 ] || [ "$2" != prepare ]
HOOK
    must_not "another hook refuses the start" rig_virsh "$H" start db1
    rm "$ROOT/etc/libvirt/hooks/qemu.d/90-refuse"
    inject_end
    # libvirt is asked after half a minute
    must "the lease that nobody ended is gone" rig_wait 60 claims_settled "$H"
    guest_up "$H" db1 >/dev/null
    guard "$H" db1
}

# The worker of `started` is killed at its first call, after the enforcer has seen the lease.
started_lost() {
    wrap "$H"
    guest_down "$H" db1 >/dev/null
    rig_hook "$H" 90-linger <<'HOOK'
#!/bin/sh
[ "$2" != prepare ] || sleep 1
HOOK
    inject worker db1 started "-e trace=umask -e inject=umask:signal=KILL:when=1"
    must "the guest starts" rig_virsh "$H" start db1
    must "the worker was killed" grep -q 'killed by SIGKILL' "$ROOT/run/faults/worker.strace"
    guard "$H" db1
    inject_end
    rm "$ROOT/etc/libvirt/hooks/qemu.d/90-linger"
    soon "the enforcer takes it in" claims_settled "$H"
    must "it is in its place" assert_affinity "$H" db1 vcpu 0 "$OWN"
}

# prepare is lost, so a guest runs that has no room: status says so, and it gets its place when the
# other one ends.
place_later() {
    wrap "$H"
    guest_down "$H" db1 >/dev/null
    must "another guest takes the CPU" rig_virsh "$H" start db2
    inject worker db1 prepare "-e trace=umask -e inject=umask:signal=KILL:when=1"
    must "the guest starts without a place" rig_virsh "$H" start db1
    inject_end
    soon "which is seen" db1_unplaced
    must_not "and said" claim_status "$H"
    must "its end" guest_down "$H" db2
    soon "makes room" claims_settled "$H"
    must "which the journal says" log_since 'db1 had no place'
    must "for the one that waits" assert_affinity "$H" db1 vcpu 0 "$OWN"
    guard "$H" db1
}

db1_unplaced() {
    assert_eq "guests without a place" db1 "$(ledger "$H" "select name from guest where unplaced is not null")"
}

# Neither stopped nor release runs when a guest ends.
stop_unheard() {
    wrap "$H"
    inject launcher db1 "[sr][te][ol][pe]*" "-e trace=geteuid -e inject=geteuid:signal=KILL:when=1"
    guest_down "$H" db1 >/dev/null
    inject_end
    must "another guest gets the CPU" rig_wait 10 rig_virsh "$H" start db2
    soon "all is well" claims_settled "$H"
    guest_down "$H" db2 >/dev/null
    guest_up "$H" db1 >/dev/null
    guard "$H" db1
}

# ---- migration: a second host --------------------------------------------------------------------

MIGRATION=no
migration_ready() {
    local h
    [ "$MIGRATION" = no ] || return 0
    for h in b c; do
        host_new "$h" net
        rig_enforcer_start "$h" >/dev/null || return 1
    done
    rig_define b packed1 vcpus=1 mem=64
    MIGRATION=yes
}

migration_usual() {
    local h
    for h in b c; do
        libvirtd_answers "$h" || { daemon_lives "$h" libvirtd || rig_libvirtd_start "$h"; }
        daemon_lives "$h" virtpind || rig_enforcer_start "$h" >/dev/null || return 1
    done
    guest_down c packed1 >/dev/null 2>&1
    guest_up b packed1 >/dev/null
    rig_wait "$SETTLE" claims_settled b && rig_wait "$SETTLE" claims_settled c
}

# libvirtd dies on one side while packed1 moves from b to c.
migration_killed() {
    local side=$1 op when running=0 h
    migration_ready && must "both hosts are as usual" migration_usual || return
    if [ "$side" = c ]; then
        draw_of migrate prepare start started
        op=$DRAWN
        draw_of before after
        when=$DRAWN
        note "destination, in $op, $when our hook"
        die_in c "$op" "$when"
    else
        draw 6
        when=0.$((DRAWN + 1))
        note "source, after $when s"
    fi
    rig_spawn b mover timeout 30 virsh -q migrate --live packed1 qemu+tcp://c/system tcp://c
    if [ "$side" = b ]; then
        sleep "$when"
        rig_signal b libvirtd KILL
        rig_reap b libvirtd
    fi
    rig_reap b mover 40 >/dev/null
    daemon_back b
    daemon_back c
    for h in b c; do
        [ "$(rig_virsh "$h" domstate packed1 2>/dev/null)" != running ] || running=$((running + 1))
    done
    note "it runs on $running of them"
    must "it does not run twice" test "$running" -le 1
    [ "$running" = 1 ] || guest_up b packed1 >/dev/null
    soon "the source holds what runs there" claims_settled b
    # a lease of a destination that lives ends by time
    must "the destination likewise" rig_wait 75 claims_settled c
}

migration_destination() {
    migration_killed c
}

migration_source() {
    migration_killed b
}

fault libvirtd-killed 10 "libvirtd is killed during a start" libvirtd_killed
fault qemu-killed 8 "QEMU is killed while being pinned" qemu_killed
fault thread-gone-hook 5 "a thread is gone between listing and pinning, in the hook" thread_gone_hook
fault thread-gone-enforcer 8 "threads come and go under the enforcer" thread_gone_enforcer
fault worker-missing 8 "the worker is missing or broken at reconnect" worker_missing
fault lease-forgotten 45 "a start fails and its end is not heard" lease_forgotten
fault started-lost 18 "started is lost after its booking" started_lost
fault place-later 14 "prepare is lost where there is no room" place_later
fault stop-unheard 6 "a guest ends and no hook says so" stop_unheard
fault migration-destination 25 "libvirtd is killed at the destination of a migration" migration_destination
fault migration-source 25 "libvirtd is killed at the source of a migration" migration_source
