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
    {"policy check", vp_verb_policy_check, "[DIR]", 0, 1,
     "check the policy files: every error with file and line", "there is an error",
     "With DIR, DIR/*.conf is checked instead of the files in use.", {{0}}},
    {"policy show", vp_verb_policy_show, "", 0, 0,
     "print the policies as they are understood; parses again to the same", "there is an error",
     NULL, {{0}}},
    {"explain", vp_verb_explain, "[NAME]", 0, 1,
     "which policy a guest has and why, what it changes, where the guest would go",
     "the guest would be refused", NULL,
     {{"xml", "FILE", "the domain XML of FILE (- is stdin) instead of the guest NAME"}, {0}}},
    {"rewrite", vp_verb_rewrite, "", 0, 0,
     "filter: domain XML on stdin, the same as the policy wants it on stdout",
     "the policy refuses the guest; stdout is empty then",
     "Nothing is booked. Where there is nothing to do the input's bytes come out again.\n"
     "Definitions get pins only under placement = fixed; migrate and restore always.",
     {{"op", "define|migrate|restore", "what the XML is for; define is the default"},
      {"strip", NULL, "take virtpin's mark and, where it is, the pins out instead"},
      {0}}},
    {"plan", vp_verb_plan, "", 0, 0, "what would change on this host now; changes nothing",
     "something would change", NULL, {{0}}},
    {"status", vp_verb_status, "[NAME]", 0, 1,
     "guests, CPUs, what is in force; with NAME every thread of that guest",
     "there is open or contested drift, a dedicated CPU is not exclusive, or the enforcer is down",
     "Asks the ledger, /proc, cgroups and libvirt's status files, never libvirt itself.", {{0}}},
    {"drift", vp_verb_drift, "", 0, 0,
     "differences: what, where, since when, by whom, repaired or contested",
     "an open or contested one is listed",
     "T is a time back from now (10m, 24h) or a date (2026-01-31, 2026-01-31T12:00:00Z).",
     {{"follow", NULL, "go on and print each record when it comes or changes"},
      {"since", "T", "only what was last seen after T"},
      {0}}},
    {"reconcile", vp_verb_reconcile, "[NAME]", 0, 1,
     "one pass of adopting and repairing, whether the enforcer is up or not",
     "something still differs", NULL, {{0}}},
    {"start", vp_verb_start, "NAME|FILE", 1, 1,
     "rewrite to the policy and start: a defined guest, or a transient one from FILE",
     "the guest was not started",
     "FILE (a word with a slash or a file that is there) is started as a transient guest in\n"
     "this session of libvirt; its definition is nowhere but in the file.",
     {{"paused", NULL, "leave the vCPUs stopped"},
      {"autodestroy", NULL, "end the guest when virtpin's connection ends (with --console)"},
      {"console", NULL, "attach to the guest's console by virsh"},
      {0}}},
    {"revert", vp_verb_revert, "NAME", 1, 1,
     "put back what virtpin replaced in a guest's definition", "nothing was put back",
     "The enforcer leaves that definition alone until somebody changes it or its policy changes.\n"
     "A running guest goes on as it is.",
     {{0}}},
    {"release", vp_verb_release, "NAME", 1, 1,
     "take virtpin's pins and mark out of libvirt, before a move to a host without virtpin",
     "it was not done",
     "The mark and the pins leave the definition; a running guest's pins in libvirt are opened to\n"
     "all online CPUs, because libvirt cannot drop a live pin. Its threads stay where they are,\n"
     "its CPUs stay booked, and virtpin leaves the guest alone for the time of --for: it neither\n"
     "repairs it nor tells libvirt its pins. Move it within that time; `virtpin hold NAME --for 0s`\n"
     "takes it back at once. To keep it unmanaged for good, give it a policy with mode = off.",
     {{"for", "T", "how long it is left alone: 30s, 10m, 24h; 1h is the default"}, {0}}},
    {"hold", vp_verb_hold, "NAME", 1, 1,
     "leave a running guest's drift alone for a while", "it was not done",
     "--for 0s ends a hold.", {{"for", "T", "how long: 30s, 10m, 24h (has to be given)"}, {0}}},
    {"disable", vp_verb_disable, "REASON", 1, 1,
     "off switch: hooks and enforcer change nothing until `enable`", "it was not done",
     "Guests stay where they are. Every `status` starts with REASON.",
     {{"for", "T", "how long: 30s, 10m, 24h; until `enable` is the default"}, {0}}},
    {"enable", vp_verb_enable, "", 0, 0, "end `disable`", "it was not done", NULL, {{0}}},
    {"topology", vp_verb_topology, "", 0, 0, "the host's shape: nodes, L3s, cores, CPUs", NULL,
     NULL, {{0}}},
};
const size_t vp_verb_count = sizeof(vp_verbs) / sizeof(vp_verbs[0]);
