#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What is counted, where it can be read, and that it outlives the enforcer.
. "$(dirname "$0")/lib.sh"
rig_need
rig_standard a
rig_exec a sh -c 'mkdir -p /run/textfile && mkdir -p /etc/virtpin &&
    printf "[host]\nmetrics-file = /run/textfile/virtpin.prom\n" >/etc/virtpin/virtpin.conf'
check "the enforcer comes up" rig_enforcer_start a || exit

# metric NAME{LABELS} [FILE]: its value
metric() {
    if [ -n "${2:-}" ]; then rig_exec a cat "$2"; else rig_exec a virtpin metrics; fi |
        awk -v name="$1" '{ value = $NF; sub(/ [^ ]*$/, "") } $0 == name { print value }'
}

assert_metric() {
    assert_eq "$1" "$2" "$(metric "$1" "${3:-}")"
}

more_than() {
    [ "$(metric "$1" "${3:-}" | sed 's/\..*//')" -gt "$2" ]
}

check "a dedicated guest starts" rig_guest a db1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
check "it is counted by policy and state" rig_wait 5 assert_metric \
    "virtpin_guests{policy=\"$(rig_guest_status a db1 policy)\",state=\"running\"}" 1
check "so are its CPUs" assert_metric 'virtpin_node_booked_cpus{node="0",use="vcpu"}' 1
check "its threads" more_than virtpin_managed_threads 1
check "and the runs of the hook" rig_wait 5 assert_metric \
    'virtpin_hook_runs_total{operation="started",result="ok"}' 1
check "with how long they took" assert_metric \
    'virtpin_hook_duration_seconds_bucket{operation="prepare",le="+Inf"}' 1

rig_settle
drifts() {
    metric 'virtpin_drift_total{kind="cpuset"}'
}
before=$(drifts)
file=$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus
check "a cpuset file is rewritten" rig_exec a sh -c "echo ${rest%%[-,]*} >$file"
check "and put back" rig_wait 10 assert_affinity a db1 vcpu 0 "$own"
check "which is counted" rig_wait 5 assert_metric 'virtpin_drift_total{kind="cpuset"}' $((before + 1))
check "as a repair, too" more_than virtpin_repairs_total 0
repairs=$(metric virtpin_repairs_total)
check "nothing stands" assert_metric 'virtpin_drift_standing{state="open"}' 0
check "the file for node_exporter says the same" rig_wait 5 assert_metric \
    'virtpin_drift_total{kind="cpuset"}' $((before + 1)) /run/textfile/virtpin.prom
check "and everybody may read it" assert_eq mode 644 "$(rig_exec a stat -c %a /run/textfile/virtpin.prom)"

check "the enforcer is killed" rig_enforcer_kill a
check "which is said" assert_metric virtpin_enforcer_up 0
check "it comes up again" rig_enforcer_start a
check "and goes on counting" assert_metric virtpin_repairs_total "$repairs"
check "the ledger is deleted" rig_exec a sh -c 'rm /run/virtpin/ledger.db*'
check "the counts are not" rig_wait 10 assert_metric virtpin_repairs_total "$repairs"

# as systemd hands an accepted connection over
get() {
    rig_exec a bash -c "systemd-socket-activate -a --inetd -l /run/metrics.socket \
        virtpin metrics --http >/dev/null 2>&1 & pid=\$!
        for i in \$(seq 100); do [ -S /run/metrics.socket ] && break; sleep 0.05; done
        curl -s -m 10 -w '%{http_code}' --unix-socket /run/metrics.socket http://host$1
        kill \$pid; rm -f /run/metrics.socket"
}
if command -v curl >/dev/null && command -v systemd-socket-activate >/dev/null; then
    page=$(get /metrics)
    check "GET /metrics is answered" assert_match page "*virtpin_enforcer_up 1*200" "$page"
    check "and nothing else" assert_eq page 404 "$(get /)"
fi
