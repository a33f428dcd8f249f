# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Faults on a private host: its usual state, the claims that hold whatever fails, and injection. A
# fault is a function of a file NN-*.sh here, announced by
#
#   fault NAME seconds "what is done" FUNCTION
#
# FUNCTION works on host $H through must and note; it is run with the host in its usual state (db1
# dedicated, web1 shared, libvirtd and virtpind running) and may leave it in any other. Every random
# choice is made by draw, so that a seed repeats them.

# what the files that read this one use
# shellcheck disable=SC2034
RIG_VERBOSE=0
export RIG_CACHE=${RIG_CACHE:-${BUILD:-build}/rig}
# shellcheck source=tests/rig/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../rig/lib.sh"

# shellcheck disable=SC2034
FAULTS_SRC=$RIG_SRC/tests/faults
H=a
WHY=()
NOTES=()
SETTLE=${SETTLE:-30}    # seconds in which a repair must be done, on a machine that is shared
TABLE=()
declare -A WHAT TAKES DOES

fault() {
    TABLE+=("$1")
    # shellcheck disable=SC2034
    { TAKES[$1]=$2 WHAT[$1]=$3 DOES[$1]=$4; }
}

# draw N: a number from 0 to N-1 into $DRAWN; not by $(...), which would not move the sequence on.
draw() {
    DRAWN=$(((RANDOM * 32768 + RANDOM) % $1))
}

# draw_of WORD...: one of them into $DRAWN
draw_of() {
    local words=("$@")
    draw $#
    DRAWN=${words[DRAWN]}
}

note() {
    NOTES+=("$*")
}

# must WHAT COMMAND...: what it says is why the fault failed, if it does.
must() {
    local what=$1 out
    shift
    out=$("$@" 2>&1) && return 0
    WHY+=("$what: ${out:-$* ended with an error}")
    return 1
}

must_not() {
    local what=$1 out
    shift
    out=$("$@" 2>&1) || return 0
    WHY+=("$what: $* was expected to fail")
    return 1
}

soon() {
    must "$1" rig_wait "$SETTLE" "${@:2}"
}

# ---- the claims ----------------------------------------------------------------------------------

# A list of "NAME PID START" of the QEMU processes that must live.
declare -A ALIVE

qemu_start() {
    sed 's/.*) //' "$(rig_root "$1")/proc/$2/stat" 2>/dev/null | awk '{ print $20 }'
}

# From now on this guest must not be lost / may end.
guard() {
    local pid
    pid=$(rig_qemu_pid "$1" "$2")
    ALIVE[$1.$2]="$pid $(qemu_start "$1" "${pid:-0}")"
}

unguard() {
    unset "ALIVE[$1.$2]"
}

claim_alive() {
    local key pid start lost=
    for key in "${!ALIVE[@]}"; do
        read -r pid start <<<"${ALIVE[$key]}"
        [ -n "$start" ] && [ "$(qemu_start "${key%%.*}" "$pid")" = "$start" ] ||
            lost="$lost ${key#*.}"
    done
    [ -z "$lost" ] || { echo "lost guests:$lost"; return 1; }
}

# SQLite resolves links in a path, so it has to run inside.
ledger() {
    rig_exec "$1" sqlite3 -readonly -separator ' ' -cmd '.timeout 2000' /run/virtpin/ledger.db "$2"
}

# Nobody but the living holds anything: a booking's process lives, a lease's daemon lives.
claim_bookings() {
    local root rows name state pid start daemon daemon_start bad=
    root=$(rig_root "$1")
    rows=$(ledger "$1" "select name, state, pid, pid_start, daemon_pid, daemon_start from guest") ||
        { echo "the ledger cannot be read: $rows"; return 1; }
    while read -r name state pid start daemon daemon_start; do
        case $state in
        running) [ "$(qemu_start "$1" "$pid")" = "$start" ] ||
            bad="$bad; $name is booked for process $pid, which has ended" ;;
        lease) [ "$daemon" = 0 ] || [ "$(qemu_start "$1" "$daemon")" = "$daemon_start" ] ||
            bad="$bad; $name is leased to daemon $daemon, which has ended" ;;
        esac
    done <<<"$rows"
    bad="$bad$(ledger "$1" "select '; CPU ' || cpu || ' is of no guest' from cpu
        where uuid not in (select uuid from guest)")"
    [ -z "$bad" ] || { echo "${bad#; }"; return 1; }
}

