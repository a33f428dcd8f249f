#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Does it matter? How long a busy vCPU waits for a CPU (the kernel's own count, schedstat) beside busy
# neighbours: idle ones, unpinned, pinned by hand, pinned by hand and then disturbed, and disturbed
# alike under virtpin. Prints a table; the plot goes to BUILD/bench/jitter.svg.
# A guest of one vCPU and two neighbours of two, all with a kernel, on whatever CPUs this machine has
# (two at least). What else runs on the machine makes them wait as well: the first row shows how much.
# Variables: SECONDS_EACH (12), NEIGHBOURS (2), WEIGHT (none: so many times the guests together outweigh
# a process or group beside them, while they are measured: on a busy machine).
. "$(dirname "$0")/../rig/lib.sh"
. "$(dirname "$0")/../rig/guest/lib.sh"
SECONDS_EACH=${SECONDS_EACH:-12}
NEIGHBOURS=${NEIGHBOURS:-2}
rig_need sqlite3 taskset
rig_need_built virtpin virtpind virtpin-hook virtpin-hook-worker
rig_need_kernel
[ "$(nproc --all)" -ge 2 ] || rig_skip_all "needs two CPUs"
out=$BUILD/bench
mkdir -p "$out"
load=$(cut -d ' ' -f 1 /proc/loadavg)

rig_up a
root=$(rig_root a)

# busy GUEST N: N endless loops inside
busy() {
    local i
    for ((i = 0; i < $2; i++)); do
        rig_ask a "$1" 'while :; do :; done &' || rig_die "$1 does not take work"
    done
}

# sample THREAD SECONDS WEIGHT [CPUSET-FILE TID]...: "TIME RAN WAITED" in ns, five times a second, of the
# vCPU thread. After a third of the time somebody opens those groups and threads to all CPUs. It runs
# in the host's own cgroups, or it would wait as well, and weighs them for that time alone.
cat >"$root/run/sample" <<'SAMPLE'
#!/bin/bash
thread=$1 seconds=$2 weight=$3 cpus=$(cat /sys/devices/system/cpu/online)
shift 3
weigh() {
    local file
    for file in /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu,cpuacct/cpu.shares; do
        [ ! -w "$file" ] || echo $((1024 * $1)) >"$file"
    done
}
exec 3<>/run/never
if [ -n "$weight" ]; then
    weigh "$weight"
    read -r -t 1 <&3   # the kernel spreads it over the CPUs little by little
