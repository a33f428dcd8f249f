# Campaigns of injected faults: each runs for MINUTES and prints its seed.

MINUTES ?= 1
FAULTS_BUILT := all $(RIG_PROGRAMS) $(BUILD)/tests/faults/clock.so
$(BUILD)/tests/faults/clock.so: tests/faults/clock.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -std=gnu11 $(WARNINGS) -D_GNU_SOURCE -O1 -fPIC -shared -o $@ $<

.PHONY: faults soak faults-programs
faults-programs: $(FAULTS_BUILT)
faults: faults-programs
	@BUILD=$(BUILD) MINUTES=$(MINUTES) SEED=$(SEED) tests/faults/run $(FAULTS)
soak: faults-programs
	@BUILD=$(BUILD) MINUTES=$(MINUTES) SEED=$(SEED) tests/faults/soak