# Guests of the ledger are those that libvirt runs, each with a place.
claim_rows() {
    local want have
    want=$(rig_virsh "$1" list --name 2>/dev/null | sed '/^$/d; /^free/d' | sort | tr '\n' ' ')
    have=$(ledger "$1" "select name || case when state <> 'running' then ':' || state || ':' ||
        operation else '' end || case when unplaced is not null then ':unplaced' else '' end
        from guest order by name" | sort | tr '\n' ' ')
    assert_eq "guests of the ledger, and those that run" "$want" "$have"
}

# By the kernel's own masks: no thread of a guest may run on a CPU that another one has booked, and
# each vCPU of a dedicated guest has one CPU, of those that are booked for it.
claim_masks() {
    local root name pid
    root=$(rig_root "$1")
    {
        ledger "$1" "select 'own', g.name, c.cpu from cpu c join guest g using (uuid)
            where c.use <> 'fixed'"
        while read -r name pid; do
            for task in "$root/proc/$pid/task"/*; do
                awk -v guest="$name" '
                    /^Name:/ { sub(/^Name:[ \t]*/, ""); comm = $0; gsub(/ /, "_", comm) }
                    /^Cpus_allowed_list:/ { print "mask", guest, comm, $2 }' "$task/status" \
                    2>/dev/null
            done
        done < <(ledger "$1" "select name, pid from guest where state = 'running'")
    } | awk '
        function spread(text, set,   n, i, m, part, ends, c) {
            split("", set)
            n = split(text, part, ",")
            for (i = 1; i <= n; i++) {
                m = split(part[i], ends, "-")
                for (c = ends[1] + 0; c <= ends[m] + 0; c++) set[c]
            }
        }
        $1 == "own" { owner[$3] = $2; booked[$2]++ }
        $1 == "mask" {
            spread($4, cpus)
            count = 0
            for (c in cpus) {
                count++
                if ((c in owner) && owner[c] != $2)
                    bad = bad "; " $3 " of " $2 " may run on CPU " c ", which is booked for " owner[c]
            }
            if ($3 ~ /^CPU_/ && booked[$2]) {
                if (count != 1) bad = bad "; " $3 " of " $2 " may run on " $4
                else for (c in cpus) if (!(c in owner) || owner[c] != $2)
                    bad = bad "; " $3 " of " $2 " runs on CPU " c ", which is not its own"
            }
        }
        END { if (bad != "") { print substr(bad, 3); exit 1 } }'
}

claim_status() {
    local out
    out=$(rig_exec "$1" virtpin status --json 2>&1) && return 0
    echo "virtpin status finds something: $out" | cut -c1-600
    return 1
}

# All at once, for rig_wait.
claims_settled() {
    claim_alive && claim_bookings "$1" && claim_rows "$1" && claim_masks "$1" && claim_status "$1"
}

# What must be true at every instant, whoever was just killed.
claims_now() {
    local out
    claim_alive || return 1
    [ -e "$(rig_root "$1")/run/virtpin/ledger.db" ] || return 0
    out=$(ledger "$1" "pragma quick_check" 2>&1)
    assert_eq "quick_check of the ledger" ok "$out"
}

# How often something of db1 was found different.
drift_count() {
    ledger "$1" "select coalesce(sum(count), 0) from drift where guest = 'db1'"
}

# log_mark / log_since PATTERN: what was logged after the mark
log_mark() {
    LOG_MARK=$(wc -l <"$RIG_DIR/$H/log/syslog")
}

log_since() {
    tail -n "+$((LOG_MARK + 1))" "$RIG_DIR/$H/log/syslog" | grep -e "$1" >/dev/null ||
        { echo "nothing is logged that matches '$1'; the last: $(tail -n 2 "$RIG_DIR/$H/log/syslog")"; return 1; }
}

# ---- the usual state -----------------------------------------------------------------------------

host_new() {
    [ ! -d "$RIG_DIR/$1" ] || rm -rf "${RIG_DIR:?}/$1"
    rig_standard "$@"
    # the same thread is moved over and over
    printf '[host]\ncontested = 1000/60s\n' | rig_conf "$1" virtpin.conf
    mkdir -p "$(rig_root "$1")/run/faults"
    cp "$(rig_root "$1")/bin/bash" "$(rig_root "$1")/run/faults/libvirtd"
    policy_copy "$1"
}

policy_copy() {
    cp -a "$(rig_root "$1")/etc/virtpin" "$RIG_DIR/policy.$1"
}

guests_define() {
    rig_define "$1" db1 vcpus=1 iothreads=1 mem=32 &&
        rig_define "$1" db2 vcpus=1 mem=32 &&
        rig_define "$1" web1 vcpus=2 iothreads=1 mem=32
}

daemon_lives() {
    local pid
    pid=$(rig_daemon_pid "$1" "$2" 2>/dev/null) && [ -n "$pid" ] || return 1
    [[ $(cat "$(rig_root "$1")/proc/$pid/comm" 2>/dev/null) == "$2" ]]
}

libvirtd_answers() {
    daemon_lives "$1" libvirtd && rig_exec "$1" timeout 10 virsh -q list >/dev/null 2>&1
}

guest_up() {
    [ "$(rig_virsh "$1" domstate "$2" 2>/dev/null)" = running ] || rig_virsh "$1" start "$2"
}

guest_down() {
    unguard "$1" "$2"
    [ "$(rig_virsh "$1" domstate "$2" 2>/dev/null)" = "shut off" ] || rig_virsh "$1" destroy "$2"
}

