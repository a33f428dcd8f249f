#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest CPU beyond mode and model: the first model that this host can run, features, caches,
# address bits, nested, pmu and the hint, in the definition and on QEMU's command line.
. "$(dirname "$0")/lib.sh"
rig_need sqlite3
rig_standard a
rig_policy a cpu <<'CONF'
[policy list]
match-name = list*
mode = enforce
cpu-mode = custom
cpu-models = Westmere-IBRS Westmere EPYC
cpu-check = partial
cpu-features = -aes ?x2apic
nested = off
cpu-cache = disable
pmu = off
on-start = refuse
on-migrate = refuse

[policy max]
match-name = max*
mode = enforce
cpu-mode = maximum
cpu-migratable = on
cpu-cache = emulate
maxphysaddr = emulate:40
kvm-hint-dedicated = auto
placement = dedicated
on-start = refuse

[policy model]
match-name = model*
mode = enforce
cpu-mode = host-model
cpu-features = -rdrand ?pcid
nested = on
on-start = refuse
on-migrate = refuse

[policy typo]
match-name = typo-model*
mode = enforce
cpu-mode = custom
cpu-models = Westmer

[policy feature]
match-name = typo-feature*
mode = enforce
cpu-features = -rdrnd

[policy none]
match-name = none*
mode = enforce
cpu-mode = custom
cpu-models = Westmere-IBRS Nehalem-IBSR
CONF
check "the enforcer comes up" rig_enforcer_start a || exit
root=$(rig_root a)

inactive() {
    rig_virsh a dumpxml --inactive --security-info "$1" 2>&1
}
has() {
    local xml
    xml=$(inactive "$1")
    [[ $xml == *"$2"* ]] || { echo "no '$2' in the definition of $1: $(sed -n '/<features/,/<.cpu>/p' <<<"$xml")"; return 1; }
}
cmdline() {
    tr '\0' ' ' <"$root/proc/$(rig_qemu_pid a "$1")/cmdline"
}

# ---- the list, and what stands beside it ----
rig_guest_xml list1 vcpus=2 >"$root/run/list1.xml"
rig_enforcer_stop a
rig_virsh a define /run/list1.xml >/dev/null
before=$(inactive list1)
check_not "on-start = refuse: not before it is written" rig_virsh a start list1
check "the enforcer starts" rig_enforcer_start a
check "the first model that this host can run" rig_wait 10 has list1 "<model fallback='forbid'>Westmere</model>"
check "a feature is disabled" has list1 "<feature policy='disable' name='aes'/>"
check "an optional one stands" has list1 "<feature policy='optional' name='x2apic'/>"
check "check=" has list1 "check='partial'"
check "no cache" has list1 "<cache mode='disable'/>"
check "no pmu" has list1 "<pmu state='off'/>"
check "nothing of nested" has list1 "name='svm'/>"
check "it starts" rig_virsh a start list1
line=$(cmdline list1)
check "QEMU has the model" assert_match "QEMU's command line" '*-cpu Westmere,*' "$line"
check "QEMU has the feature off" assert_match "QEMU's command line" '*aes=off*' "$line"
check "QEMU has svm off" assert_match "QEMU's command line" '*svm=off*' "$line"
check "QEMU has the pmu off" assert_match "QEMU's command line" '*pmu=off*' "$line"
check "QEMU has no L3" assert_match "QEMU's command line" '*l3-cache=off*' "$line"
check "saved" rig_virsh a save list1 /run/list1.save
check "a restored guest, expanded by libvirt, meets on-migrate = refuse" rig_virsh a restore /run/list1.save
rig_virsh a destroy list1 >/dev/null
check "explain has nothing to say about its CPU" rig_exec a virtpin explain list1
explained() {
    local text
    text=$(rig_exec a virtpin explain list1)
    [[ $text != *'->'* ]] || { echo "$text"; return 1; }
}
check "no change is explained" explained
check "it is reverted" rig_exec a virtpin revert list1
same() {
    [ "$before" = "$(inactive list1)" ] || { diff <(echo "$before") <(inactive list1); return 1; }
}
check "to the bytes that stood there" same

