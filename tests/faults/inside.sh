# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The hook's operations without libvirt: run inside a private host by a bash that is named libvirtd,
# so that leases are this process's. db1 and web1 run, no enforcer does. Works on the files that
# 10-kill.sh lays out in /run/faults: xml.GUEST.OPERATION as libvirt gave them to the hook.
#
# usage: inside.sh points            prints "PROGRAM OPERATION SYSCALL N" for each call they make
#        inside.sh kill SECONDS      reads such lines, kills there, checks; prints "ok", "missed" or
#                                    "BAD LINE: why" for each
set -u
export LC_ALL=C
cd /run/faults || exit 1
hook=/etc/libvirt/hooks/qemu.d/50-virtpin
OPERATIONS='prepare started stopped release reconnect migrate restore'

guest_of() {
    case $1 in migrate | restore) echo db2 ;; *) echo db1 ;; esac
}

# call GUEST OPERATION
call() {
    local sub=begin
    case $2 in stopped | release) sub=end ;; esac
    "$hook" "$1" "$2" "$sub" - <"xml.$1.$2" >hook.out 2>hook.err
}

rows() {
    sqlite3 -readonly -cmd '.timeout 2000' /run/virtpin/ledger.db "pragma quick_check;
        select name || ':' || state from guest order by name" | tr '\n' ' '
}

own() {
    sqlite3 -readonly /run/virtpin/ledger.db "select group_concat(cpu) from cpu join guest
        using (uuid) where name = '$1'"
}

pid_of() {
    sed -n "s/^<domstatus .* pid='\([0-9]*\)'.*/\1/p" "/run/libvirt/qemu/$1.xml"
}

