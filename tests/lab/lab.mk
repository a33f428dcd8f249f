# The lab: a systemd host with 16 CPUs on two nodes in QEMU; docs/lab.md. Needs root.
# LAB_FLAGS: --suite trixie, --variant v1, names of scenarios; see tests/lab/run.
.PHONY: check-lab lab-shell
check-lab: all
	@BUILD=$(BUILD) tests/lab/run $(LAB_FLAGS)
lab-shell: all
	@BUILD=$(BUILD) tests/lab/run --shell $(LAB_FLAGS)
