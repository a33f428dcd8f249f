#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest moves from one host to another and back while it runs, and is pinned anew on each.
# lab: pair
. "$(dirname "$0")/guest/lib.sh"
here=$(hostname)
declare -A address=([a]=10.99.1.1 [b]=10.99.1.2)

# Both hosts: an address, the other's name, and a libvirtd that listens.
join() {
    local name
    ip address add "${address[$here]}/24" dev eth0 && ip link set eth0 up || return 1
    for name in a b; do
        echo "${address[$name]} $name"
    done >>/etc/hosts
    printf 'auth_tcp = "none"\n' >>/etc/libvirt/libvirtd.conf
    # a libvirtd that virtpind has woken up meanwhile keeps the sockets that it has
    systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service
    systemctl start libvirtd.socket libvirtd-tcp.socket && systemctl start libvirtd.service
}

# on_b COMMAND...: on the other host, with the functions of this one
on_b() {
    local said status
    exec 3<>/dev/tcp/b/7 || return 1
    printf '%s\n' "export LAB_NO_CLEAN=1 LAB_PATIENCE=$LAB_PATIENCE LAB_VARIANTS='$LAB_VARIANTS'" \
        "cd /var/lib/lab && . tests/lab/guest/lib.sh" "{ $(printf '%q ' "$@"); } 2>&1 </dev/null" \
        'printf "\nstatus %s\n" "$?"' exit >&3
    said=$(cat <&3)
    exec 3<&-
    status=${said##*$'\n'} said=${said%$'\n'*}
    [ -z "${said%$'\n'}" ] || printf '%s\n' "${said%$'\n'}"
    [ "$status" = "status 0" ] || { echo "$status"; return 1; }
}

check "host $here is on the net" join || exit 1
check "its libvirtd answers" lab_wait 20 virsh -q list
check "virtpind is connected" lab_wait 20 assert_status enforcer.libvirt connected
check "the policies of host $here are sound" lab_db_and_web 'numa = single'

if [ "$here" = b ]; then
    # a shell for the other host, for as long as it needs one
    systemd-run -q --unit lab-shell systemd-socket-activate -l "${address[b]}:7" -a --inetd bash
    lab_wait 300 test -e /run/lab-work/done || lab_die "the other host did not end"
    systemctl stop lab-shell
    exit
fi

check "the other host answers" lab_wait 100 on_b true || exit 1
online=$(lab_online)
check "a dedicated guest starts here" lab_guest db1 vcpus=2
check "a shared guest too" lab_guest web1 vcpus=1
check "a CPU for each vCPU" lab_one_each db1 2
first=$(lab_cpus db1)

# There these CPUs are not to be had.
check "they are reserved there" on_b eval \
    "echo 'reserved = $first' | lab_conf; systemctl restart virtpind; lab_wait 20 virtpin status"
check "a shared guest is there" on_b lab_guest web2 vcpus=1
lab_settle

check "it moves" virsh -q migrate --live db1 qemu+tcp://b/system tcp://b
check "and runs there" on_b assert_running db1
check "on a CPU for each vCPU" on_b lab_one_each db1 2
there=$(on_b lab_cpus db1)
check "of one node" assert_match "node of CPUs $there" '[0-9]' "$(lab_node_of "$there")"
check "on others than here" assert_disjoint "$there" "$first"
echo "# db1: CPUs $first of a, $there of b"
check "the shared guest there has left them" on_b lab_wait 10 assert_at web2 vcpu 0 \
    "$(lab_minus "$online" "$(lab_union "$first" "$there")")"
check "virtpin there says the same" on_b assert_guest db1 cpus "$there"
knows() {
    assert_match "virsh vcpupin there" "*${there%%[-,]*}*" "$(on_b virsh -q vcpupin db1 0 --live)"
}
check "libvirt there knows the pins" lab_wait 15 knows
check "nothing is open there" on_b lab_wait 15 assert_calm
check "here all is shared again" lab_wait 14 assert_at web1 vcpu 0 "$online"
check "nothing is open here" lab_wait 15 assert_calm

echo "reserved = $first" | lab_conf
systemctl restart virtpind
check "its CPUs are reserved here" lab_wait 20 virtpin status
check "it moves back" on_b virsh -q migrate --live db1 qemu+tcp://a/system tcp://a
check "and runs here" assert_running db1
check "on a CPU for each vCPU" lab_one_each db1 2
check "on others than before" assert_disjoint "$(lab_cpus db1)" "$first"
echo "# db1: CPUs $(lab_cpus db1) of a"
check "the shared guest has left them" lab_wait 10 assert_at web1 vcpu 0 \
    "$(lab_minus "$online" "$(lab_union "$(lab_cpus db1)" "$first")")"
check "there it is gone" assert_eq "guests that run there" web2 \
    "$(on_b virsh -q list --name | xargs)"
check "nothing is open here" lab_wait 15 assert_calm
check "its CPUs are free there" on_b lab_wait 14 assert_status cpus.dedicated ""
check "nothing is open there" on_b lab_wait 15 assert_calm
on_b touch /run/lab-work/done
