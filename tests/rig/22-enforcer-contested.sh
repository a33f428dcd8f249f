#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Another tool writes back again and again: reported and slowed down, not fought.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
check "the enforcer comes up" rig_enforcer_start a || exit
check "a shared guest starts" rig_guest a web1 vcpus=1
all=$(rig_cpus)
one=${all##*[-,]}
file=$(rig_inner_cpuset_dir a web1 vcpu 0)/cpuset.cpus
rig_settle

# Writes a cpuset 60 times in 12 s; prints how often it found it repaired.
fight() {
    rig_exec a bash -c "n=0; for i in {1..60}; do
        [ \"\$(cat $file)\" = $one ] || n=\$((n + 1))
        echo $one >$file; sleep 0.2; done; echo \$n"
}

repaired=$(fight)
check "five times it was repaired at once, later ever less often" test "$repaired" -ge 5
check "and not each time" test "$repaired" -le 12
check "it is contested" rig_wait 3 assert_drift a cpuset contested
check "by whom is known" assert_eq "by.comm" bash "$(rig_drift a cpuset contested by.comm)"
check "the journal heard of the contest once" assert_eq "records" 1 \
    "$(rig_log a a6d0c9e3b1424b59b1f7a8a27a20c3d2 | wc -l)"
check "and of the drift five times" assert_eq "records" 5 \
    "$(rig_log a 5f1d8a0f1c7b4f62a0d3c1f2e8b70a11 | wc -l)"
check "it is one record" assert_eq "records" 1 "$(rig_exec a virtpin drift --json | rig_json 'drift[#-1].id')"
check "when the other gives up, it is repaired" rig_wait 40 assert_affinity a web1 vcpu 0 "$all"
check "nothing is left open" rig_wait 5 assert_no_drift a
