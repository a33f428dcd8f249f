#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What other programs rely on: names and order of the fields of the JSON, exit statuses, and what
# status says of guests whose policy is not, not yet or no longer in force.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 qemu-img
rig_standard a
root=$(rig_root a)
rig_policy a more <<'CONF'
[policy meta]
by-metadata = yes
mode = enforce
placement = shared

[policy secret]
match-name = secret*
mode = enforce
placement = dedicated

[policy strict]
match-name = strict*
mode = enforce
on-start = refuse
placement = shared
cpu-mode = custom
cpu-models = Westmere

[policy exempt]
match-name = db-off*
priority = 5
mode = off

[policy nobody]
match-name = early*
priority = 7
rollout = 0%
mode = enforce
placement = dedicated

[policy early]
match-name = early*
mode = enforce
placement = shared
CONF

json() {
    rig_exec a virtpin "$@" --json
}
# fields PATH: the names in the object at PATH of the JSON on stdin, in order
fields() {
    local in=$RIG_DIR/fields.$BASHPID
    cat >"$in"
    sqlite3 :memory: "select group_concat(key, ' ') from json_each(cast(readfile('$in') as text), '\$$1')"
    rm -f "$in"
}
# has_fields WHAT PATH "NAMES" JSON
has_fields() {
    assert_eq "fields of $1" "$3" "$(fields "$2" <<<"$4")"
}
# exits STATUS ARGS...: virtpin ends with that
exits() {
    local want=$1 out got
    shift
    out=$(rig_exec a virtpin "$@" 2>&1)
    got=$?
    [ "$got" = "$want" ] || { echo "virtpin $* ended with $got, expected $want: $out"; return 1; }
}
in_time() {
    local re='^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{3}Z$'
    [[ $1 =~ $re ]] || { echo "'$1' is no time"; return 1; }
}

# ---- status: the same fields whatever is known ----
top="schema time host version enabled disabled_why enforcer policy cpus pools guests strangers findings"
enforcer="running pid since last_sweep libvirt can_repair why"
guest="name uuid pid since policy chosen_by mode state held_until placement cpus nodes exclusive pending drift threads memory"
status_fields() {
    local out
    out=$(json status)
    has_fields status "" "$top" "$out" &&
        has_fields enforcer .enforcer "$enforcer" "$out" &&
        has_fields policy .policy "hash loaded policies stale errors" "$out" &&
        has_fields cpus .cpus "online offline reserved isolated dedicated idle shared" "$out" &&
        assert_eq schema virtpin.status/1 "$(rig_json schema <<<"$out")" &&
        in_time "$(rig_json time <<<"$out")" &&
        [ "$(wc -l <<<"$out")" = 1 ]
}
check "status with nothing running" status_fields
check "an enforcer that is down: unknown is null" assert_status a enforcer.pid null
check "also whether it can repair" assert_status a enforcer.can_repair null
check "its finding" has_fields finding '.findings[0]' "grade guest text remedy" "$(json status)"
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest" rig_guest a db1 iothreads=1
own=$(rig_affinity a db1 vcpu 0)
rest=$(rig_cpus without "$own")
check "status with it" status_fields
one=$(json status db1)
check "status of one guest: all of status" has_fields status "" "$top" "$one"
check "a guest's" has_fields guest '.guests[0]' "$guest" "$one"
check "its drift's" has_fields drift '.guests[0].drift' "open contested repaired audit" "$one"
check "a thread's" has_fields thread '.guests[0].threads[0]' \
    "role index tid wanted libvirt cpuset affinity ok" "$one"
check "its memory's" has_fields memory '.guests[0].memory' "nodes elsewhere_kib moving" "$one"
check "a node's" has_fields node '.guests[0].memory.nodes[0]' "node kib" "$one"
check "without a name nobody's memory is looked at" assert_status a 'guests[0].memory' null
check "times have milliseconds" in_time "$(rig_json 'guests[0].since' <<<"$one")"
check "status of a name" exits 0 status db1
check "topology" has_fields topology "" "schema online offline isolated smt packages kinds nodes l3 cores cpus" "$(json topology)"
check "a topology of another host" exits 0 topology --topology 'pack:2 core:4 pu:2'
check "what is none" exits 2 topology --topology 'pack:0'

# ---- drift ----
check "no drift" exits 0 drift
check "its fields" has_fields drift "" "schema time drift" "$(json drift)"
setpriv --pdeathsig KILL nsenter -t "$(rig_pid a)" -a -r -w /usr/bin/virtpin drift --follow --json >"$RIG_DIR/follow" 2>&1 &
follower=$!
rig_settle
check "a cpuset is rewritten" rig_exec a sh -c \
    "echo ${rest%%[-,]*} >$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus; sleep 1"
check "which is repaired" rig_wait 10 assert_drift a cpuset repaired
record="id guest uuid tid role index kind where wanted found first last count state repaired repair_us by"
by="pid comm uid unit tty exact"
check "a record's" has_fields record '.drift[0]' "$record" "$(json drift)"
check "a writer's" has_fields by '.drift[0].by' "$by" "$(json drift)"
followed() {
    [ -s "$RIG_DIR/follow" ] && has_fields "the line of --follow" "" "$record" "$(head -n 1 "$RIG_DIR/follow")"
}
check "--follow prints such records, one a line" rig_wait 5 followed
kill $follower 2>/dev/null
wait $follower 2>/dev/null || : # ended by our signal
check "--since" exits 0 drift --since 10m
check "a time that is none" exits 2 drift --since soon
check "repaired drift is no finding" exits 0 drift

# ---- policy check ----
check_fields() {
    local out
    out=$(json policy check)
    has_fields "policy check" "" "schema ok hash policies findings" "$out" &&
        assert_eq schema virtpin.policy-check/1 "$(rig_json schema <<<"$out")" &&
        assert_eq ok "$1" "$(rig_json ok <<<"$out")"
}
check "a good set" check_fields true
check "ends well" exits 0 policy check
rig_policy a zz <<<$'[policy zz]\nnuma = singel'
check "a broken one" check_fields false
check "is a finding" exits 1 policy check
bad=$(json policy check)
check "its fields" has_fields finding '.findings[0]' "grade file line policy key found legal text" "$bad"
check "what was found" assert_eq found singel "$(rig_json 'findings[0].found' <<<"$bad")"
check "what would be legal" assert_match legal '*single*' "$(rig_json 'findings[0].legal' <<<"$bad")"
check "where" assert_eq line 2 "$(rig_json 'findings[0].line' <<<"$bad")"
check "no hash" assert_eq hash null "$(rig_json hash <<<"$bad")"
rm "$root/etc/virtpin/policy.d/zz.conf"
check "a directory that is not there" exits 2 policy check /nowhere

# ---- which policy ----
names() {
    rig_guest "${@:2}" metadata="<virtpin:guest xmlns:virtpin='urn:virtpin:guest:1' policy='$1'/>"
}
check "a guest names its policy" names meta a db5
check "which beats matching" assert_guest a db5 policy meta
check "chosen by" assert_guest a db5 chosen_by metadata
rig_virsh a destroy db5 >/dev/null
check "a guest names one that is not to be named" names secret a web5
check "and has the one that matches" assert_guest a web5 policy web
check "chosen by" assert_guest a web5 chosen_by match
rig_virsh a destroy web5 >/dev/null
check "a guest that an exemption has" rig_guest a db-off1
check "is left alone" assert_mask a db-off1 vcpu 0 "$(rig_cpus)"
rig_virsh a destroy db-off1 >/dev/null
check "a guest outside of a policy's rollout" rig_guest a early1
check "has the next" assert_guest a early1 policy early
rig_virsh a destroy early1 >/dev/null

# ---- audit ----
rig_policy a zz-audit <<'CONF'
[policy audited]
match-name = aud*
mode = audit
on-start = refuse
placement = dedicated
cpu-mode = custom
cpu-models = Westmere
CONF
check "audit refuses nothing" rig_guest a aud1 vcpus=8
check "says what would not fit" assert_match pending '*needs 8*' "$(rig_guest_status a aud1 pending)"
check "reports the definition" rig_wait 10 assert_drift a definition audit
check "changes nothing" exits 0 plan
rig_virsh a destroy aud1 >/dev/null
rm "$root/etc/virtpin/policy.d/zz-audit.conf"

# ---- what is not in force yet ----
check "a shared guest" rig_guest a web1 vcpus=2
check "status is good" exits 0 status
rig_policy a zz-web <<'CONF'
[policy alone]
match-name = web*
priority = 3
mode = enforce
placement = dedicated
cpu-mode = custom
cpu-models = Westmere
CONF
pending() {
    assert_match pending "$1" "$(rig_guest_status a web1 pending)"
}
check "a policy under which it would need CPUs that it cannot have" rig_wait 10 pending '*needs 2 dedicated*'
check "the old plan stays" assert_guest a web1 policy web
check "so do its threads" assert_affinity a web1 vcpu 1 "$rest"
check "plan says it" exits 1 plan
rig_policy a zz-web <<'CONF'
[policy alone]
match-name = web*
priority = 3
mode = enforce
placement = shared
cpu-mode = custom
cpu-models = Westmere
CONF
check "one with another guest CPU applies to threads at once" rig_wait 10 assert_guest a web1 policy alone
check "and to the CPU at the next start, as status says" pending '*next start*Westmere*'
rewritten() {
    [[ $(rig_virsh a dumpxml --inactive web1) == *Westmere* ]]
}
check "the definition has it" rig_wait 10 rewritten
check "it is no finding" exits 0 status
rig_virsh a destroy web1 >/dev/null
check "it starts again" rig_virsh a start web1
check "and nothing is pending" assert_guest a web1 pending null
rm "$root/etc/virtpin/policy.d/zz-web.conf"
rig_virsh a destroy web1 >/dev/null

# ---- no room ----
rig_policy a zz-room <<'CONF'
[policy room]
match-name = room*
mode = enforce
placement = dedicated
on-no-room = shared
CONF
check "a guest for which there is no room" rig_guest a room1 vcpus=2
check "is in the shared pool" assert_affinity a room1 vcpu 1 "$rest"
check "as status says" assert_match pending '*shared pool*' "$(rig_guest_status a room1 pending)"
check "as the journal does" assert_log a 'room1 runs in the shared pool: needs 2'
rig_virsh a destroy room1 >/dev/null
rm "$root/etc/virtpin/policy.d/zz-room.conf"

# ---- for a time ----
check "disabled for three seconds" rig_exec a virtpin disable --for 3s 'a test'
check "status says so" assert_status a enabled false
check "and why" assert_status a disabled_why 'a test'
check "it ends by itself" rig_wait 5 assert_status a enabled true
check "held for a second" rig_exec a virtpin hold db1 --for 1s
check "status says so" in_time "$(rig_guest_status a db1 held_until)"
check "it ends by itself" rig_wait 5 assert_guest a db1 held_until null

# ---- on-start = refuse never loses a guest that can be reverted ----
rig_exec a qemu-img create -q -f qcow2 /var/lib/libvirt/strict.qcow2 64M
check "a definition" rig_define a strict1 devices="
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
    <source file='/var/lib/libvirt/strict.qcow2'/><target dev='vda' bus='virtio'/></disk>"
strict() {
    [[ $(rig_virsh a dumpxml --inactive strict1) == *Westmere* ]]
}
check "is rewritten" rig_wait 10 strict
check "starts" rig_virsh a start strict1
check "has a snapshot" rig_virsh a snapshot-create-as strict1 one
sed -i 's/Westmere/Nehalem/' "$root/etc/virtpin/policy.d/more.conf"
sleep 2
check "is reverted under a policy that it misses" rig_virsh a snapshot-revert strict1 one
check "and runs" assert_state a strict1 running
rig_virsh a destroy strict1 >/dev/null

# ---- wrong use ----
for wrong in "" "policy" "status a b" "hold db1" "hold db1 --for never" "drift --json=x" "revert" \
    "start" "release" "disable" "rewrite --op nothing" "explain" "explain db1 --xml -" "enable now" \
    "plan --topology pack:1" "topology --frob" "status --topology"; do
    # shellcheck disable=SC2086
    check "virtpin $wrong" exits 2 $wrong
done
check "help" exits 0 --help
check "a verb's help" exits 0 status --help
check "version" exits 0 --version
full() {
    rig_exec a sh -c "virtpin status >/dev/full 2>/run/full"
    assert_eq "exit status" 3 $? && assert_match message '*stdout*' "$(cat "$root/run/full")"
}
check "a full disk behind stdout is this host's failure" full