# ---- maximum, and what only it can have ----
check "maximum" rig_define a max1 vcpus=1
check "is written" rig_wait 10 has max1 "mode='maximum'"
check "migratable" has max1 "migratable='on'"
check "with a cache" has max1 "<cache level='3' mode='emulate'/>"
check "with address bits" has max1 "<maxphysaddr mode='emulate' bits='40'/>"
check "and the hint, for it is dedicated" has max1 "<hint-dedicated state='on'/>"
check "it starts" rig_virsh a start max1
line=$(cmdline max1)
check "QEMU has the hint" assert_match "QEMU's command line" '*kvm-hint-dedicated=on*' "$line"
check "QEMU has the bits" assert_match "QEMU's command line" '*phys-bits=40*' "$line"
check "QEMU has the cache" assert_match "QEMU's command line" '*l3-cache=on*' "$line"
rig_virsh a destroy max1 >/dev/null
# Something else is edited: revert takes out all that is ours and nothing more.
rig_virsh a desc max1 --config --title edited >/dev/null
check "revert after an edit" rig_exec a virtpin revert max1
check "keeps the edit" has max1 "<title>edited</title>"
for gone in maximum maxphysaddr hint-dedicated '<cache'; do
    check_not "and takes out $gone" has max1 "$gone"
done

# ---- host-model with features ----
check "host-model" rig_define a model1 vcpus=1
check "is written" rig_wait 10 has model1 "mode='host-model'"
check "with a feature less" has model1 "<feature policy='disable' name='rdrand'/>"
check "with the vendor's nested virtualisation" has model1 "<feature policy='require' name='svm'/>"
check "it starts" rig_virsh a start model1
line=$(cmdline model1)
check "QEMU has it off" assert_match "QEMU's command line" '*rdrand=off*' "$line"
check "QEMU has nested" assert_match "QEMU's command line" '*svm=on*' "$line"
check "saved" rig_virsh a save model1 /run/model1.save
check "restored under on-migrate = refuse" rig_virsh a restore /run/model1.save
rig_virsh a destroy model1 >/dev/null

# ---- names that nobody knows ----
check "an unknown model" rig_define a typo-model1 vcpus=1
check "is reported with its neighbours" rig_wait 5 assert_log a 'knows no CPU model Westmer, nearest: Westmere'
check_not "and not written" has typo-model1 "Westmer<"
check "an unknown feature" rig_define a typo-feature1 vcpus=1
check "is reported with its neighbours" rig_wait 5 assert_log a 'knows no CPU feature rdrnd, nearest: .*rdrand'
check_not "and not written" has typo-feature1 rdrnd
check "a list of which none can run" rig_define a none1 vcpus=1
check "is reported as a whole" rig_wait 5 assert_log a 'none of the policy.s CPU models: Westmere-IBRS, Nehalem-IBSR .libvirt here knows no such model, nearest: Nehalem-IBRS'
check_not "and not written" has none1 IBRS

# ---- elsewhere than here ----
rig_virsh a domcapabilities --virttype qemu >"$root/run/caps.xml"
plan() {
    rig_exec a virtpin explain --xml /run/list1.xml "$@"
}
check "explain by capabilities" assert_match "explain" '*custom/Westmere*' "$(plan --capabilities /run/caps.xml 2>&1)"
mkdir -p "$root/run/typo"
printf '[policy t]\nmatch-name = *\nmode = enforce\non-start = refuse\ncpu-mode = custom\ncpu-models = Westmer\n' \
    >"$root/run/typo/t.conf"
check "an unknown model by capabilities, with its neighbours" assert_match "explain" \
    '*knows no CPU model Westmer, nearest: Westmere*' \
    "$(plan --capabilities /run/caps.xml --policy-dir /run/typo 2>&1)"
feature=$(sed -n "/<mode name='host-model'/,/<.mode>/s/.*<feature .*name='\([a-z0-9]\{5,\}\)'.*/\1/p" "$root/run/caps.xml" | head -n 1)
printf '[policy t]\nmatch-name = *\nmode = enforce\ncpu-mode = host-model\ncpu-features = -%s\n' "${feature%?}" >"$root/run/typo/t.conf"
check "a feature that they do not name, with its neighbours" assert_match "explain" \
    "*does not name CPU feature ${feature%?}, nearest: *$feature*" \
    "$(plan --capabilities /run/caps.xml --policy-dir /run/typo 2>&1)"
check "explain says what host-model is here" assert_match "explain" '*host-model: * of AMD, +*' "$(rig_exec a virtpin explain model1 2>&1)"
