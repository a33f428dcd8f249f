#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# revert --all and release --all: every guest, whatever becomes of one of them.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a app <<'CONF'
[policy app]
match-name = app*
mode = enforce
placement = shared
cpu-mode = custom
cpu-models = Westmere
CONF
root=$(rig_root a)
inactive() {
    rig_virsh a dumpxml --inactive --security-info "$1" 2>&1
}
rewritten() {
    [[ $(inactive "$1") == *Westmere* ]] || { echo "$1 has no Westmere"; return 1; }
}
kept() {
    find "$root/var/lib/virtpin/definitions" -name "*.xml" | wc -l
}
check "wrong use: neither" assert_eq "status" 2 "$(rig_exec a virtpin revert >/dev/null 2>&1; echo $?)"
check "wrong use: both" assert_eq "status" 2 "$(rig_exec a virtpin revert app1 --all >/dev/null 2>&1; echo $?)"
check "nothing is kept" assert_match "output" 'nothing is kept*' "$(rig_exec a virtpin revert --all)"

for guest in app1 app2 app3 app4; do
    rig_define a $guest vcpus=1
    inactive $guest >"$RIG_DIR/$guest.before"
done
check "the enforcer comes up" rig_enforcer_start a || exit
for guest in app1 app2 app3 app4; do
    check "$guest is rewritten" rig_wait 10 rewritten $guest
done
check "one runs" rig_virsh a start app1
uuid3=$(rig_virsh a domuuid app3 | head -n 1)
uuid4=$(rig_virsh a domuuid app4 | head -n 1)
rig_enforcer_stop a
rig_virsh a undefine app3 >/dev/null
rig_enforcer_start a
cp -a "$root/var/lib/virtpin/definitions/$uuid4.cpu.xml" "$RIG_DIR/kept"
echo spoilt >>"$root/var/lib/virtpin/definitions/$uuid4.cpu.xml"

out=$(rig_exec a virtpin revert --all 2>&1)
status=$?
check "one that is damaged: exit 1" assert_eq "status" 1 "$status"
check "it is named" assert_match "output" "*$uuid4.cpu.xml is damaged*" "$out"
check "the others are put back" assert_match "output" '*app1: the definition is as it was*app2: *' "$(sort <<<"$out")"
for guest in app1 app2; do
    check "$guest has its bytes again" cmp "$RIG_DIR/$guest.before" <(inactive $guest)
done
check "the one that runs goes on" assert_state a app1 running
check "one that is gone is no failure" assert_eq "lines of app3" "" \
    "$(grep -e app3 -e "$uuid3" <<<"$out" | grep -v 'is not defined any more')"
check "and the sum says so" assert_match "output" '*2 put back, * 1 failed' "$out"
mv "$RIG_DIR/kept" "$root/var/lib/virtpin/definitions/$uuid4.cpu.xml"
check "the rest in JSON" assert_eq "reverted" true "$(rig_exec a virtpin revert --all --json | rig_json_where guests guest app4 reverted)"
check "it has its bytes again" cmp "$RIG_DIR/app4.before" <(inactive app4)
sleep 1
for guest in app1 app2 app4; do
    check "the enforcer leaves $guest so" cmp "$RIG_DIR/$guest.before" <(inactive $guest)
done

# ---- release --all ----
for guest in web1 web2; do
    check "$guest runs" rig_guest a $guest vcpus=1
done
marked() {
    rig_virsh a dumpxml "$1" | grep -q urn:virtpin:applied:1
}
for guest in web1 web2; do
    check "libvirt knows the pins of $guest" rig_wait 10 marked $guest
done
check "release --all" rig_exec a virtpin release --all
for guest in web1 web2; do
    check_not "$guest has no mark" marked $guest
    check "$guest is left alone" assert_match "held_until" '20*Z' "$(rig_guest_status a $guest held_until)"
done
