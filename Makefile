# virtpin: `make` builds build/virtpin, build/virtpind, build/virtpin-hook.
# Targets: all, install, uninstall, check (unit, fuzz, rig, lab, faults, soak), demo, bench, bench-scale,
#   bench-linear, lint, asan, clean, fuzz-long MINUTES=60.
# Variables: PREFIX, DESTDIR, CC, CFLAGS, BUILD (the build directory), FUZZ_SECONDS, V=1.

PREFIX      ?= /usr
SBINDIR     ?= $(PREFIX)/sbin
BINDIR      ?= $(PREFIX)/bin
LIBEXECDIR  ?= $(PREFIX)/libexec/virtpin
DATADIR     ?= $(PREFIX)/share/virtpin
MANDIR      ?= $(PREFIX)/share/man
SYSCONFDIR  ?= /etc
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
UNITDIR     ?= $(PREFIX)/lib/systemd/system
HOOKDIR     ?= $(SYSCONFDIR)/libvirt/hooks
BUILD       ?= build
# One name for it: the dependencies of objects are written down by path.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
FUZZ_SECONDS ?= 60

CC          ?= gcc
CFLAGS      ?= -O2 -g
WARNINGS    := -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes \
               -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wundef
# a tag's name, else the release being worked on and the commit; no git: the release
VERSION     := $(shell git describe --tags --dirty 2>/dev/null || \
                 { commit=$$(git describe --always --dirty 2>/dev/null) && echo 0.1.0+$$commit; } || \
                 echo 0.1.0)

PKGS        := libxml-2.0 sqlite3 hwloc inih json-c libsystemd libmd
PKG_CFLAGS  := $(shell pkg-config --cflags $(PKGS) libvirt libcgroup 2>/dev/null)
DEFINES     := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVP_LIBEXECDIR='"$(LIBEXECDIR)"' \
               -DVP_SYSCONFDIR='"$(SYSCONFDIR)"' -DVP_PREFIX='"$(PREFIX)"' -DVP_DATADIR='"$(DATADIR)"'
ALL_CFLAGS  := -std=gnu11 $(CFLAGS) $(WARNINGS) $(DEFINES) -I. -I$(BUILD) $(PKG_CFLAGS) -MMD -MP

# Tracing in the enforcer: libbpf and a compiler for the kernel's side. Without them, or with
# WITH_BPF=no, the sweep finds what tracing would.
BPF_CLANG   ?= clang
ifndef WITH_BPF
WITH_BPF    := $(shell pkg-config --atleast-version=0.8 libbpf 2>/dev/null && \
                 $(BPF_CLANG) --print-targets 2>/dev/null | grep -qw bpf && echo yes || echo no)
endif

LIBS_WORKER := -lxml2 -lsqlite3
LIBS_SURVEY := $(LIBS_WORKER) -lhwloc -linih -lmd
LIBS_FULL   := $(LIBS_SURVEY) -lvirt -lcgroup -ljson-c -lsystemd -lpthread
LDFLAGS     ?=
ALL_LDFLAGS := -Wl,--as-needed $(LDFLAGS)

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = @printf '  %-7s %s\n' $(1) $(2)

