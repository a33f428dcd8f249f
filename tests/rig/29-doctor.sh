#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor on a host: what it finds, the remedy it names, and that the remedy is one.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
root=$(rig_root a)
doctor() {
    rig_exec a virtpin doctor "$@"
}
# finds NAME GRADE GLOB: doctor says that of a check, in JSON
finds() {
    local out
    out=$(doctor --json | rig_json_where checks "name grade" "$1 $2" text)
    [[ $out == *$3* ]] || { echo "no $2 of $1 with '$3', but '$out' in: $(doctor 2>&1 | head -n 20)"; return 1; }
}
# cures NAME GRADE: the remedy is run as it stands
cures() {
    local remedy
    remedy=$(doctor --json | rig_json_where checks "name grade" "$1 $2" remedy)
    [ -n "$remedy" ] || { echo "$1 has no remedy of grade $2"; return 1; }
    rig_exec a sh -c "$remedy"
}
well() {
    local out
    out=$(doctor) || { echo "$out"; return 1; }
    ! grep -E '^(error|warning)' <<<"$out"
}

check "without an enforcer" finds enforcer error 'enforcer is down'
check_not "is an error" doctor
check "the enforcer comes up" rig_enforcer_start a || exit
rig_exec a chmod 755 /var/lib/virtpin
check "an open state-dir" finds state-dir warning 'mode 0755'
check "its remedy" cures state-dir warning
check "then all is well" well
check "a dedicated guest" rig_guest a db1 vcpus=1
check "all is still well" well
check "the hook has booked" finds hook-noticed ok 'booked for db1'
check "another host is refused" assert_eq "status" 2 "$(doctor --topology pu:2 >/dev/null 2>&1; echo $?)"

chmod 644 "$root/usr/sbin/virtpin-hook"
check "a launcher that cannot be executed" finds hook error 'not executable'
check "its remedy" cures hook error
check "helps" well
rm "$root/etc/libvirt/hooks/qemu.d/50-virtpin"
check "no hook" finds hook error 'not installed'
ln -s /nowhere "$root/etc/libvirt/hooks/qemu.d/50-virtpin"
check "a link to nowhere" finds hook error '/nowhere, which is not there'
check "its remedy" cures hook error
check "helps" well
mv "$root/usr/libexec/virtpin/virtpin-hook-worker" "$root/run/worker"
check "no worker" finds worker error 'is not there'
mv "$root/run/worker" "$root/usr/libexec/virtpin/virtpin-hook-worker"

rig_hook a 60-other <<'HOOK'
#!/bin/sh
[ "$2" != prepare ] || { echo "no bridge" >&2; exit 7; }
HOOK
check "another hook" finds other-hooks ok '1 other hook'
check_not "which refuses" rig_guest a web1 vcpus=1
check "is known from libvirt's log" finds other-hooks warning 'exit status 7: no bridge'
rig_hook a 60-other <<<'#!/usr/bin/no-such-shell'
check "one without its interpreter" finds other-hooks error '/usr/bin/no-such-shell, which is not there'
rm "$root/etc/libvirt/hooks/qemu.d/60-other"
check "all is well without it" well

chmod 755 "$root/run/virtpin"
check "an open run-dir" finds run-dir warning 'mode 0755'
check "its remedy" cures run-dir warning
check "helps" well
rig_policy a broken <<<$'[policy x]\nnuma = singel'
check "a broken policy" finds policy error 'broken.conf:2'
rm "$root/etc/virtpin/policy.d/broken.conf"
check "off" rig_exec a virtpin disable 'a test'
check "is a warning" finds switch warning 'a test'
check "its remedy" cures switch warning
check "helps" well
rig_define a auto1 vcpus=1
sed -i "s/placement='static'/placement='auto'/" "$root/etc/libvirt/qemu/auto1.xml"
check "placement='auto'" finds placement-auto warning 'auto1'
rig_virsh a undefine auto1 >/dev/null
echo 'cgroup_controllers = [ "cpu" ]' >>"$root/etc/libvirt/qemu.conf"
check "libvirt without cpusets" finds qemu-conf warning 'leaves out "cpuset"'
sed -i '$d' "$root/etc/libvirt/qemu.conf"

quick() {
    local before=${EPOCHREALTIME/./} took
    doctor >/dev/null
    took=$((${EPOCHREALTIME/./} - before))
    [ $took -lt 2000000 ] || { echo "it took $took microseconds"; return 1; }
}
rig_signal a libvirtd STOP
check "a stopped libvirtd does not stop it" quick
rig_signal a libvirtd CONT
rig_signal a virtpind STOP
sleep 1
check "a stopped enforcer is not late at once" well
rig_signal a virtpind CONT
rig_exec a dd if=/dev/zero of=/run/virtpin/ledger.db bs=4096 count=1 conv=notrunc 2>/dev/null
says_broken() {
    [ -e "$root/run/virtpin/ledger.db.broken" ] && finds ledger warning 'moved aside'
}
check "a damaged ledger leaves a trace" rig_wait 15 says_broken
check "the guest runs" assert_state a db1 running

# ---- a hook that came after libvirtd ----
rig_up b install=no
rig_install b
rig_spawn b virtpind /usr/sbin/virtpind
unnoticed() {
    local out
    out=$(rig_exec b virtpin doctor)
    [[ $out == *"hook-noticed: libvirtd"*"kill -HUP"* ]] || { echo "$out"; return 1; }
}
sleep 1
rm "$(rig_root b)/etc/libvirt/hooks/qemu.d/50-virtpin"
sleep 1.2
ln -s /usr/sbin/virtpin-hook "$(rig_root b)/etc/libvirt/hooks/qemu.d/50-virtpin"
check "a hook that libvirtd has not noticed" rig_wait 5 unnoticed