# The masks of a guest's vCPUs, one line.
masks() {
    local task
    for task in /proc/"$(pid_of "$1")"/task/*; do
        read -r comm <"$task/comm"
        [[ $comm != CPU\ * ]] || sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "$task/status"
    done 2>/dev/null | sort -u | tr '\n' ' '
}

bad() {
    echo "BAD $point: $*"
    cp /run/virtpin/ledger.db "ledger.$count.bad"
    sound=no
}

# No live guest of the two is lost, the ledger is whole, its lock is free.
at_once() {
    local seen
    if [ ! -d "/proc/$db1" ] || [ ! -d "/proc/$web1" ]; then
        bad "a guest is lost"
    fi
    [ -e /run/virtpin/ledger.db ] || return
    flock -n /run/virtpin/ledger.lock true || bad "the ledger's lock is still held"
    seen=$(rows 2>&1)
    [[ $seen == 'ok '* ]] || bad "the ledger: $seen"
}

freed() {
    [[ $(rows) != *"$1:"* ]] || bad "$1 still holds: $(rows)"
}

# One that wants the same CPU gets it exactly if the other does not hold it.
compete() {
    local holds=no got=yes
    [[ $(rows) != *db1:* ]] || holds=yes
    call db2 prepare || got=no
    [ "$holds" != "$got" ] || bad "db1 holds: $holds, db2 gets the CPU: $got: $(cat hook.err)"
    call db2 stopped
    call db2 release
    freed db2
}

# The guest is in its place again after what libvirt and an operator would do.
recover() {
    local cpu
    virtpin reconcile >reconcile.out 2>&1
    [ "$(rows)" = 'ok db1:running web1:running ' ] || bad "the ledger in the end: $(rows)"
    cpu=$(own db1)
    [ "$(masks db1)" = "$cpu " ] || bad "db1 has $cpu and runs on $(masks db1)"
    [[ $(masks web1) != *"$cpu"* ]] || bad "web1 may run on $(masks web1), db1 has $cpu"
}

# kill_in PROGRAM OPERATION SYSCALL N
kill_in() {
    local guest
    guest=$(guest_of "$2")
    rm -f "$1.strace"
    echo "$guest $2 -e trace=$3 -e inject=$3:signal=KILL:when=$4" >"$1"
    call "$guest" "$2" 2>/dev/null
    status=$?
    rm "$1"
    traced "$1"
    grep -q 'killed by SIGKILL' "$1.strace" && reached=yes || reached=no
}

traced() {
    local i
    for ((i = 0; i < 200; i++)); do
        grep -q '^+++' "$1.strace" 2>/dev/null && return
        sleep 0.01
    done
}

# QEMU runs on, which is what tells a booking from a forgotten one: this one is of a process that
# has ended.
end_booking() {
    sqlite3 -cmd '.timeout 2000' /run/virtpin/ledger.db \
        "update guest set pid_start = 1 where name = 'db1' and state = 'running'"
}

give_back() {
    end_booking
    call db1 stopped
    call db1 release
}

begin_again() {
    call db1 prepare
    call db1 started
}

one() {
    local program=$1 operation=$2
    case $operation in
    prepare)
        give_back
        freed db1
        kill_in "$@"
        at_once
        compete
        if [ "$status" = 0 ]; then
            call db1 started
        else
            give_back
            freed db1
            begin_again
        fi
        ;;
    started)
        give_back
        call db1 prepare
        kill_in "$@"
        at_once
        # what reconnect and the enforcer take in only when it is surely lost
        sqlite3 /run/virtpin/ledger.db "update guest set since = since - 20000 where name = 'db1'"
        if [ "$status" = 0 ]; then
            call db1 reconnect
        else
            give_back
            begin_again
        fi
        ;;
    stopped)
        end_booking
        kill_in "$@"
        at_once
        call db1 release
        freed db1
        begin_again
        ;;
    release)
        end_booking
        call db1 stopped
        kill_in "$@"
        at_once
        freed db1
        begin_again
        ;;
    reconnect)
        kill_in "$@"
        at_once
        ;;
    migrate | restore)
        give_back
        kill_in "$@"
        at_once
        call db2 release
        freed db2
        begin_again
        ;;
    esac
    recover
}

# trace PROGRAM OPERATION: which calls it makes, without those that come before main: these are the
# same in every operation, and counted for `started` alone.
trace() {
    local guest
    guest=$(guest_of "$2")
    rm -f "$1.strace"
    echo "$guest $2 -e trace=all" >"$1"
    call "$guest" "$2"
    rm "$1"
    traced "$1"
    awk -v what="$1" -v op="$2" '
        /^[a-z_0-9]+\(/ { name = $0; sub(/\(.*/, "", name) }
        !/^[a-z_0-9]+\(/ { next }
        name == "umask" { main = 1 }
        { n[name]++; if (main || what == "launcher" || op == "started") print what, op, name, n[name] }
    ' "$1.strace"
}

db1=$(pid_of db1)
web1=$(pid_of web1)
point=start count=0 sound=yes
case $1 in
points)
    for operation in $OPERATIONS; do
        for program in worker launcher; do
            case $operation in
            prepare | migrate | restore) give_back ;;
            started) give_back; call db1 prepare ;;
            stopped) end_booking ;;
            release) end_booking; call db1 stopped ;;
            esac
            trace "$program" "$operation"
            case $operation in
            migrate | restore) call db2 release ;;
            esac
            [ "$operation" = started ] || begin_again
        done
    done
    virtpin reconcile >reconcile.out 2>&1
    ;;
kill)
    end=$((SECONDS + $2))
    call db1 reconnect
    call web1 reconnect
    recover
    while [ $SECONDS -lt $end ] && IFS= read -r point <&3; do
        count=$((count + 1))
        sound=yes reached=no
        # shellcheck disable=SC2086
        one $point
        if [ $sound = no ]; then
            # not the next one's fault
            begin_again
            virtpin reconcile >reconcile.out 2>&1
        elif [ $reached = yes ]; then
            echo ok
        else
            echo missed
        fi
    done 3<points.todo
    ;;
esac
exit 0
