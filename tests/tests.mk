# Unit tests: each tests/unit/test_NAME.c is a program of its own.
# Fuzz targets: each tests/fuzz/fuzz_NAME.c exports LLVMFuzzerTestOneInput.

UNIT := $(patsubst tests/unit/test_%.c,$(BUILD)/tests/unit/test_%,$(wildcard tests/unit/test_*.c))
UNIT_LIBS := $(shell pkg-config --libs check 2>/dev/null)
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/fuzz/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(ARCHIVES) $(UNIT_LIBS) $(LIBS_FULL)

.PRECIOUS: $(BUILD)/tests/unit/test_%.o

.PHONY: unit fuzz
unit: $(UNIT)
	@tests/run-unit $(BUILD)
