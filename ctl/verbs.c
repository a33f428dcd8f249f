/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/ctl.h"

const struct vp_option vp_options[] = {
    {"json", NULL, "one JSON object on stdout instead of text"},
    {"config", "FILE", "read FILE instead of /etc/virtpin/virtpin.conf (also $VIRTPIN_CONFIG)"},
    {"policy-dir", "DIR", "read DIR/*.conf instead of the usual two policy.d"},
    {"topology", "X", "another host: hwloc XML, a recorded root, or a synthetic string"},
    {"capabilities", "FILE", "that host's CPUs: what `virsh domcapabilities` prints there"},
    {"help", NULL, "this text, or a verb's"},
    {"version", NULL, "the version"},
    {0},
};

const struct vp_verb vp_verbs[] = {
    {
        .name = "policy check",
        .run = vp_verb_policy_check,
        .words = "[DIR]",
        .most = 1,
        .help = "check the policy files: every error with file and line",
        .exit1 = "there is an error",
        .more = "With DIR, DIR/*.conf is checked instead of the files in use.",
    },
    {
        .name = "policy show",
        .run = vp_verb_policy_show,
        .words = "",
        .help = "print the policies as they are understood; parses again to the same",
        .exit1 = "there is an error",
    },
    {
        .name = "explain",
        .run = vp_verb_explain,
        .words = "[NAME]",
        .most = 1,
        .help = "which policy a guest has and why, what it changes, where the guest would go",
        .exit1 = "the guest would be refused",
        .option = {{"xml", "FILE", "domain XML (- is stdin) instead of the guest NAME"}},
    },
    {
        .name = "rewrite",
        .run = vp_verb_rewrite,
        .words = "",
        .help = "filter: domain XML on stdin, the same as the policy wants it on stdout",
        .exit1 = "the policy refuses the guest; stdout is empty then",
        .more =
            "Nothing is booked. Where there is nothing to do the input's bytes come out again.\n"
            "Definitions get pins only under placement = fixed or reserve = always; migrate and\n"
            "restore always.",
        .option = {{"op", "define|migrate|restore", "what the XML is for; define is the default"},
                   {"strip", NULL, "take virtpin's mark and, where it is, the pins out instead"}},
    },
    {
        .name = "plan",
        .run = vp_verb_plan,
        .words = "",
        .help = "what would change on this host now; changes nothing",
        .exit1 = "something would change",
    },
    {
        .name = "status",
        .run = vp_verb_status,
        .words = "[NAME]",
        .most = 1,
        .help = "guests, CPUs, what is in force; with NAME every thread of that guest",
        .exit1 = "there is open or contested drift, a dedicated CPU is not exclusive, or the "
                 "enforcer is down",
        .more = "Asks the ledger, /proc, cgroups and libvirt's status files, never libvirt itself.",
    },
    {
        .name = "drift",
        .run = vp_verb_drift,
        .words = "",
        .help = "differences: what, where, since when, by whom, repaired or contested",
        .exit1 = "an open or contested one is listed",
        .more = "T is a time back from now (10m, 24h) or a date (2026-01-31, "
                "2026-01-31T12:00:00Z).\nNAME and WHO may have * and ?. WHO is a pid, a "
                "program's name, a unit, a terminal, or\nunknown. The last 10,000 records are "
                "kept until the host is booted anew.",
        .option = {{"follow", NULL, "go on and print each record when it comes or changes"},
                   {"since", "T", "only what was last seen after T"},
                   {"until", "T", "only what was first seen before T"},
                   {"guest", "NAME", "only that guest's, by name or UUID"},
                   {"kind", "KIND[,KIND]", "only these: affinity, cpuset, ... (--kind x lists)"},
                   {"by", "WHO", "only what WHO did"}},
    },
    {
        .name = "reconcile",
        .run = vp_verb_reconcile,
        .words = "[NAME]",
        .most = 1,
        .help = "one pass of adopting and repairing, whether the enforcer is up or not",
        .exit1 = "something still differs",
    },
    {
        .name = "start",
        .run = vp_verb_start,
        .words = "NAME|FILE",
        .least = 1,
        .most = 1,
        .help = "rewrite to the policy and start: a defined guest, or a transient one from FILE",
        .exit1 = "the guest was not started",
        .more = "FILE (a word with a slash or a file that is there) is started as a transient "
                "guest in\nthis session of libvirt; its definition is nowhere but in the file.",
        .option = {{"paused", NULL, "leave the vCPUs stopped"},
                   {"autodestroy", NULL, "end the guest with virtpin's connection (--console)"},
                   {"console", NULL, "attach to the guest's console by virsh"}},
    },
    {
        .name = "revert",
        .run = vp_verb_revert,
        .words = "[NAME]",
        .most = 1,
        .help = "put back what virtpin replaced in a guest's definition",
        .exit1 = "nothing was put back; with --all, a definition could not be",
        .more = "The enforcer leaves that definition alone until somebody changes it or its "
                "policy\nchanges. A running guest goes on as it is.",
        .option = {{"all", NULL,
                    "every guest of which something is kept, before virtpin is purged"}},
    },
    {
        .name = "release",
        .run = vp_verb_release,
        .words = "[NAME]",
        .most = 1,
        .help = "take virtpin's pins and mark out of libvirt, before a move to a host without it",
        .exit1 = "it was not done",
        .more = "The mark and the pins leave the definition; a running guest's pins in libvirt "
                "are opened\nto all online CPUs, because libvirt cannot drop a live pin. Its "
                "threads stay where they\nare, its CPUs stay booked, and virtpin leaves the guest "
                "alone for the time of --for: it\nneither repairs it nor tells libvirt its pins. "
                "Move it within that time; `virtpin hold NAME\n--for 0s` takes it back at once. "
                "To keep it unmanaged for good, give it a policy with\nmode = off.",
        .option = {{"for", "T", "how long it is left alone: 30s, 10m, 24h; 1h is the default"},
                   {"all", NULL, "every guest that has any of it, before the host is emptied"}},
    },
    {
        .name = "vcpus",
        .run = vp_verb_vcpus,
        .words = "NAME N",
        .least = 2,
        .most = 2,
        .help = "give a guest N vCPUs by the way that works now, and say which it was",
        .exit1 = "it was not done, or a plugged vCPU is not on its CPUs",
        .more =
            "A running guest gets vCPUs plugged, up to its maximum. It gives them back if they can "
            "be\nunplugged (vcpus-hotplug = yes when it was started), else its agent takes them "
            "offline\ninside, else its definition is changed for the next start. An unplug waits "
            "for the guest.\nA guest that is shut off has its definition changed.",
        .option = {{"timeout", "T", "how long the guest may take to give vCPUs back; 60s"}},
    },
    {
        .name = "move",
        .run = vp_verb_move,
        .words = "NAME",
        .least = 1,
        .most = 1,
        .help = "move a running guest that has CPUs of its own to other ones",
        .exit1 = "it was not moved, or does not fit there",
        .more = "Without --to: where the guest would be put now, its own CPUs counted as free.\n"
                "The move is one transaction, put in force and read back; what is not in force "
                "then is\nundone. Memory stays where it is.",
        .option = {{"to", "CPUS", "only CPUs of this list, such as 4-7,12"}},
    },
    {
        .name = "defrag",
        .run = vp_verb_defrag,
        .words = "",
        .help = "move the fewest guests that make room for one, or let all lie better",
        .exit1 = "no way was found, or a move was not done",
        .more =
            "With --for the guest NAME, or one described by an XML file, is to fit; nothing is\n"
            "started. Without it moves are made that lower, in this order, the nodes and L3s of\n"
            "guests, cores shared by two of them, cores in part use, and what the freest node "
            "lacks.\nEach move is put in force and read back before the next; one that fails is "
            "undone and\nends it. Held guests are not moved; memory that is bound to nodes stays, "
            "and so do its\nguests' nodes.",
        .option = {{"for", "NAME|FILE", "the guest to make room for"},
                   {"dry-run", NULL, "only say what would be moved"}},
    },
    {
        .name = "hold",
        .run = vp_verb_hold,
        .words = "NAME",
        .least = 1,
        .most = 1,
        .help = "leave a running guest's drift alone for a while",
        .exit1 = "it was not done",
        .more = "--for 0s ends a hold.",
        .option = {{"for", "T", "how long: 30s, 10m, 24h (has to be given)"}},
    },
    {
        .name = "disable",
        .run = vp_verb_disable,
        .words = "REASON",
        .least = 1,
        .most = 1,
        .help = "off switch: hooks and enforcer change nothing until `enable`",
        .exit1 = "it was not done",
        .more = "Guests stay where they are. Every `status` starts with REASON.",
        .option = {{"for", "T", "how long: 30s, 10m, 24h; until `enable` is the default"}},
    },
    {
        .name = "enable",
        .run = vp_verb_enable,
        .words = "",
        .help = "end `disable`",
        .exit1 = "it was not done",
    },
    {
        .name = "metrics",
        .run = vp_verb_metrics,
        .words = "",
        .help = "counts and times for Prometheus: guests, drift, repairs, bookings, hook, enforcer",
        .more = "The text exposition format; [host] metrics-file has the same for node_exporter.\n"
                "With --http stdin is a connection: one GET /metrics is answered on it. Nothing\n"
                "listens unless virtpin-metrics.socket is enabled.",
        .option = {{"http", NULL, "answer one HTTP request on stdin (virtpin-metrics.socket)"}},
    },
    {
        .name = "doctor",
        .run = vp_verb_doctor,
        .words = "",
        .help = "what stands in the way on this host, the worst first, with exact remedies",
        .exit1 = "there is an error among the findings",
        .more = "Nothing is changed, and libvirt is not called: it answers while its daemon hangs.",
    },
    {
        .name = "topology",
        .run = vp_verb_topology,
        .words = "",
        .help = "the host's shape: nodes, L3s, cores, CPUs",
    },
    {
        .name = "simulate",
        .run = vp_verb_simulate,
        .words = "",
        .help = "place guests on a host in memory: JSON lines on stdin, answers on stdout",
        .more =
            "One object a line, one answer a line, in order:\n"
            "  {\"op\":\"start\",\"id\":\"a\",\"vcpus\":8,\"policy\":{\"numa\":\"single\"}}\n"
            "  {\"op\":\"stop\",\"id\":\"a\"}\n"
            "  {\"op\":\"cpu-offline\",\"cpu\":3} and cpu-online\n"
            "It goes on after a bad line and ends with 2 then. The host has no guests at first;\n"
            "with --topology it is another than this one.",
        .option = {{"no-micros", NULL, "without the time of each plan: same input, same output"}},
    },
};
const size_t vp_verb_count = sizeof(vp_verbs) / sizeof(vp_verbs[0]);
