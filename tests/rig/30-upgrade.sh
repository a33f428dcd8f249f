#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Programs replaced, and removed, while guests run. The newer programs have another version and a
# ledger of a higher minor schema: one column and one table more.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3 make
[ "$(nproc)" -gt 1 ] || rig_skip_all "needs two CPUs: one shared, one dedicated"
rig_standard a
root=$(rig_root a)
programs=(usr/bin/virtpin usr/sbin/virtpind usr/sbin/virtpin-hook usr/libexec/virtpin/virtpin-hook-worker
    usr/libexec/virtpin/virtpin-hook-survey)

# newer_tree: what `make install` of the next version puts on a host, in $RIG_DIR/newer
newer_tree() {
    local src=$RIG_DIR/source build=$RIG_DIR/build
    mkdir -p "$src" "$build"
    (cd "$RIG_SRC" && cp -a Makefile decide host hook enforcer ctl tests packaging conf systemd man "$src/") || return 1
    cp -a "$BUILD/decide" "$BUILD/host" "$BUILD/hook" "$BUILD/enforcer" "$BUILD/ctl" "$build/" || return 1
    "$RIG_SRC/tests/newer" minor "$src" || return 1
    rm -f "$build"/host/ledger*.o "$build"/ctl/main.o
    make -s -C "$src" install BUILD="$build" VERSION=99.9.9 PREFIX=/usr SYSCONFDIR=/etc \
        DESTDIR="$RIG_DIR/newer"
}
# swap TREE PROGRAM...: as a package manager does, by rename
swap() {
    local tree=$1 program
    shift
    for program; do
        cp -a "$tree/$program" "$root/$program.new" && mv "$root/$program.new" "$root/$program" || return 1
    done
}
hook=("${programs[@]:2}")
schema() {
    rig_exec a sqlite3 /run/virtpin/ledger.db 'PRAGMA user_version'
}
pinned() {
    assert_affinity a db1 vcpu 0 "$own" && assert_state a db1 running
}
# repaired: a foreign write to the dedicated guest's cpuset is undone
repaired() {
    local file
    file=$(rig_inner_cpuset_dir a db1 vcpu 0)/cpuset.cpus
    rig_exec a sh -c "echo $shared >$file" || return 1
    rig_wait 10 pinned
}
# starts GUEST: it starts beside the dedicated one, is booked, and goes again
starts() {
    rig_guest a "$1" vcpus=1 && assert_affinity a "$1" vcpu 0 "$shared" &&
        assert_guest a "$1" state running && rig_virsh a destroy "$1" >/dev/null &&
        rig_wait 5 gone "$1" && rig_virsh a undefine "$1" >/dev/null
}
gone() {
    assert_eq "state of $1" "" "$(rig_guest_status a "$1" state)"
}

check "the newer programs are built" newer_tree || exit
check "the enforcer comes up" rig_enforcer_start a || exit
check "a dedicated guest" rig_guest a db1 vcpus=1
check "a shared guest" rig_guest a web1 vcpus=1
own=$(rig_affinity a db1 vcpu 0)
shared=$(rig_affinity a web1 vcpu 0)
check "the ledger is of today's schema" assert_eq "schema" 1000 "$(schema)"

# ---- the newer hook, the older enforcer ----
check "the hook is replaced" swap "$RIG_DIR/newer" "${hook[@]}"
check "guests stay" pinned
check "a start by the newer hook" starts web2
check "the older enforcer repairs" repaired
check "the other programs too" swap "$RIG_DIR/newer" "${programs[@]}"
check "the newer command line" assert_match "version" '*99.9.9' "$(rig_exec a virtpin --version)"
check "reads the older enforcer's ledger" rig_exec a virtpin status
check "doctor tells that the enforcer is the older one" assert_match "doctor" '*older version*systemctl restart virtpind*' \
    "$(rig_exec a virtpin doctor)"

# ---- the newer enforcer ----
rig_enforcer_stop a
check "guests stay without it" pinned
check "the newer enforcer comes up, on the older ledger" rig_enforcer_start a
check "guests stay" pinned
check "it repairs" repaired
check "a start" starts web3
rig_exec a sh -c 'rm /run/virtpin/ledger.db*'
check "it makes a ledger anew, of its own schema" rig_wait 10 assert_eq "schema" 1001 "$(rig_wait 10 schema)"
check "with the same CPUs" rig_wait 10 assert_guest a db1 cpus "$own"

