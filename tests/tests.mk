# Tests, demo, lint and sanitizer builds.
# `make check` runs all parts of tests/run, `make unit` and so on one.
# Unit tests: each tests/unit/test_NAME.c is a program of its own.
# Fuzz targets: each tests/fuzz/fuzz_NAME.c exports LLVMFuzzerTestOneInput.

UNIT := $(patsubst tests/unit/test_%.c,$(BUILD)/tests/unit/test_%,$(wildcard tests/unit/test_*.c))
UNIT_LIBS := $(shell pkg-config --libs check 2>/dev/null)
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/fuzz/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(ARCHIVES) $(UNIT_LIBS) $(LIBS_FULL)

# The launcher with its fixed paths below the directory that the test works in.
$(BUILD)/tests/unit/launcher: $(LAUNCHER) hook/launchlog.h hook/protocol.h host/journal.h
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(call launcher,-DVP_LAUNCHER_FILE='"launcher"' -DVP_LOG_SOCKET='"log"' \
	    -DVP_JOURNAL_SOCKET='"journal"')
$(BUILD)/tests/unit/test_launcher: | $(BUILD)/tests/unit/launcher
$(BUILD)/tests/unit/test_worker: | $(BUILD)/virtpin-hook-worker $(BUILD)/virtpin-hook-survey
$(BUILD)/tests/unit/test_hostile: | $(BUILD)/virtpin $(BUILD)/virtpin-hook-worker $(BUILD)/virtpin-hook-survey

# The command line without its main.
$(BUILD)/libctl.a: $(filter-out $(BUILD)/ctl/main.o,$(CTL_OBJ))
$(addprefix $(BUILD)/tests/unit/test_,ctl defragmoves doctor driftfilter metrics simulate): $(BUILD)/tests/unit/test_%: \
    $(BUILD)/tests/unit/test_%.o $(BUILD)/libctl.a $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libctl.a $(ARCHIVES) $(UNIT_LIBS) $(LIBS_FULL)

.SECONDARY: $(UNIT:%=%.o) $(FUZZ:%=%.o)

RIG_PROGRAMS := $(addprefix $(BUILD)/tests/rig/,logsink meddle)
$(RIG_PROGRAMS): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $<

.PHONY: bench-scale unit unit-programs fuzz fuzz-long fuzzers fuzz-programs rig check demo bench lint asan
unit-programs: $(UNIT)
unit: unit-programs
	@tests/run-unit $(BUILD)

# Coverage instrumentation in everything that a target reaches, so a build of its own.
FUZZ_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=undefined
fuzzers:
	@+$(MAKE) BUILD=$(BUILD)/fuzz CC=clang CFLAGS='$(FUZZ_CFLAGS)' LDFLAGS= fuzz-programs
fuzz-programs: $(FUZZ)
$(BUILD)/tests/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) -Wl,--as-needed -fsanitize=fuzzer,address,undefined -o $@ $< $(ARCHIVES) $(LIBS_FULL)
fuzz:
	@BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run-fuzz
# XML x policy for MINUTES (60); FUZZ_TARGETS: others, or more.
MINUTES ?= 60
FUZZ_TARGETS ?= rewrite
fuzz-long:
	@BUILD=$(BUILD) FUZZ_SECONDS=$$(($(MINUTES) * 60)) FUZZ_TIMEOUT=600 \
	    tests/run-fuzz $(FUZZ_TARGETS)

rig: all $(RIG_PROGRAMS)
	@BUILD=$(BUILD) tests/run-rig

check: all unit-programs $(RIG_PROGRAMS)
	@BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/run

demo: all $(RIG_PROGRAMS)
	@BUILD=$(BUILD) tests/rig/demo.sh

# Benchmarks: each tests/bench/NAME.c is a program; bench_scale has parts of its own.
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/*.c))
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(ARCHIVES) $(LIBS_FULL) -lm
.PRECIOUS: $(BUILD)/tests/bench/%.o
$(BUILD)/tests/bench/bench_scale: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/bench/scale/*.c))
bench: all $(BENCH) $(RIG_PROGRAMS)
	@BUILD=$(BUILD) tests/bench/run
# The enforcer beside GUESTS stand-ins of 16 threads each: minutes, and a machine of its own is best.
GUESTS ?= 1000
bench-scale: all $(BUILD)/tests/bench/bench_scale
	@$(abspath $(BUILD))/tests/bench/bench_scale $(abspath $(BUILD))/virtpind \
	    $(abspath $(BUILD))/virtpin $(GUESTS) $(GUESTS) 60
	@$(abspath $(BUILD))/tests/bench/bench_scale $(abspath $(BUILD))/virtpind \
	    $(abspath $(BUILD))/virtpin 200 0 0 120
# What a thread costs the enforcer with 4,000 to 30,000 of them, and with 100,000 that are files.
$(BUILD)/tests/bench/madeup.so: tests/bench/madeup/preload.c tests/bench/madeup/ids.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP,$(ALL_CFLAGS)) -fPIC -shared -o $@ $< -ldl
.PHONY: bench-linear
bench-linear: all $(BUILD)/tests/bench/bench_scale $(BUILD)/tests/bench/madeup.so
	@$(abspath $(BUILD))/tests/bench/bench_scale $(abspath $(BUILD))/virtpind \
	    $(abspath $(BUILD))/virtpin sizes 250 500 1000 1875
	@$(abspath $(BUILD))/tests/bench/bench_scale $(abspath $(BUILD))/virtpind \
	    $(abspath $(BUILD))/virtpin madeup $(abspath $(BUILD))/tests/bench/madeup.so \
	    250 1000 1875 6250
.PHONY: bench-jitter
bench-jitter: all $(RIG_PROGRAMS)
	@BUILD=$(BUILD) tests/bench/jitter.sh

# The unit tests under AddressSanitizer and UBSan; BUILD=build-asan also serves the rig.
ASAN_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
               -fno-sanitize-recover=undefined
asan:
	@+$(MAKE) BUILD=build-asan CFLAGS='$(ASAN_CFLAGS)' LDFLAGS=-fsanitize=address,undefined \
	    all unit

lint:
	@BUILD=$(BUILD) tests/run-lint
.PHONY: print-flags
print-flags:
	$(info $(filter-out -MMD -MP,$(ALL_CFLAGS)))
	@:
