#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The command line on a host with guests: what it says, what it does, with which exit status.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 xmllint
rig_standard a
rig_policy a more <<'CONF'
[policy app]
match-name = app*
mode = enforce
placement = shared
cpu-mode = custom
cpu-models = Westmere

[policy strict]
base = app
match-name = strict*
mode = enforce
on-start = refuse

[policy audited]
match-name = audit*
mode = audit
placement = dedicated
CONF
root=$(rig_root a)
virtpin() {
    rig_exec a virtpin "$@"
}
# exits STATUS [ARGS...]: virtpin ends with that status; its output is shown if not
exits() {
    local want=$1 out got
    shift
    out=$(virtpin "$@" 2>&1)
    got=$?
    [ "$got" = "$want" ] || { echo "virtpin $* ended with $got, expected $want: $out"; return 1; }
}
# says GLOB ARGS...: it is in what virtpin prints on either stream
says() {
    local want=$1 out
    shift
    out=$(virtpin "$@" 2>&1)
    [[ $out == *$want* ]] || { echo "no '$want' in: $out"; return 1; }
}

# ---- without an enforcer, without guests ----
check "status without an enforcer is a finding" exits 1 status
check "and says so" says 'enforcer*down' status
check "status leaves no ledger behind" test ! -e "$root/run/virtpin/ledger.db"
check "drift without a ledger" exits 0 drift
check "plan has nothing to do" exits 0 plan
check "a guest that is not there: hold" exits 1 hold nobody --for 1m
check "revert" exits 1 revert nobody
check "start" exits 1 start nobody
check "release" exits 1 release nobody
check "explain" exits 2 explain nobody
check "status NAME" exits 2 status nobody
check "an unknown verb names the others" says 'valid: policy check*topology' frobnicate
check "it is wrong use" exits 2 frobnicate
check "so is a named configuration that is not there" exits 2 status --config /nowhere

# ---- guests ----
check "the enforcer comes up" rig_enforcer_start a || exit
check "status is good" exits 0 status
check "a dedicated guest" rig_guest a db1 vcpus=1 iothreads=1
own=$(rig_affinity a db1 vcpu 0)
check "its state" assert_guest a db1 state running
check "its placement" assert_guest a db1 placement dedicated
check "its CPUs" assert_guest a db1 cpus "$own"
check "exclusive" assert_guest a db1 exclusive true
check "its policy, chosen by" assert_guest a db1 chosen_by match
check "the thread's wanted CPUs" says "vcpu 0*$own*yes" status db1
check "status is good with it" exits 0 status
libvirt_told() {
    local pin
    pin=$(virtpin status db1 --json | rig_json 'guests[0].threads[1].libvirt')
    assert_eq "libvirt's pin" "$own" "$pin"
}
check "libvirt's pin" rig_wait 5 libvirt_told
check "a guest without policy" rig_guest a stray1 vcpus=1
check "is unmanaged" assert_guest a stray1 state unmanaged
check "the dedicated CPU is not exclusive then" assert_guest a db1 exclusive false
check "which is a finding" exits 1 status
check "with its cure" says 'catch-all.conf' status
rig_virsh a destroy stray1 >/dev/null
check "and over when the stray is" exits 0 status
check "audit books nothing" rig_guest a audit1 vcpus=1
check "its mode" assert_guest a audit1 mode audit
check "exclusive is unknown then" assert_guest a audit1 exclusive null
rig_virsh a destroy audit1 >/dev/null

# ---- status and libvirt ----
rig_signal a libvirtd STOP
quick() {
    local before=${EPOCHREALTIME/./} took
    virtpin status >/dev/null
    took=$((${EPOCHREALTIME/./} - before))
    [ $took -lt 2000000 ] || { echo "it took $took microseconds"; return 1; }
}
check "a stopped libvirtd does not stop status" quick
rig_signal a libvirtd CONT

# ---- explain ----
check "explain says why" says 'match-name' explain db1
check "and where" says "$own" explain db1
rig_guest_xml db9 vcpus=9 >"$root/run/db9.xml"
check "what does not fit" exits 1 explain --xml /run/db9.xml
check "says how much is missing" says 'needs 9' explain --xml /run/db9.xml
check "and what would be rewritten" says 'Westmere' explain --xml - < <(rig_guest_xml app9)
rig_guest_xml strict1 >"$root/run/strict1.xml"
check "on-start = refuse" exits 1 explain --xml /run/strict1.xml

# ---- rewrite ----
rewritten() {
    rig_guest_xml app1 | rig_exec a virtpin rewrite 2>&1
}
check "rewrite is a filter" assert_match "XML" '*Westmere*' "$(rewritten)"
untouched() {
    cmp <(rig_guest_xml other1) <(rig_guest_xml other1 | rig_exec a virtpin rewrite)
}
check "byte for byte where there is nothing to do" untouched
incoming() {
    assert_match "XML" '*<vcpupin vcpu="0"*' "$(rig_guest_xml web7 | rig_exec a virtpin rewrite --op migrate)"
}
check "an incoming guest gets pins" incoming
stripped() {
    cmp <(rig_guest_xml web7 | xmllint --c14n -) <(rig_guest_xml web7 |
        rig_exec a virtpin rewrite --op migrate | rig_exec a virtpin rewrite --strip | xmllint --c14n -)
}
check "which strip takes out" stripped
refused() {
    local out
    out=$(rig_guest_xml db9 vcpus=9 | rig_exec a virtpin rewrite --op migrate 2>/dev/null)
    assert_eq "status and output" "1 " "$? $out"
}
check "what is refused prints nothing" refused

# ---- start ----
rig_guest_xml app2 >"$root/run/app2.xml"
check "start FILE" virtpin start /run/app2.xml
check "is transient" assert_eq "persistent" no "$(rig_virsh a dominfo app2 | sed -n 's/Persistent: *//p')"
check "with the policy's CPU" assert_match "command line" '*-cpu Westmere*' \
    "$(tr '\0' ' ' <"$root/proc/$(rig_qemu_pid a app2)/cmdline")"
rig_virsh a destroy app2 >/dev/null
rig_enforcer_stop a
rig_define a strict1 vcpus=1
check_not "a definition that misses a strict policy does not start" rig_virsh a start strict1
check "start NAME rewrites first" virtpin start strict1
check "it runs" assert_state a strict1 running
check "started twice" exits 1 start strict1
check "paused" virtpin start --paused /run/app2.xml
check "is paused" assert_state a app2 paused
rig_virsh a destroy app2 >/dev/null
rig_virsh a destroy strict1 >/dev/null
check "autodestroy asks for a console" exits 2 start --autodestroy /run/app2.xml

rig_define a db2 vcpus=1
check "start without room" exits 1 start db2
check "says it in one sentence" says 'virtpin: db2 was not started: guest db2, policy database: needs 1' start db2
rig_virsh a undefine db2 >/dev/null

# ---- plan and reconcile, the enforcer down ----
check "a shared guest" rig_guest a web1 vcpus=1
shared=$(rig_affinity a web1 vcpu 0)
file=$(rig_inner_cpuset_dir a web1 vcpu 0)/cpuset.cpus
rig_exec a sh -c "echo $own >$file"
check "somebody rewrites its cpuset" exits 1 plan
check "plan says what" says "web1*thread" plan
check "status shows it" says 'no' status web1
check "reconcile" virtpin reconcile
check "puts it back" assert_affinity a web1 vcpu 0 "$shared"
check "and records it" assert_drift a cpuset repaired
check "nothing differs then" exits 0 reconcile
check "one guest" exits 0 reconcile web1
check "that is not there" exits 1 reconcile nobody
rm -f "$root"/run/virtpin/ledger.db*
check "without a ledger all is adopted again" exits 0 reconcile
check "with the same CPUs" assert_guest a db1 cpus "$own"


# ---- messages where something is broken ----
mv "$root/usr/libexec/virtpin/virtpin-hook-worker" "$root/run/worker"
check "without the hook's worker a guest starts" rig_guest a web2 vcpus=1
check "it may run on the dedicated CPU, which its policy would cure" says 'web2, which virtpin has not taken in yet, may run there too (virtpin reconcile)' status
mv "$root/run/worker" "$root/usr/libexec/virtpin/virtpin-hook-worker"
check "that remedy" exits 0 reconcile
check "helps" assert_affinity a web2 vcpu 0 "$shared"
rig_virsh a destroy web2 >/dev/null
unprivileged() {
    local out
    out=$(rig_exec a setpriv --reuid 65534 --regid 65534 --clear-groups virtpin "$@" 2>&1)
    [[ $out == *'not run as root'* ]] || { echo "no hint in: $out"; return 1; }
}
check "who is not root hears so" unprivileged status
check "from doctor, too" unprivileged doctor
mv "$root/run/virtpin" "$root/run/kept"
echo file >"$root/run/virtpin"
check "a file in place of the run-dir" exits 3 status
check "doctor has the remedy" says 'install -d -m 700 /run/virtpin' doctor
rm "$root/run/virtpin"
mv "$root/run/kept" "$root/run/virtpin"
rig_libvirtd_stop a
check "without libvirtd" says 'systemctl status libvirtd' start db1
rig_libvirtd_start a

# ---- disable ----
check "disable" virtpin disable --for 1h 'a test'
check "status starts with it" assert_match "status" 'DISABLED*a test*' "$(virtpin status)"
check "JSON has it" assert_status a enabled false
check "reconcile is refused" exits 1 reconcile
check "enable" virtpin enable
check "JSON has that too" assert_status a enabled true
check "a reason of two lines" exits 2 disable $'one\ntwo'

# ---- release ----
rig_enforcer_start a
marked() {
    rig_virsh a dumpxml db1 | grep -q urn:virtpin:applied:1
}
check "libvirt has our mark" rig_wait 5 marked
check "release" virtpin release db1
check_not "takes the mark out" marked
check "and opens libvirt's pins" assert_match "dumpxml" "*<vcpupin vcpu='0' cpuset='$(rig_cpus)'/>*" "$(rig_virsh a dumpxml db1)"
check "the threads stay" assert_affinity a db1 vcpu 0 "$own"
sleep 3
check_not "it is left alone" marked
check "for a time" assert_match "held_until" '20*Z' "$(rig_guest_status a db1 held_until)"
check "until it is taken back" virtpin hold db1 --for 0s
check "then libvirt is told again" rig_wait 10 marked

# ---- a broken policy ----
rig_policy a broken <<<'[policy broken'
check "a broken file: status goes on" says 'POLICY STALE' status
check "stale in JSON" assert_status a policy.stale true
check "policy check finds it" exits 1 policy check
check "with file and line" says 'broken.conf:1' policy check
rm "$root/etc/virtpin/policy.d/broken.conf"
check "policy check is good again" exits 0 policy check
shown() {
    virtpin policy show >"$root/run/shown.conf" && mkdir -p "$root/run/shown" &&
        mv "$root/run/shown.conf" "$root/run/shown/" &&
        cmp <(virtpin policy show) <(virtpin policy show --policy-dir /run/shown)
}
check "policy show parses again to the same" shown

# ---- drift --follow ----
setpriv --pdeathsig KILL nsenter -t "$(rig_pid a)" -a -r -w /usr/bin/virtpin drift --follow --json >"$RIG_DIR/follow" 2>&1 &
follower=$!
sleep 1
rig_exec a sh -c "echo $own >$(rig_inner_cpuset_dir a web1 vcpu 0)/cpuset.cpus"
followed() {
    grep -q '"kind":"cpuset".*"state":"repaired"' "$RIG_DIR/follow" || { cat "$RIG_DIR/follow"; return 1; }
}
check "drift --follow prints the record" rig_wait 10 followed
kill $follower 2>/dev/null
wait $follower 2>/dev/null || : # ended by our signal
