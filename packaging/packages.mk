# Manual pages made from the program's tables, completion, and packages.
# Targets: manual (write the pages' tables anew), deb, rpm (of the last commit, into $(BUILD)/deb and
# $(BUILD)/rpm), selinux, install-selinux, check-completion, check-packages. None of these is part of `make check`, whose unit
# tests compare the pages' tables.

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

# ---- completion for zsh and fish, which `make install` has beside bash's -------------------------

ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
.PHONY: install-completion uninstall-completion check-completion
install: install-completion
install-completion:
	$(Q)install -D -m 644 packaging/completion/_virtpin $(DESTDIR)$(ZSHDIR)/_virtpin
	$(Q)install -D -m 644 packaging/completion/virtpin.fish $(DESTDIR)$(FISHDIR)/virtpin.fish
uninstall: uninstall-completion
uninstall-completion:
	$(Q)rm -f $(DESTDIR)$(ZSHDIR)/_virtpin $(DESTDIR)$(FISHDIR)/virtpin.fish
check-completion: $(BUILD)/virtpin
	@BUILD=$(BUILD) tests/completion/run

# ---- SELinux: a module for hosts that confine libvirt's hooks ------------------------------------

SELINUXDIR ?= $(PREFIX)/share/selinux/packages
.PHONY: selinux install-selinux
selinux: $(BUILD)/selinux/virtpin.pp
$(BUILD)/selinux/virtpin.pp: packaging/selinux/virtpin.te packaging/selinux/virtpin.fc
	@mkdir -p $(@D)
	$(call say,CHECKMODULE,$@)
	$(Q)checkmodule -M -m -o $(@:.pp=.mod) $<
	$(Q)semodule_package -o $@ -m $(@:.pp=.mod) -f packaging/selinux/virtpin.fc
install-selinux: selinux
	$(Q)install -D -m 644 $(BUILD)/selinux/virtpin.pp $(DESTDIR)$(SELINUXDIR)/virtpin.pp

# ---- packages of the last commit -----------------------------------------------------------------

.PHONY: deb rpm check-packages
deb rpm:
	@BUILD=$(BUILD) packaging/build-package $@
# Builds both and looks at what is in them; not part of `make check`.
check-packages: check-completion
	@BUILD=$(BUILD) tests/packages/run