# ---- the older hook, the newer enforcer and ledger ----
check "the older hook comes back" swap "$RIG_TREE" "${hook[@]}"
check "a start by the older hook" starts web4
rig_virsh a destroy db1 >/dev/null
check "a dedicated guest by the older hook" rig_virsh a start db1
check "is booked" rig_wait 5 assert_guest a db1 cpus "$own"
check "it repairs" repaired
rig_enforcer_stop a
check "all of the older programs" swap "$RIG_TREE" "${programs[@]}"
check "come up on the newer ledger" rig_enforcer_start a
check "guests stay" pinned
check "and repair" repaired
check "the ledger is the newer still" assert_eq "schema" 1001 "$(schema)"

# ---- another major ----
# A program of the next major puts a new file in its place.
rig_exec a flock /run/virtpin/ledger.lock sh -c 'cd /run/virtpin && sqlite3 ledger.db ".backup next" &&
    sqlite3 next "PRAGMA user_version = 2000" && rm -f ledger.db-* && mv next ledger.db'
check "the enforcer stops writing" rig_wait 10 grep -q '^can_repair=no' "$root/run/virtpin/enforcer"
check "and says why" assert_match "doctor" '*enforcer: * cannot repair: *schema 2.0*' "$(rig_exec a virtpin doctor)"
check "once its program is replaced" swap "$RIG_DIR/newer" usr/sbin/virtpind
check "it ends, to be started as the newer one" rig_reap a virtpind 20
check "a start goes by on-error" rig_guest a web5 vcpus=1
check "which the journal has" assert_log a "has schema 2.0, this program knows 1.0"
check_not "status cannot be told" rig_exec a virtpin status
check "and says what to do" assert_match "status" '*schema 2.0*restart it, or update the package*' "$(rig_exec a virtpin status 2>&1)"
check "so does doctor" assert_match "doctor" '*ledger: the ledger cannot be read*schema 2.0*' "$(rig_exec a virtpin doctor)"
check "guests stay" pinned
check "a restart of libvirtd" rig_libvirtd_restart a
check "ends nobody" pinned
rig_exec a sqlite3 /run/virtpin/ledger.db 'PRAGMA user_version = 1001'
check "with the ledger of old the enforcer comes up" rig_enforcer_start a
check "and takes in who came meanwhile" rig_wait 15 assert_affinity a web5 vcpu 0 "$shared"

# ---- removal ----
rig_enforcer_stop a
for program in "${hook[@]:1}"; do
    rm "$root/$program"
done
check "without the worker a guest starts" rig_guest a free6 vcpus=1
check "and libvirtd restarts" rig_libvirtd_restart a
check "ending nobody" pinned
rm "$root/usr/sbin/virtpin-hook"
check "behind a link to nowhere a guest starts" rig_guest a free7 vcpus=1
check "everything is removed" make -s -C "$RIG_SRC" uninstall BUILD="$BUILD" PREFIX=/usr SYSCONFDIR=/etc DESTDIR="$root"
rig_virsh a destroy free6 >/dev/null
rig_virsh a destroy free7 >/dev/null
check "nothing of it is left" assert_eq "files" "" \
    "$(find "$root/usr/bin" "$root/usr/sbin" "$root/usr/libexec" "$root/etc/libvirt/hooks" -name '*virtpin*' 2>/dev/null)"
check "policies are" test -e "$root/etc/virtpin/policy.d/standard.conf"
check "guests run on, and pins stay" pinned
check "libvirtd restarts without it" rig_libvirtd_restart a
check "guests run on then too" pinned
check "a guest starts without it" rig_guest a web8 vcpus=1
rig_virsh a destroy db1 >/dev/null
check "and one that it had pinned" rig_virsh a start db1
check "runs" assert_state a db1 running

# ---- and back ----
rig_install a
rig_libvirtd_restart a
check "installed again" rig_enforcer_start a
check "it takes everybody in" rig_wait 15 assert_affinity a web8 vcpu 0 "$shared"
check "the dedicated guest on its CPU" rig_wait 15 pinned
check "nothing differs" rig_wait 10 rig_exec a virtpin status
