#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Other versions are installed while guests run: their programs beside each other, their ledgers after
# each other. minor is a version whose ledger has a column and a table more, major one of the next major.
# lab-needs: newer
. "$(dirname "$0")/guest/lib.sh"
cd /var/lib/lab || exit 1
forbid=/usr/sbin/policy-rc.d
[ -e virtpin.deb ] && this=virtpin || this=tree
trap 'rm -f "$forbid"; into "$this"; lab_end' EXIT

# into WHAT: the package, or the files, each by rename as a package manager does
into() {
    local file
    if [ -e "$1.deb" ]; then
        dpkg --force-confold --force-downgrade -i "$1.deb" </dev/null
        return
    fi
    for file in usr/bin/virtpin usr/sbin/virtpind usr/sbin/virtpin-hook usr/libexec/virtpin/virtpin-hook-worker \
        usr/libexec/virtpin/virtpin-hook-survey; do
        cp --no-preserve=ownership "$1/$file" "/$file.new" && mv "/$file.new" "/$file" || return 1
    done
    [ -e "$forbid" ] || systemctl restart virtpind
}
# alone WHAT: the same without a restart of virtpind
alone() {
    printf '#!/bin/sh\nexit 101\n' >"$forbid"
    chmod 755 "$forbid"
    into "$1"
    rm -f "$forbid"
}
schema() {
    assert_eq "schema of the ledger" "$1" "$(sqlite3 /run/virtpin/ledger.db 'PRAGMA user_version' 2>&1)"
}
# another PID: virtpind runs, and is not that process
another() {
    [ "$(systemctl is-active virtpind)" = active ] && [ "$(pidof virtpind)" != "$1" ]
}
version() {
    assert_match "version of $1" "*$2*" "$("$1" --version)"
}

check "the policies are sound" lab_policy <<'CONF'
[policy db]
match-name = db*
mode = enforce
placement = dedicated

[policy web]
match-name = web*
mode = enforce
placement = shared
CONF
check "a dedicated guest starts" lab_guest db1 vcpus=2
check "a shared guest starts" lab_guest web1
own=$(lab_cpus db1)
first=$(lab_mask db1 vcpu 0)
pool=$(lab_minus "$(lab_online)" "$own")
pids="$(lab_qemu db1) $(lab_qemu web1)"
in_place() {
    assert_eq "PIDs" "$pids" "$(lab_qemu db1) $(lab_qemu web1)" && lab_one_each db1 2 &&
        assert_eq "CPUs of db1" "$own" "$(lab_cpus db1)" && assert_at web1 vcpu 0 "$pool"
}
free() {
    assert_status cpus.dedicated "$own" && in_place
}
starts() {
    lab_guest db2 vcpus=2 && lab_one_each db2 2 && assert_disjoint "$own" "$(lab_cpus db2)" &&
        assert_guest db2 state running
}
repairs() {
    echo 0 >"$(lab_group db1 vcpu 0)/cpuset.cpus"
    lab_wait 10 assert_at db1 vcpu 0 "$first"
}
# all_well WHO: with those programs the guests stay, one starts, drift is repaired
all_well() {
    check "$1: the guests stay" in_place
    check "$1: a dedicated guest starts" starts
    check "$1: what is moved is put back" repairs
    virsh -q destroy db2
    virsh -q undefine db2
    check "$1: its CPUs are free when it ends" lab_wait 15 free
}
lab_settle
check "the ledger is of today's schema" schema 1000

old=$(pidof virtpind)
check "the next version is installed, virtpind is not restarted" alone minor
check "the hook is the newer" version virtpin 99.1.0
check "its programs work" virtpin status || exit 1
check "virtpind runs on" assert_eq "PID" "$old" "$(pidof virtpind)"
all_well "newer hook, older enforcer"
check "virtpind is restarted" systemctl restart virtpind || exit 1
check "it is the newer" version /usr/sbin/virtpind 99.1.0
check "the ledger is the older's" schema 1000
all_well "newer programs, older ledger"
systemctl stop virtpind
rm -f /run/virtpin/ledger*
systemctl start virtpind
check "one that is made anew is of the higher minor schema" lab_wait 15 schema 1001
check "db1 has the same CPUs in it" lab_wait 15 assert_guest db1 cpus "$own"

old=$(pidof virtpind)
check "the older version comes back, virtpind is not restarted" alone "$this"
check "virtpind runs on" assert_eq "PID" "$old" "$(pidof virtpind)"
all_well "older hook, newer enforcer and ledger"
check "virtpind is restarted" systemctl restart virtpind
all_well "older programs, ledger of a higher minor schema"
check "which it stays" schema 1001

old=$(pidof virtpind)
check "a version of the next major is installed, virtpind is not restarted" alone major
check "the guests stay" in_place
check "a dedicated guest starts by its hook" starts
check "in a ledger made anew" schema 2000
check "virtpind has ended and is the newer" lab_wait 30 another "$old" || exit 1
check "which has taken in who ran" lab_wait 30 assert_guest db1 cpus "$own"
virsh -q destroy db2
virsh -q undefine db2
check "the guest's CPUs are free when it ends" lab_wait 15 free
all_well "programs of the next major"

# Back over a major: the ledger cannot be read, and is not touched.
check "the older version comes back" into "$this"
check "the guests stay" in_place
check "a guest starts, by on-error" lab_guest web2
lab_define db3 vcpus=2
virsh -q start db3
check "a dedicated guest, too, without CPUs of its own" assert_mask db3 vcpu 0 "$(lab_online)"
said=$(virtpin status 2>&1)
check "status says what is the matter" assert_match "virtpin status" '*schema 2.0*' "$said"
check "the ledger is as it was" schema 2000
check "the guests stay" in_place
systemctl stop virtpind
rm -f /run/virtpin/ledger*
systemctl start virtpind
check "without it one is made anew" lab_wait 30 assert_guest db1 cpus "$own"
check "db3 has CPUs of its own" lab_wait 30 lab_one_each db3 2
check "others than db1" assert_disjoint "$own" "$(lab_cpus db3)"
check "nothing is open" lab_wait 30 assert_calm
