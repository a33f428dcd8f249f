# Manual pages made from the program's tables, and packages.

$(BUILD)/mkman: $(BUILD)/packaging/mkman.o $(BUILD)/packaging/mantable.o $(BUILD)/libdecide.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_WORKER)

# The committed pages have the tables of keys in them; this writes them anew.
TABLED := man/virtpin.conf.5 man/virtpin-policy.5
.PHONY: manual
manual: $(BUILD)/mkman
	$(Q)for f in $(TABLED); do \
	    $(BUILD)/mkman $$f >$(BUILD)/page.new && { cmp -s $(BUILD)/page.new $$f || \
	    cp $(BUILD)/page.new $$f; } || exit 1; done; rm -f $(BUILD)/page.new

$(BUILD)/tests/unit/test_manual: $(BUILD)/tests/unit/test_manual.o \
    $(BUILD)/packaging/mantable.o $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS) $(LIBS_FULL)
