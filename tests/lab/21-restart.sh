#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirtd and virtpind end and come back while guests run, in good order and by SIGKILL.
. "$(dirname "$0")/guest/lib.sh"
check "the policies are sound" lab_db_and_web
check "a dedicated guest starts" lab_guest db1 vcpus=2
check "a shared guest starts" lab_guest web1 vcpus=1
own=$(lab_cpus db1)
first=$(lab_mask db1 vcpu 0)
pool=$(lab_minus "$(lab_undivided)" "$own")
pid=$(lab_qemu db1)
in_place() {
    assert_eq "PID of db1's QEMU" "$pid" "$(lab_qemu db1)" && lab_one_each db1 2 &&
        assert_eq "CPUs of db1" "$own" "$(lab_cpus db1)" && assert_at web1 vcpu 0 "$pool"
}
lab_settle

systemctl restart libvirtd
check "libvirtd restarts" lab_wait 20 virsh -q list
check "the guests run on, in their places" in_place
check "virtpind connects again" lab_wait 20 assert_status enforcer.libvirt connected
check "db1 has the same CPUs in the ledger" assert_guest db1 cpus "$own"

kill -KILL "$(pidof libvirtd)"
check "libvirtd is killed and comes back" lab_wait 30 virsh -q list
check "the guests run on" in_place

before=$(pidof virtpind)
kill -STOP "$(pidof libvirtd)"
sleep 20
echo 0 >"$(lab_group db1 vcpu 0)/cpuset.cpus"
check "with libvirtd hung, virtpind repairs" lab_wait 10 assert_at db1 vcpu 0 "$first"
kill -CONT "$(pidof libvirtd)"
check "libvirtd answers again" lab_wait 20 virsh -q list
check "virtpind is the same" assert_eq "its PID" "$before" "$(pidof virtpind)"
check "and connected" lab_wait 20 assert_status enforcer.libvirt connected

systemctl stop virtpind
check "virtpind stops" test "$(systemctl is-active virtpind)" = inactive
check "the guests stay in place" in_place
check "status says that it is down" assert_status enforcer.running false
echo 0 >"$(lab_group db1 vcpu 0)/cpuset.cpus"
check "a guest starts without it" lab_guest db2 vcpus=1
check "and is pinned" lab_one_each db2 1
check "elsewhere than db1" assert_disjoint "$own" "$(lab_cpus db2)"
systemctl start virtpind
check "what was moved meanwhile is put back" lab_wait 15 assert_at db1 vcpu 0 "$first"
check "the shared guest has left db2's CPU" lab_wait 10 assert_at web1 vcpu 0 \
    "$(lab_minus "$pool" "$(lab_cpus db2)")"

before=$(pidof virtpind)
kill -KILL "$before"
again() {
    [ "$(systemctl is-active virtpind)" = active ] && [ "$(pidof virtpind)" != "$before" ]
}
check "virtpind is killed, and systemd starts it again" lab_wait 15 again
check "the guests are in place" lab_one_each db1 2
check "status is content" lab_wait 15 assert_calm

systemctl stop virtpind
rm -f /run/virtpin/ledger*
systemctl start virtpind
check "a lost ledger is made anew from what runs" lab_wait 15 assert_guest db1 cpus "$own"
check "nobody was moved for it" assert_at db1 vcpu 0 "$first"
check "nothing is open" lab_wait 15 assert_calm

# After a reboot with a broken policy there is no earlier set.
systemctl stop virtpind
cp /etc/virtpin/policy.d/lab.conf "$LAB_WORK/sound"
printf '[policy db]\nmatch-name = db*\nplacement = dedicatd\n' >/etc/virtpin/policy.d/lab.conf
rm -f /run/virtpin/policy.*
check "virtpind starts with a broken policy and no earlier one" systemctl start virtpind
waiting() {
    assert_match "its status" '*lab.conf:3*' "$(systemctl show -P StatusText virtpind)"
}
check "and says what is the matter" lab_wait 5 waiting
sleep 5
check "it was not started again" assert_eq "restarts" 0 "$(systemctl show -P NRestarts virtpind)"
check "the guests stay in place" assert_at db1 vcpu 0 "$first"
cp "$LAB_WORK/sound" /etc/virtpin/policy.d/lab.conf
check "the policy is mended: virtpind goes to work" lab_wait 10 assert_status enforcer.running true
echo 0 >"$(lab_group db1 vcpu 0)/cpuset.cpus"
check "and repairs" lab_wait 10 assert_at db1 vcpu 0 "$first"
