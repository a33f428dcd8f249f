#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `virtpin rewrite` on a corpus of domain XML, much of it odd and some of it invalid: no crash, what
# comes out is well-formed, equal as canonical XML outside of what the policy names, and byte for
# byte the same where there is nothing to do. The corpus is not part of the project:
# $VIRTPIN_CORPUS, or ../shared/corpus beside the checkout.
. "$(dirname "$0")/lib.sh"
corpus=${VIRTPIN_CORPUS:-$RIG_SRC/../shared/corpus}
[ -d "$corpus/domains" ] || rig_skip_all "no corpus of domain XML: VIRTPIN_CORPUS is not set"
command -v xmllint >/dev/null || rig_skip_all "not installed: xmllint"
rig_need_built virtpin
rig_begin
mkdir "$RIG_DIR/policy" "$RIG_DIR/nothing"
cat >"$RIG_DIR/policy/all.conf" <<'CONF'
[policy all]
match-name = *
mode = enforce
cpu-mode = custom
cpu-models = Westmere
placement = shared
CONF
cat >"$RIG_DIR/nothing/none.conf" <<'CONF'
[policy nobody]
match-name = no-guest-has-this-name
mode = enforce
cpu-mode = host-model
CONF

# Everything below <domain> but what the policy may change: <cpu>, and our mark in <metadata>.
outside() {
    xmllint --c14n "$1" >"$1.c14n" &&
        xmllint --xpath '/domain/*[not(self::cpu) and not(self::metadata)] | /domain/comment() | /domain/@* |
            /domain/metadata/*[namespace-uri() != "urn:virtpin:applied:1"]' "$1.c14n" 2>/dev/null
    return 0
}

total=0
crashed='' malformed='' changed='' touched='' rewritten=0 refused=0 unread=0
for file in "$corpus"/domains/*.xml; do
    total=$((total + 1))
    name=${file##*/}
    out=$RIG_DIR/out.xml
    "$BUILD/virtpin" rewrite --policy-dir "$RIG_DIR/policy" --topology 'pack:2 core:8 pu:2' \
        <"$file" >"$out" 2>"$RIG_DIR/err"
    status=$?
    case $status in
    0)
        if ! xmllint --noout "$out" 2>/dev/null; then
            malformed="$malformed $name"
            continue
        fi
        cp "$file" "$RIG_DIR/in.xml"
        [ "$(outside "$RIG_DIR/in.xml")" = "$(outside "$out")" ] || changed="$changed $name"
        cmp -s "$file" "$out" || rewritten=$((rewritten + 1))
        ;;
    1) refused=$((refused + 1)) ;;
    2) unread=$((unread + 1)) ;;
    *) crashed="$crashed $name($status)" ;;
    esac
    [ "$status" = 0 ] || [ ! -s "$out" ] || malformed="$malformed $name(output beside an error)"
    [ "$status" = 0 ] || [ -s "$RIG_DIR/err" ] || malformed="$malformed $name(no word on why)"
    if "$BUILD/virtpin" rewrite --policy-dir "$RIG_DIR/nothing" --topology 'pack:2 core:8 pu:2' \
        <"$file" >"$out" 2>/dev/null; then
        cmp -s "$file" "$out" || touched="$touched $name"
    fi
done
echo "# $total files: $rewritten rewritten, $refused refused, $unread not taken for a domain"
check "there is a corpus" test "$total" -gt 0
check "no crash" assert_eq "crashed on" "" "$crashed"
check "what comes out is well-formed" assert_eq "not" "" "$malformed"
check "equal outside of what the policy names" assert_eq "not" "" "$changed"
check "the same bytes where there is nothing to do" assert_eq "not" "" "$touched"
check "most files are rewritten" test "$rewritten" -gt $((total / 2))
