#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Twenty guests started at once, of which only as many fit as there are CPUs.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
count=20
rig_conf a virtpin.conf <<'CONF'
[host]
dedicated = all
CONF
for ((i = 1; i <= count; i++)); do
    rig_define a "packed$i" vcpus=1 mem=32
done

rig_exec a sh -c "for i in \$(seq $count); do
    (${RIG_VIRSH[*]} start packed\$i >/run/start.\$i 2>&1; echo \$? >>/run/start.\$i) & done; wait"

started=()
refused=0
unexplained=
for ((i = 1; i <= count; i++)); do
    said=$(cat "$(rig_root a)/run/start.$i")
    if [ "${said##*$'\n'}" = 0 ]; then
        started+=("packed$i")
    else
        refused=$((refused + 1))
        [[ $said == *CPU* ]] || unexplained="$unexplained packed$i: $said"
    fi
done
check "as many started as there are CPUs" assert_eq "started guests" "$(nproc --all)" "${#started[@]}"
check "the others were refused" assert_eq "refused" $((count - $(nproc --all))) "$refused"
check "each with the reason" assert_eq "refused without one" "" "$unexplained"

distinct() {
    local g list=
    for g in "${started[@]}"; do
        list="$list$(rig_affinity a "$g" vcpu 0)"$'\n'
    done
    assert_eq "masks of more than one CPU" "" "$(grep '[-,]' <<<"$list")" &&
        assert_eq "CPUs that two guests have" "" "$(sort <<<"$list" | uniq -d | tr -d '\n')"
}
check "no CPU twice" distinct
for g in "${started[@]}"; do
    check "$g is where status says" assert_affinity a "$g" vcpu 0 "$(rig_guest_status a "$g" cpus)"
done
check "all CPUs are booked" assert_status a cpus.dedicated "$(rig_cpus)"
