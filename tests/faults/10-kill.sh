# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Launcher, worker and enforcer are killed by SIGKILL at the system calls that they make, one at a
# time: strace -e inject=SYSCALL:signal=KILL:when=N.

HOOK_TODO=      # files of the points that are left, in an order that the seed gave
ENFORCER_TODO=

inside() {
    rig_exec "$H" /run/faults/libvirtd "$FAULTS_SRC/inside.sh" "$@"
}

# What libvirt gives to the hook, kept.
record_xml() {
    local op
    rig_hook "$H" 10-record <<'HOOK'
#!/bin/bash
cat >"/run/faults/xml.$1.$2"
HOOK
    guest_down "$H" db1 >/dev/null
    guest_down "$H" db2 >/dev/null
    must "db2 starts" rig_virsh "$H" start db2
    rig_virsh "$H" destroy db2 >/dev/null
    must "db1 starts" rig_virsh "$H" start db1
    rm "$ROOT/etc/libvirt/hooks/qemu.d/10-record"
    cd "$ROOT/run/faults" || return
    cp xml.db2.stopped xml.db1.stopped && cp xml.db2.release xml.db1.release &&
        sed -i "s/db2/db1/; s,<uuid>.*</uuid>,$(grep -o '<uuid>.*</uuid>' xml.db1.started)," \
            xml.db1.stopped xml.db1.release
    cp xml.db1.started xml.db1.reconnect
    rig_virsh "$H" dumpxml web1 >xml.web1.reconnect
    for op in migrate restore; do
        rig_virsh "$H" dumpxml --migratable db2 >"xml.db2.$op"
    done
    cd / || exit
}

shuffle_lines() {
    draw 1000000
    awk -v seed="$DRAWN" 'BEGIN { srand(seed) } { print rand(), $0 }' | sort -n | cut -d' ' -f2-
}

hook_points() {
    record_xml
    [ -z "$HOOK_TODO" ] || return 0
    inside points | sort -u | shuffle_lines >"$RIG_DIR/hook.todo"
    HOOK_TODO=$RIG_DIR/hook.todo
    HOOK_ALL=$(wc -l <"$HOOK_TODO")
    [ "$HOOK_ALL" -gt 100 ] || WHY+=("only $HOOK_ALL system calls were seen")
}

kill_hook() {
    local out good missed
    rig_enforcer_stop "$H"
    wrap "$H"
    hook_points
    cp "$HOOK_TODO" "$ROOT/run/faults/points.todo"
    out=$(inside kill "$TIME" 2>&1)
    good=$(grep -c '^ok$' <<<"$out")
    missed=$(grep -c '^missed$' <<<"$out")
    sed -i "1,$(grep -c '^\(ok\|missed\|BAD.*\)$' <<<"$out")d" "$HOOK_TODO"
    note "$good killed and recovered, $missed not reached, of $HOOK_ALL; $(wc -l <"$HOOK_TODO") left"
    [ "$good" -gt 0 ] || WHY+=("no point was reached: ${out:0:500}")
    while IFS= read -r line; do
        WHY+=("$line")
    done < <(grep -v '^\(ok\|missed\)$' <<<"$out" | head -n 12)
    unwrap "$H"
    [ -s "$HOOK_TODO" ] || HOOK_TODO=
    repairs_after_start
}

repairs_after_start() {
    must "virtpind starts" rig_enforcer_start "$H" && soon "all is well" claims_settled "$H" && repairs
}