fi
begin=${EPOCHREALTIME/./}
while :; do
    now=${EPOCHREALTIME/./}
    [ $((now - begin)) -lt $((seconds * 1000000)) ] || break
    if [ $# -gt 0 ] && [ $((now - begin)) -gt $((seconds * 333333)) ]; then
        for ((i = 1; i < $#; i += 2)); do
            j=$((i + 1))
            echo "$cpus" >"${!i}"
            taskset -pc "$cpus" "${!j}" >/dev/null
        done
        set --
    fi
    read -r ran waited _ <"$thread"
    echo "${now}000 $ran $waited"
    read -r -t 0.2 <&3
done
[ -z "$weight" ] || weigh 1
echo end
SAMPLE
chmod 755 "$root/run/sample"
mkfifo "$root/run/never"

# measure NAME quiet|disturbed
measure() {
    local log=$RIG_DIR/a/log/sample thread guest i end=$((SECONDS + SECONDS_EACH * 3 + 60))
    local -a open=()
    thread=/proc/$(rig_qemu_pid a db1)/task/$(rig_tid a db1 vcpu 0)/schedstat
    for guest in $neighbours; do
        for i in 0 1; do
            [ "$2" = quiet ] ||
                open+=("$(rig_inner_cpuset_dir a "$guest" vcpu $i)/cpuset.cpus" "$(rig_tid a "$guest" vcpu $i)")
        done
    done
    rm -f "$log"
    rig_spawn a sample /run/sample "$thread" "$SECONDS_EACH" "${WEIGHT:-}" "${open[@]}" || rig_die "no sampler"
    until grep -q end "$log"; do
        [ $SECONDS -lt $end ] || rig_die "the sampler does not end"
        sleep 0.2
    done
    awk -v name="$1" 'NF == 3 {
        if (last) printf "%s|%.3f|%.2f|%.2f\n", name, ($1 - first) / 1e9,
            ($2 - ran) / ($1 - last) * 100, ($3 - waited) / ($1 - last) * 100
        else first = $1
        last = $1; ran = $2; waited = $3 }' "$log" >>"$out/jitter.data"
}

# ---- guests --------------------------------------------------------------------------------------

neighbours=
rig_kernel_define a db1 vcpus=1
for ((i = 1; i <= NEIGHBOURS; i++)); do
    rig_kernel_define a "web$i" vcpus=2
    neighbours="$neighbours web$i"
done
for guest in db1 $neighbours; do
    rig_virsh a start "$guest" >/dev/null || rig_die "$guest does not start"
done
for guest in db1 $neighbours; do
    rig_kernel_up a "$guest" || rig_die "$guest does not boot"
done

# ---- one after the other -------------------------------------------------------------------------

last=$(rig_cpus)
last=${last##*[-,]}
rest=$(rig_cpus without "$last")
: >"$out/jitter.data"
busy db1 1
measure "neighbours idle" quiet
for guest in $neighbours; do
    busy "$guest" 2
done
measure "unpinned" quiet
pin_by_hand() {
    rig_virsh a vcpupin db1 0 "$last" --live && rig_virsh a emulatorpin db1 "$rest" --live
    for guest in $neighbours; do
        rig_virsh a vcpupin "$guest" 0 "$rest" --live && rig_virsh a vcpupin "$guest" 1 "$rest" --live &&
            rig_virsh a emulatorpin "$guest" "$rest" --live
    done
}
pin_by_hand >/dev/null || rig_die "virsh does not pin"
measure "pinned by hand" quiet
measure "by hand, disturbed" disturbed
rig_policy a bench <<'CONF'
[policy database]
match-name = db*
mode = enforce
placement = dedicated

[policy web]
match-name = web*
mode = enforce
placement = shared
CONF
rig_enforcer_start a >/dev/null || rig_die "the enforcer does not come up"
rig_wait 20 assert_guest a db1 cpus "$last" >/dev/null || rig_die "db1 gets no CPU: $(rig_exec a virtpin status)"
# what differs when the enforcer comes is put right one guest after the other
for guest in $neighbours; do
    rig_wait 20 assert_affinity a "$guest" vcpu 1 "$rest" >/dev/null ||
        rig_die "$guest is not kept off: $(rig_exec a virtpin status "$guest")"
done
measure "virtpin, disturbed" disturbed
repaired=$(rig_exec a virtpin drift 2>/dev/null | grep -c repaired)

# ---- table and plot ------------------------------------------------------------------------------

echo "A busy vCPU beside $((2 * NEIGHBOURS)) busy ones on $(nproc --all) CPUs, $SECONDS_EACH s each; load of the machine at the start $load${WEIGHT:+, weight of the guests $WEIGHT}"
awk -F'|' '
    !($1 in n) { order[++names] = $1 }
    { n[$1]++; ran[$1] += $3; wait[$1, n[$1]] = $4; sum[$1] += $4 }
    END {
        printf "%-22s %8s %8s %12s %12s\n", "", "runs", "waits", "median 0.2 s", "worst 0.2 s"
        for (k = 1; k <= names; k++) {
            name = order[k]; count = n[name]
            for (i = 1; i <= count; i++) v[i] = wait[name, i]
            for (i = 2; i <= count; i++) {
                x = v[i]
                for (j = i - 1; j > 0 && v[j] > x; j--) v[j + 1] = v[j]
                v[j + 1] = x
            }
            printf "%-22s %6.1f %% %6.1f %% %10.1f %% %10.1f %%\n", name, ran[name] / count,
                sum[name] / count, v[int((count + 1) / 2)], v[count]
        }
    }' "$out/jitter.data" | tee "$out/jitter.txt"
echo "differences repaired by virtpin: $repaired"

awk -F'|' -v seconds="$SECONDS_EACH" '
    BEGIN { left = 170; width = 560; height = 70; gap = 22 }
    !($1 in row) { row[$1] = rows++; order[rows] = $1 }
    {
        y = 40 + row[$1] * (height + gap) + height * (1 - ($4 > 100 ? 100 : $4) / 100)
        points[$1] = points[$1] sprintf("%.1f,%.1f ", left + $2 / seconds * width, y)
    }
    END {
        total = 40 + rows * (height + gap) + 30
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", total
        print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
        print "<text x=\"20\" y=\"22\" font-size=\"14\">How much of its time a busy vCPU waits for a CPU</text>"
        for (k = 1; k <= rows; k++) {
            top = 40 + (k - 1) * (height + gap)
            printf "<text x=\"20\" y=\"%d\">%s</text>\n", top + height / 2, order[k]
            printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-size=\"10\">100 %%</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-size=\"10\">0</text>\n",
                left - 4, top + 8, left - 4, top + height
            printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#bbb\"/>\n", left, top, width, height
            printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", points[order[k]],
                order[k] ~ /virtpin/ ? "#1a7f37" : "#b35900"
        }
        printf "<text x=\"%d\" y=\"%d\" font-size=\"10\">0</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-size=\"10\">%d s</text>\n",
            left, total - 14, left + width, total - 14, seconds
        print "</svg>"
    }' "$out/jitter.data" >"$out/jitter.svg"
echo "plot: $out/jitter.svg"
