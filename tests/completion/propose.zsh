#!/usr/bin/env zsh
# SPDX-License-Identifier: GPL-2.0-or-later
# What zsh would propose for each of the command lines LINE, behind a line "== LINE"; for tests.
# usage: propose.zsh SCRATCH LINE...       (a directory, which the caller removes)
emulate zsh
zmodload zsh/zpty || exit 3
here=${0:A:h:h:h}/packaging/completion
scratch=$1
shift
cat >$scratch/setup <<SETUP
PROMPT= fpath=($here \$fpath)
autoload -Uz compinit
compinit -D
bindkey '^M' undefined
bindkey '^I' complete-word
zstyle ':completion:*' insert-tab false
compadd() {
    if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)* ]]; then
        typeset -a hits
        builtin compadd -A hits "\$@"
        print -rl -- \$hits >>$scratch/hits
    fi
    builtin compadd "\$@"
}
comppostfuncs=(all_said)
all_said() { : >$scratch/done }
zle-line-init() { : >$scratch/ready }
zle -N zle-line-init
SETUP

# Until the file is there, at most ten seconds.
await() {
    repeat 200; do
        [[ -e $1 ]] && return
        zpty -rt z output 2>/dev/null
        sleep 0.05
    done
    print -u2 "propose.zsh: zsh did not answer"
    exit 3
}

for line; do
    rm -f $scratch/(hits|done|ready)(N)
    zpty z zsh -f -i
    zpty -w z "source $scratch/setup"
    await $scratch/ready
    zpty -wn z "$line"$'\t'
    await $scratch/done
    zpty -d z
    print -r -- "== $line"
    [[ ! -e $scratch/hits ]] || sort -u $scratch/hits
done
exit 0