# The same through libvirt, with an enforcer running.
kill_hook_libvirt() {
    local end program op call n count=0 refused=0
    rig_enforcer_stop "$H"
    wrap "$H"
    hook_points
    must "virtpind starts" rig_enforcer_start "$H" || return
    end=$((SECONDS + TIME))
    while [ $SECONDS -lt $end ] && [ ${#WHY[@]} = 0 ]; do
        read -r program op call n < <(grep -v 'migrate\|restore' "$HOOK_TODO" | shuffle_lines)
        draw 2 # so that the next shuffle is another
        [ "$op" != reconnect ] || { draw 4; [ "$DRAWN" = 0 ] || continue; }
        inject "$program" db1 "$op" "-e trace=$call -e inject=$call:signal=KILL:when=$n"
        if [ "$op" = reconnect ]; then
            must "libvirtd restarts" rig_libvirtd_restart "$H"
            must "$program $op $call $n: no guest is lost" claim_alive
        else
            guest_down "$H" db1 >/dev/null
            rig_virsh "$H" start db1 >/dev/null 2>&1 || refused=$((refused + 1))
        fi
        inject_end
        soon "$program $op $call $n: nothing is left over" claims_settled "$H"
        must "$program $op $call $n: the guest starts" guest_up "$H" db1
        soon "$program $op $call $n: it is in its place" claims_settled "$H"
        guard "$H" db1
        count=$((count + 1))
    done
    note "$count kills, $refused starts refused for one"
    repairs
}

# ---- the enforcer --------------------------------------------------------------------------------

# The calls that it makes while it comes up, adopts, repairs a thread and sees a guest come and go.
enforcer_points() {
    [ -z "$ENFORCER_TODO" ] || return 0
    narrow
    rig_spawn "$H" virtpind strace -D -f -o /run/faults/enforcer.strace /usr/sbin/virtpind
    soon "virtpind comes up" rig_enforcer_up "$H"
    guest_down "$H" web1 >/dev/null
    rig_virsh "$H" start web1 >/dev/null
    sleep 3
    guard "$H" web1
    rig_enforcer_kill "$H"
    awk '$2 ~ /^[a-z_0-9]+\(/ { sub(/\(.*/, "", $2); n = ++count[$1, $2]
            if (n > most[$2]) { most[$2] = n; print $2, n } }' "$ROOT/run/faults/enforcer.strace" |
        grep -v '^exit' | shuffle_lines >"$RIG_DIR/enforcer.todo"
    rm "$ROOT/run/faults/enforcer.strace"
    ENFORCER_TODO=$RIG_DIR/enforcer.todo
    ENFORCER_ALL=$(wc -l <"$ENFORCER_TODO")
    [ "$ENFORCER_ALL" -gt 100 ] || WHY+=("only $ENFORCER_ALL system calls were seen")
}

# Not by its name, which is strace's until it is executed; and with its last thread, which strace may
# hold a while, went its lock.
enforcer_gone() {
    local stat
    stat=$(cat "$ROOT/proc/$(rig_daemon_pid "$H" virtpind)/stat" 2>/dev/null) || stat='virtpind) Z'
    [[ ${stat##*) } == Z* ]] &&
        { [ ! -e "$ROOT/run/virtpin/enforcer.lock" ] || flock -n "$ROOT/run/virtpin/enforcer.lock" true; }
}

# A repair that was done is on record, whenever its author was killed; at least in the file from
# which the next one says it.
repair_said() {
    [ "$(rig_cpuset "$H" db1 vcpu 0)" = "$OWN" ] || return 0
    [ "$(drift_count "$H" 2>/dev/null || echo 0)" -gt "$1" ] || log_since 'db1: vcpu 0' >/dev/null ||
        grep -q '^db1: vcpu 0' "$ROOT/run/virtpin/repairing" ||
        { echo "db1's vCPU was put back, and nothing says so"; return 1; }
}

kill_enforcer() {
    local end call n killed=0 missed=0 seen before lost=0 known=yes
    rig_enforcer_stop "$H"
    enforcer_points
    end=$((SECONDS + TIME))
    while [ $SECONDS -lt $end ] && [ ${#WHY[@]} = 0 ] && read -r call n <"$ENFORCER_TODO"; do
        sed -i 1d "$ENFORCER_TODO"
        draw 6
        if [ "$DRAWN" = 0 ]; then
            rig_exec "$H" sh -c 'rm -f /run/virtpin/ledger*'
            lost=$((lost + 1))
            known=no
        fi
        before=$(drift_count "$H" 2>/dev/null) || before=0
        log_mark
        narrow
        rig_spawn "$H" virtpind strace -D -f -o /dev/null -e "trace=$call" \
            -e "inject=$call:signal=KILL:when=$n" /usr/sbin/virtpind
        if rig_wait 3 enforcer_gone >/dev/null; then
            killed=$((killed + 1))
        else
            missed=$((missed + 1))
            rig_enforcer_kill "$H" 2>/dev/null
            rig_wait 10 enforcer_gone >/dev/null
        fi
        must "at $call $n" claims_now "$H"
        # with the ledger went what there was to repair, until all is adopted
        [ "$known" = no ] || must "at $call $n" repair_said "$before"
        seen=$((killed + missed))
        if [ $((seen % 4)) = 0 ]; then
            must "virtpind starts after $call $n" rig_enforcer_start "$H"
            soon "all is well after $call $n" claims_settled "$H"
            rig_enforcer_kill "$H" 2>/dev/null
            known=yes
        fi
    done
    note "$killed killed, $missed not reached, of $ENFORCER_ALL; the ledger deleted before $lost of them"
    [ -s "$ENFORCER_TODO" ] || ENFORCER_TODO=
    repairs_after_start
}

# Killed when the cpuset is right again and nothing was said yet.
repair_killed() {
    local before
    rig_enforcer_stop "$H"
    before=$(drift_count "$H")
    must "a vCPU is moved" narrow
    log_mark
    rig_spawn "$H" virtpind strace -D -f -o /dev/null -e trace=sched_setaffinity \
        -e inject=sched_setaffinity:signal=KILL:when=1 /usr/sbin/virtpind
    soon "virtpind is killed" enforcer_gone || { rig_enforcer_kill "$H"; return; }
    must "the vCPU was put back by then" assert_affinity "$H" db1 vcpu 0 "$OWN"
    must "no record was made" assert_eq "records" "$before" "$(drift_count "$H")"
    must "virtpind starts" rig_enforcer_start "$H"
    must "and says what the one before it did" rig_wait 5 log_since 'db1: vcpu 0: cpuset.*repaired'
}

fault repair-killed 5 "the enforcer killed between a repair and its record" repair_killed
fault kill-hook 12 "launcher and worker killed at each system call" kill_hook
fault kill-hook-libvirt 8 "the same in starts by libvirt" kill_hook_libvirt
fault kill-enforcer 10 "the enforcer killed at each system call" kill_enforcer