DECIDE_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(wildcard decide/*.c))
HOST_OBJ     := $(patsubst %.c,$(BUILD)/%.o,$(wildcard host/*.c))
LAUNCHER     := hook/launcher.c hook/launchlog.c
HOOK_OBJ     := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(LAUNCHER) hook/known.c hook/survey.c,$(wildcard hook/*.c)))
WORKER_OBJ   := $(HOOK_OBJ) $(BUILD)/hook/known.o
SURVEY_OBJ   := $(HOOK_OBJ) $(BUILD)/hook/survey.o
ENFORCER_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard enforcer/*.c))
CTL_OBJ      := $(patsubst %.c,$(BUILD)/%.o,$(wildcard ctl/*.c))
ARCHIVES     := $(BUILD)/libhost.a $(BUILD)/libdecide.a

.PHONY: all clean install uninstall
all: $(BUILD)/virtpin $(BUILD)/virtpind $(BUILD)/virtpin-hook $(BUILD)/virtpin-hook-worker \
     $(BUILD)/virtpin-hook-survey

$(BUILD)/version.h: FORCE
	@mkdir -p $(BUILD)
	@printf '#define VP_VERSION "%s"\n' '$(VERSION)' >$@.new; \
	 cmp -s $@.new $@ 2>/dev/null && rm -f $@.new || mv $@.new $@
.PHONY: FORCE
FORCE:

$(BUILD)/%.o: %.c | $(BUILD)/version.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/libdecide.a: $(DECIDE_OBJ)
$(BUILD)/libhost.a: $(HOST_OBJ)
$(BUILD)/lib%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/virtpin: $(CTL_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(CTL_OBJ) $(ARCHIVES) $(LIBS_FULL)

ifeq ($(WITH_BPF),yes)
LIBS_ENFORCER := $(LIBS_FULL) -lbpf
$(BUILD)/enforcer/trace.o: ALL_CFLAGS += -DVP_TRACE_OBJECT='"$(BUILD)/enforcer/trace.bpf.o"'
$(BUILD)/enforcer/trace.o: $(BUILD)/enforcer/trace.bpf.o
else
LIBS_ENFORCER := $(LIBS_FULL)
endif
# Where Debian has the kernel's headers of this machine.
BPF_CFLAGS  := -target bpf -O2 -g -Wall -Wextra -Werror -I. \
               -I/usr/include/$(subst -pc-,-,$(shell $(CC) -dumpmachine))
$(BUILD)/enforcer/trace.bpf.o: enforcer/bpf/trace.bpf.c enforcer/traceevent.h
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(BPF_CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(BUILD)/virtpind: $(ENFORCER_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(ENFORCER_OBJ) $(ARCHIVES) $(LIBS_ENFORCER)

$(BUILD)/virtpin-hook-worker: $(WORKER_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(WORKER_OBJ) $(ARCHIVES) $(LIBS_WORKER)

$(BUILD)/virtpin-hook-survey: $(SURVEY_OBJ) $(ARCHIVES)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(SURVEY_OBJ) $(ARCHIVES) $(LIBS_SURVEY)

# Static, so that no missing library can make it fail; musl where it is installed, because glibc's
# start-up asks the processor for its features, which on a virtual machine costs 0.3 ms. Sanitizers'
# run-time would be a library again.
LAUNCHER_CC ?= $(shell command -v musl-gcc || echo '$(CC)')
launcher = $(LAUNCHER_CC) $(filter-out -fsanitize=% -fno-sanitize% -MMD -MP $(PKG_CFLAGS),$(ALL_CFLAGS)) \
           $(filter-out -fsanitize=%,$(LDFLAGS)) $(1) -static -o $@ $(LAUNCHER)
$(BUILD)/virtpin-hook: $(LAUNCHER) hook/launchlog.h hook/protocol.h host/journal.h | $(BUILD)/version.h
	$(call say,LD,$@)
	$(Q)$(call launcher)

# With another PREFIX the hook is a copy: libvirtd's AppArmor profile denies a link that ends
# outside /usr/sbin. An existing virtpin.conf is the operator's and stays.
D := $(DESTDIR)
UNITS    := $(wildcard systemd/*.service systemd/*.socket systemd/*.timer systemd/*.path)
TMPFILES := $(wildcard systemd/*.conf)
CATALOGS := $(wildcard systemd/*.catalog)
EXAMPLES := $(wildcard conf/examples/*.conf)
MANPAGES := $(wildcard man/*.[1-8])
install: all
	$(Q)install -d $(D)$(SBINDIR) $(D)$(BINDIR) $(D)$(LIBEXECDIR) $(D)$(DATADIR)/examples \
	    $(D)$(HOOKDIR)/qemu.d $(D)$(SYSCONFDIR)/virtpin/policy.d $(D)$(PREFIX)/lib/virtpin/policy.d
	$(Q)install -m 755 $(BUILD)/virtpin-hook $(BUILD)/virtpind $(D)$(SBINDIR)/
	$(Q)install -m 755 $(BUILD)/virtpin $(D)$(BINDIR)/
	$(Q)install -m 755 $(BUILD)/virtpin-hook-worker $(BUILD)/virtpin-hook-survey $(D)$(LIBEXECDIR)/
ifeq ($(PREFIX),/usr)
	$(Q)ln -sf $(SBINDIR)/virtpin-hook $(D)$(HOOKDIR)/qemu.d/50-virtpin
else
	$(Q)install -m 755 $(BUILD)/virtpin-hook $(D)$(HOOKDIR)/qemu.d/50-virtpin
endif
	$(Q)[ -e $(D)$(SYSCONFDIR)/virtpin/virtpin.conf ] || [ ! -e conf/virtpin.conf ] || \
	    install -m 644 conf/virtpin.conf $(D)$(SYSCONFDIR)/virtpin/
	$(Q)for f in $(EXAMPLES); do install -m 644 $$f $(D)$(DATADIR)/examples/ || exit 1; done
	$(Q)for f in $(UNITS); do install -d $(D)$(UNITDIR) && \
	    sed 's,/usr/sbin/virtpin,$(SBINDIR)/virtpin,g; s,/usr/bin/virtpin,$(BINDIR)/virtpin,g' \
	    $$f >$(D)$(UNITDIR)/$${f##*/} && chmod 644 $(D)$(UNITDIR)/$${f##*/} || exit 1; done
	$(Q)for f in $(TMPFILES); do \
	    install -D -m 644 $$f $(D)$(PREFIX)/lib/tmpfiles.d/$${f##*/} || exit 1; done
	$(Q)for f in $(CATALOGS); do \
	    install -D -m 644 $$f $(D)$(PREFIX)/lib/systemd/catalog/$${f##*/} || exit 1; done
	$(Q)install -D -m 644 packaging/completion/virtpin $(D)$(COMPLETIONDIR)/virtpin
	$(Q)for f in $(MANPAGES); do \
	    install -D -m 644 $$f $(D)$(MANDIR)/man$${f##*.}/$${f##*/} || exit 1; done

# Policies and a changed virtpin.conf are the operator's and stay.
uninstall:
	$(Q)rm -f $(D)$(HOOKDIR)/qemu.d/50-virtpin $(D)$(SBINDIR)/virtpin-hook $(D)$(SBINDIR)/virtpind \
	    $(D)$(BINDIR)/virtpin $(D)$(LIBEXECDIR)/virtpin-hook-worker $(D)$(LIBEXECDIR)/virtpin-hook-survey \
	    $(D)$(COMPLETIONDIR)/virtpin \
	    $(addprefix $(D)$(DATADIR)/,$(EXAMPLES:conf/%=%)) \
	    $(addprefix $(D)$(UNITDIR)/,$(notdir $(UNITS))) \
	    $(addprefix $(D)$(PREFIX)/lib/tmpfiles.d/,$(notdir $(TMPFILES))) \
	    $(addprefix $(D)$(PREFIX)/lib/systemd/catalog/,$(notdir $(CATALOGS))) \
	    $(foreach m,$(MANPAGES),$(D)$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(notdir $(m)))
	$(Q)cmp -s conf/virtpin.conf $(D)$(SYSCONFDIR)/virtpin/virtpin.conf && \
	    rm -f $(D)$(SYSCONFDIR)/virtpin/virtpin.conf || :
	$(Q)rmdir $(D)$(LIBEXECDIR) $(D)$(DATADIR)/examples $(D)$(DATADIR) \
	    $(D)$(PREFIX)/lib/virtpin/policy.d $(D)$(PREFIX)/lib/virtpin \
	    $(D)$(SYSCONFDIR)/virtpin/policy.d $(D)$(SYSCONFDIR)/virtpin 2>/dev/null || :

clean:
	rm -rf $(BUILD)

include tests/tests.mk
include tests/lab/lab.mk
include tests/faults/faults.mk
include packaging/packages.mk

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/tests/*/*.d)
