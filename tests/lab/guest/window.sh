# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How long guests run before they are pinned: from QEMU's RESUME event, by its own time stamp, to the
# last sched_setaffinity call of the hook, as the kernel's trace has it. For scenarios of the lab, and
# for tests/bench.
#
#   window_open                  a trace of this host; 77 where there is none
#   window_guest VIRSH GUEST     starts it, VIRSH being a command, then says how many microseconds, and
#                                how many it is from the exec of QEMU
#   window_close

WINDOW_TRACE=/sys/kernel/tracing/instances/virtpin-window-$$

window_open() {
    local tracing=/sys/kernel/tracing
    mountpoint -q $tracing || mount -t tracefs tracefs $tracing 2>/dev/null
    mkdir "$WINDOW_TRACE" 2>/dev/null || { echo "no tracefs here"; return 77; }
    echo mono >"$WINDOW_TRACE/trace_clock"
    echo 1 >"$WINDOW_TRACE/events/syscalls/sys_enter_sched_setaffinity/enable" ||
        { window_close; echo "no tracepoint of sched_setaffinity"; return 77; }
    echo 1 >"$WINDOW_TRACE/events/sched/sched_process_exec/enable"
}

window_close() {
    rmdir "$WINDOW_TRACE"
}

window_guest() {
    local virsh=$1 guest=$2 events
    events=$(mktemp)
    : >"$WINDOW_TRACE/trace"
    $virsh qemu-monitor-event --event RESUME --loop --timeout 60 >"$events" 2>&1 &
    local watcher=$!
    sleep "${WINDOW_SETTLE:-1}"
    # the kernel's clock beside the wall's
    echo "sync $EPOCHREALTIME" >"$WINDOW_TRACE/trace_marker"
    $virsh -q start "$guest" >/dev/null || { kill "$watcher"; return 1; }
    local tries=0
    until grep -q RESUME "$events" || [ $((tries += 1)) -gt 100 ]; do
        sleep 0.1
    done
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    {
        sed -n "s/.*RESUME at \([0-9.]*\) for domain '$guest'.*/resume \1/p" "$events"
        sed -nE 's/.* ([0-9]+\.[0-9]+): tracing_mark_write: sync ([0-9.]+)$/sync \1 \2/p
            s/.* ([0-9]+\.[0-9]+): sched_process_exec: filename=[^ ]*qemu-system.*/exec \1/p
            s/^ *virtpin-hook.* ([0-9]+\.[0-9]+): sys_sched_setaffinity.*/pin \1/p' "$WINDOW_TRACE/trace"
    } | awk '
        $1 == "resume" { at = $2 }
        $1 == "exec" { started = $2 }
        $1 == "sync" { at -= $3 - $2 }
        $1 == "pin" && $2 >= at { last = $2 }
        END { if (!last) exit 1; printf "%d %d\n", (last - at) * 1e6, (last - started) * 1e6 }'
    local status=$?
    rm -f "$events"
    return $status
}
