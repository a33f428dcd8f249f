#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# CPUs go offline and come back: one of the pool, and one that a dedicated guest holds.
. "$(dirname "$0")/guest/lib.sh"
case $LAB_VARIANTS in
*v1*)
    # There the kernel takes a CPU that goes offline from every group, and does not give it back; and a
    # thread whose group has none left it moves to the group above, from where nobody moves it back.
    version=1
    lab_conf <<<'manage-slices = yes'
    systemctl restart virtpind
    ;;
*) version=2 ;;
esac
# own_cpus: db1's vCPUs have a CPU each
own_cpus() {
    local one two
    [ $version = 1 ] || { lab_one_each db1 2; return; }
    one=$(lab_mask db1 vcpu 0) two=$(lab_mask db1 vcpu 1)
    [[ $one =~ ^[0-9]+$ && $two =~ ^[0-9]+$ && $one != "$two" ]] || { echo "on $one and $two"; return 1; }
}
calm() {
    local open
    [ $version = 1 ] || { assert_calm; return; }
    assert_drift db1 group open || return 1
    open=$(virtpin drift | grep -E ' (open|contested) ' | grep -v ' group ')
    [ -z "$open" ] || { echo "$open"; return 1; }
}
check "the policies are sound" lab_db_and_web
check "a shared guest starts" lab_guest web1 vcpus=1
check "two dedicated guests start" lab_guest db1 vcpus=2
check "the second" lab_guest db2 vcpus=2
other=$(lab_cpus db2)
pool=$(lab_minus "$(lab_undivided)" "$(lab_union "$other" "$(lab_cpus db1)")")
last=${pool##*[-,]}
before=$(</sys/devices/system/cpu/offline)
lab_settle
switch() {
    echo "$2" >"/sys/devices/system/cpu/cpu$1/online"
}

check "CPU $last of the pool goes offline" switch "$last" 0
check "status says so" lab_wait 10 assert_status cpus.offline "$(lab_union "$before" "$last")"
check "the shared guest has the rest" lab_wait 15 assert_mask web1 vcpu 0 "$(lab_minus "$pool" "$last")"
check "nothing is open" lab_wait 15 assert_calm
check "it comes back" switch "$last" 1
check "to the shared guest too" lab_wait 20 assert_mask web1 vcpu 0 "$pool"
check "and status says so" assert_status cpus.offline "$before"
check "nothing is open" lab_wait 15 assert_calm

gone=$(lab_mask db1 vcpu 0)
check "CPU $gone of db1's vCPU 0 goes offline" switch "$gone" 0
check "db1 runs on" assert_running db1
apart() {
    assert_disjoint "$(lab_cpus db1)" "$other" && assert_eq "CPUs of db2" "$other" "$(lab_cpus db2)"
}
check "none of its vCPUs is on CPUs of db2" lab_wait 20 apart
check "each has another CPU of its own" lab_wait 20 own_cpus
elsewhere() {
    [ "$(lab_mask db1 vcpu 0)" != "$gone" ] || { echo "vCPU 0 is on CPU $gone"; return 1; }
}
check "not that one" elsewhere
check "which has its own" lab_one_each db2 2
echo "# db1 now on $(lab_cpus db1), status: $(virtpin status | head -n 20 | tr '\n' '/')"
check "it comes back" switch "$gone" 1
check "db1 has a CPU for each vCPU" lab_wait 20 own_cpus
if [ $version = 1 ]; then
    skip "vCPU 0 the one that it had" "cgroup v1: its partition has lost it"
else
    check "vCPU 0 the one that it had" lab_wait 20 assert_mask db1 vcpu 0 "$gone"
fi
check "none of db2's" apart
check "nothing is open, or but the thread that the kernel has moved" lab_wait 20 calm
check "a guest starts after all that" lab_guest db3 vcpus=2
check "with a CPU for each vCPU" lab_one_each db3 2
if [ $version = 1 ]; then
    virsh -q destroy db1
    check "nothing is open without that thread" lab_wait 20 assert_calm
fi
