#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A corpus of domain XML under each example policy, which here matches every guest: what comes out is
# well-formed, and where libvirt defines the original it also defines the result. The policies take
# turns over the files for RIG_CORPUS_SECONDS (20); the corpus is 18-corpus's.
. "$(dirname "$0")/lib.sh"
corpus=${VIRTPIN_CORPUS:-$RIG_SRC/../shared/corpus}
[ -d "$corpus/domains" ] || rig_skip_all "no corpus of domain XML: VIRTPIN_CORPUS is not set"
rig_need xmllint
rig_need_built virtpin virtpin-hook virtpin-hook-worker
rig_up a
root=$(rig_root a)
mkdir "$root/run/corpus"

# Each policy of each example by itself: it alone matches, and puts in force.
policies=()
for example in "$RIG_SRC"/conf/examples/*.conf; do
    while read -r policy; do
        dir=$RIG_DIR/policy-${example##*/}-$policy
        mkdir "$dir"
        sed -E "/^(match-|rollout|by-metadata|mode)/d; /^\[policy $policy\]\$/a match-name = *\nmode = enforce" \
            "$example" >"$dir/p.conf"
        policies+=("$dir")
    done < <(sed -n 's/^\[policy \(.*\)\]$/\1/p' "$example")
done
mkdir "$RIG_DIR/policy-tuned"
cat >"$RIG_DIR/policy-tuned/p.conf" <<'CONF'
[policy tuned]
match-name = *
mode = enforce
cpu-mode = maximum
topology = auto
guest-numa = 2
shares = 512
quota = 20000
vcpu-scheduler = batch
guest-agent = yes
CONF
policies=("$RIG_DIR/policy-tuned" "${policies[@]}")

# defined FILE...: those of the files in the host's /run/corpus that libvirt defines, one at a time.
defined() {
    local file
    for file; do
        printf 'define /run/corpus/%s\nundefine %s --nvram\n' "$file" \
            "$(xmllint --xpath 'string(/domain/name)' "$root/run/corpus/$file" 2>/dev/null | tr -d ' \n')"
    done >"$root/run/script"
    rig_exec a sh -c 'virsh </run/script' 2>/dev/null | sed -n 's,.* defined from /run/corpus/,,p'
}

files=()
for file in "$corpus"/domains/*.xml; do
    name=${file##*/}
    [[ $name == *[!A-Za-z0-9._-]* ]] && continue
    cp "$file" "$root/run/corpus/$name"
    files+=("$name")
done
mapfile -t good < <(defined "${files[@]}")
check "libvirt defines some of the corpus" test "${#good[@]}" -gt 10

malformed='' refused='' rewritten=0 tried=0 rounds=0
SECONDS=0
for dir in "${policies[@]}"; do
    [ "$SECONDS" -lt "${RIG_CORPUS_SECONDS:-20}" ] || break
    rounds=$((rounds + 1))
    results=()
    for name in "${files[@]}"; do
        out=$root/run/corpus/new-$name
        tried=$((tried + 1))
        "$BUILD/virtpin" rewrite --policy-dir "$dir" --topology 'pack:2 core:8 pu:2' \
            <"$corpus/domains/$name" >"$out" 2>/dev/null || continue
        cmp -s "$corpus/domains/$name" "$out" && continue
        rewritten=$((rewritten + 1))
        xmllint --noout "$out" 2>/dev/null || malformed="$malformed ${dir##*/}:$name"
        [[ " ${good[*]} " == *" $name "* ]] && results+=("new-$name")
    done
    mapfile -t taken < <(defined "${results[@]}")
    for name in "${results[@]}"; do
        [[ " ${taken[*]} " == *" $name "* ]] && continue
        refused="$refused ${dir##*/policy-}:${name#new-}"
    done
done
echo "# ${#files[@]} files, ${#good[@]} defined by libvirt; $rounds of ${#policies[@]} policies, $tried tried, $rewritten rewritten"
check "some are rewritten" test "$rewritten" -gt 10
check "what comes out is well-formed" assert_eq "not" "" "$malformed"
for name in $refused; do
    rig_exec a virsh define "/run/corpus/new-${name#*:}" 2>&1 | head -n 2
done
check "libvirt defines what it defined before" assert_eq "not" "" "$refused"
