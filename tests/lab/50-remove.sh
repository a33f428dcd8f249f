#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The package is removed, installed again and purged, with guests running all the while.
. "$(dirname "$0")/guest/lib.sh"
cd /var/lib/lab || exit 1
[ -e virtpin.deb ] || lab_skip_all "virtpin was not installed from a package"
trap 'lab_install; lab_end' EXIT
lab_install() {
    dpkg --force-confold --force-confmiss -i virtpin.deb </dev/null
}
check "the policies are sound" lab_policy <<'CONF'
[policy db]
match-name = db*
mode = enforce
placement = dedicated
cpu-mode = custom
cpu-models = Nehalem

[policy keep]
match-name = keep*
mode = enforce
placement = dedicated
reserve = always

[policy web]
match-name = web*
mode = enforce
placement = shared
CONF
defined() {
    assert_match "definition of $1" "*$2*" "$(virsh dumpxml --inactive "$1")"
}
check "a guest is defined whose CPUs are always its own" lab_define keep1 vcpus=2
check "its definition has its pins" lab_wait 10 defined keep1 "<vcpupin vcpu='1' cpuset='"
check "it has its CPUs while it is off" lab_wait 10 assert_guest keep1 state reserved
kept=$(lab_guest_status keep1 cpus)
check "one for each vCPU" assert_eq "number of CPUs $kept" 2 "$(lab_count "$kept")"
check "a dedicated guest starts" lab_guest db1 vcpus=2
check "a shared guest starts" lab_guest web1
own=$(lab_cpus db1)
pool=$(lab_minus "$(lab_undivided)" "$(lab_union "$own" "$kept")")
pids="$(lab_qemu db1) $(lab_qemu web1)"
in_place() {
    assert_eq "PIDs" "$pids" "$(lab_qemu db1) $(lab_qemu web1)" &&
        lab_one_each db1 2 && assert_eq "CPUs of db1" "$own" "$(lab_cpus db1)" && assert_at web1 vcpu 0 "$pool"
}
reserved() {
    assert_guest keep1 state reserved && assert_guest keep1 cpus "$kept"
}
check "db1's has its policy's CPU" lab_wait 10 defined db1 ">Nehalem</model>"
lab_settle

# Enabled by the operator: an upgrade leaves it to him, a removal does not.
metrics() {
    exec 3<>/dev/tcp/127.0.0.1/9753 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 || return 1
    assert_match "the answer" 'HTTP/1.? 200*virtpin_*' "$(timeout 60 cat <&3)"
}
check "the metrics' socket is enabled" systemctl enable -q --now virtpin-metrics.socket
check "it answers" lab_wait 10 metrics
old=$(pidof virtpind)
another() {
    systemctl is-active virtpind && [ "$(pidof virtpind)" != "$old" ]
}
check "the package is installed over itself" lab_install
check "another virtpind runs" lab_wait 20 another
check "nobody was moved" in_place
check "the guest that is off has its CPUs" lab_wait 20 reserved
check "the metrics' socket answers" lab_wait 10 metrics
check "nothing is open" lab_wait 20 assert_calm

check "the package is removed" dpkg -r virtpin
check_not "nothing answers for the metrics" metrics
check "its service has stopped" test "$(systemctl is-active virtpind)" != active
check "nothing of the hook is left" test ! -e /etc/libvirt/hooks/qemu.d/50-virtpin -a \
    ! -L /etc/libvirt/hooks/qemu.d/50-virtpin
check "policies stay" test -s /etc/virtpin/policy.d/lab.conf
check "so does what definitions held before" test -n "$(find /var/lib/virtpin -type f)"
check "the guests run on in their places" in_place
check "another starts" lab_guest db2
check "wherever libvirt puts it" assert_mask db2 vcpu 0 "$(lab_online)"
systemctl restart libvirtd
check "libvirtd restarts" lab_wait 20 virsh -q list
check "the guests run on" in_place
virsh -q destroy db2

check "the package is installed again" lab_install
check "virtpind runs" lab_wait 20 systemctl is-active virtpind
check "db1 has the same CPUs in a ledger" lab_wait 20 assert_guest db1 cpus "$own"
check "so has the guest that is off" lab_wait 20 reserved
check "nobody was moved" in_place
check "nothing is open" lab_wait 20 assert_calm

since=$(date +%s)
check "the package is purged" dpkg -P virtpin
for path in /var/lib/virtpin /run/virtpin /etc/virtpin/virtpin.conf /usr/sbin/virtpind; do
    check "$path is gone" test ! -e "$path"
done
check "the guests run on in their places" in_place
check "the guest that was off starts" virsh -q start keep1
check "on a CPU for each vCPU" lab_one_each keep1 2
check "by the pins in its definition" assert_eq "CPUs" "$kept" "$(lab_cpus keep1)"
virsh -q destroy db1
check "db1 starts again" virsh -q start db1
check "with the CPU that its definition had been given" defined db1 ">Nehalem</model>"
check "libvirt says nothing of a hook" assert_eq "journal" "" \
    "$(journalctl -u libvirtd --no-pager -o cat --since "@$since" | grep -i hook)"
