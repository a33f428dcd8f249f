# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for virtpin(1). Verbs, their words and options are those that `virtpin --help` lists.

# The lines under a heading of --help as "LEFT<tab>HELP"; a long LEFT has its help in the next line.
function __virtpin_list --argument-names heading
    command virtpin $argv[2..] --help 2>/dev/null | awk -v heading="$heading:" '
        $0 == heading { on = 1; next }
        $0 == "" { on = 0 }
        !on { next }
        /^   / { sub(/^ +/, ""); print left "\t" $0; next }
        { sub(/^  /, ""); left = $0; sub(/  .*/, "", left); help = substr($0, length(left) + 1)
          sub(/^ +/, "", help); if (help != "") print left "\t" help }'
end

function __virtpin_word --argument-names word
    switch $word
        case '*NAME*FILE*'
            __virtpin_word NAME
            __virtpin_word FILE
        case '*NAME*'
            command virsh -r -c qemu:///system list --all --name 2>/dev/null | string match -r '.+'
        case '*FILE*' X
            __fish_complete_path (commandline -ct)
        case '*DIR*'
            __fish_complete_directories (commandline -ct)
        case '*|*'
            string split '|' -- $word
    end
end

function __virtpin_complete
    set -l verbs (__virtpin_list verbs)
    set -l options (__virtpin_list 'options of every verb')
    set -l given
    set -l verb
    set -l of_verb
    set -l wants
    for word in (commandline -opc)[2..]
        if test -n "$wants"
            set wants
        else if string match -q -- '-*' $word
            # "--config FILE": the next word is the option's
            set wants (string replace -rf -- "^$word ([^\t]+)\t.*" '$1' $options)
        else
            set -a given $word
            if test -z "$verb"
                set of_verb (string match -r -- "^$given(?: [^a-z].*)?\t.*" $verbs)
                if test -n "$of_verb"
                    set verb $given
                    set options (__virtpin_list options $verb) $options
                end
            end
        end
    end
    if test -n "$wants"
        __virtpin_word $wants
    else if string match -q -- '-*' (commandline -ct)
        string replace -r -- '^(--[a-z-]+)[^\t]*' '$1' $options
    else if test -n "$verb"
        __virtpin_word (string replace -r '\t.*' '' -- $of_verb[1])
    else
        # the next word of the verbs that begin with what is given
        set -l prefix (string join ' ' -- $given '')
        string match -- "$prefix*" $verbs | string sub -s (math (string length -- "$prefix") + 1) |
            string replace -r '^([a-z]+) [a-z]+[^\t]*\t.*' '$1' |
            string replace -r '^([a-z]+)[^\t]*' '$1' | sort -u
    end
end

complete -c virtpin -f -a '(__virtpin_complete)'
