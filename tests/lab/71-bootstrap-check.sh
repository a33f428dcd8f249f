#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The README's second command: the project's own tests, on a host of systemd and cgroup v2.
# lab: build
. "$(dirname "$0")/guest/lib.sh"
lab_bootstrap check