# Whatever a fault left behind goes; 1: the host is past that.
usual() {
    ALIVE=()
    libvirtd_answers "$H" || {
        daemon_lives "$H" libvirtd && { rig_signal "$H" libvirtd KILL; rig_reap "$H" libvirtd; }
        rig_libvirtd_start "$H"
    }
    daemon_lives "$H" virtpind || rig_enforcer_start "$H" >/dev/null || return 1
    guest_down "$H" db2 >/dev/null && guest_up "$H" db1 >/dev/null &&
        guest_up "$H" web1 >/dev/null && rig_wait "$SETTLE" claims_settled "$H" || return 1
    guard "$H" db1
    guard "$H" web1
    OWN=$(rig_affinity "$H" db1 vcpu 0)
    REST=$(rig_cpus without "$OWN")
    ROOT=$(rig_root "$H")
}

# ---- injection -----------------------------------------------------------------------------------

WORKER=/usr/libexec/virtpin/virtpin-hook-worker
HOOK=/etc/libvirt/hooks/qemu.d/50-virtpin

# In place of launcher and worker: a shell that puts the real one under strace where the file
# /run/faults/launcher or /run/faults/worker says so: "GUEST OPERATION STRACE-OPTIONS...".
wrap() {
    local root
    root=$(rig_root "$1")
    [ ! -e "$root$WORKER.real" ] || return 0
    cat >"$root$WORKER.new" <<'WRAP'
#!/bin/bash
# --daemon=PID [OPTION VALUE]... -- GUEST OPERATION SUBOPERATION EXTRA
real=/usr/libexec/virtpin/virtpin-hook-worker.real
read -r guest operation options 2>/dev/null </run/faults/worker || exec "$real" "$@"
[[ ${*: -4:1} == $guest && ${*: -3:1} == $operation ]] || exec "$real" "$@"
id=$(sed -n "s/.*<domain type='[a-z]*' id='\([0-9]*\)'.*/\1/p" "/run/libvirt/qemu/${*: -4:1}.xml" 2>/dev/null)
options=${options//@GROUP@//sys/fs/cgroup/cpuset/machine/qemu-$id-${*: -4:1}.libvirt-qemu}
# shellcheck disable=SC2086
exec strace -D -o /run/faults/worker.strace $options -- "$real" "$@"
WRAP
    chmod 755 "$root$WORKER.new"
    mv "$root$WORKER" "$root$WORKER.real" && mv "$root$WORKER.new" "$root$WORKER"
    cat >"$root$HOOK.new" <<'WRAP'
#!/bin/bash
# GUEST OPERATION SUBOPERATION EXTRA
real=/usr/sbin/virtpin-hook
read -r guest operation options 2>/dev/null </run/faults/launcher || exec "$real" "$@"
[[ $1 == $guest && $2 == $operation ]] || exec "$real" "$@"
# shellcheck disable=SC2086
exec strace -D -o /run/faults/launcher.strace $options -- "$real" "$@"
WRAP
    chmod 755 "$root$HOOK.new"
    rm "$root$HOOK" && mv "$root$HOOK.new" "$root$HOOK"
}

unwrap() {
    local root
    root=$(rig_root "$1")
    rm -f "$root/run/faults/worker" "$root/run/faults/launcher"
    [ ! -e "$root$WORKER.real" ] || mv "$root$WORKER.real" "$root$WORKER"
    ln -sfn /usr/sbin/virtpin-hook "$root$HOOK"
}

# inject worker|launcher GUEST OPERATION STRACE-OPTIONS...
inject() {
    local what=$1
    shift
    rm -f "$ROOT/run/faults/$what.strace"
    printf '%s\n' "$*" >"$ROOT/run/faults/$what"
}

inject_end() {
    rm -f "$ROOT/run/faults/worker" "$ROOT/run/faults/launcher"
}

# A thread is moved behind everybody's back.
narrow() {
    rig_exec "$H" sh -c "echo ${REST%%[-,]*} >$(rig_inner_cpuset_dir "$H" db1 vcpu 0)/cpuset.cpus"
}

# The enforcer repairs, and says so; it is how a fault shows that it still works.
repairs() {
    local before
    before=$(drift_count "$H") || before=0
    sleep 0.7
    must "a vCPU is moved" narrow || return
    soon "the vCPU is put back" assert_affinity "$H" db1 vcpu 0 "$OWN" || return
    soon "the repair is recorded" repair_recorded "$before"
}

repair_recorded() {
    local n
    n=$(drift_count "$H") || return 1
    [ "${n:-0}" -gt "$1" ] || { echo "no record of it"; return 1; }
    assert_eq "the last record" repaired \
        "$(ledger "$H" "select state from drift where guest = 'db1' order by last desc limit 1")"
}

virtpin_version() {
    "$BUILD/virtpin" --version 2>/dev/null | head -n 1
}
