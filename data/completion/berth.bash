# SPDX-License-Identifier: MIT
# bash completion for berth: commands, options, and what the server knows of.

_berth_commands='serve ls tree show explain dump refs config add readd remove assign deassign quarantine release
    reset sriov hold unhold domain watch sim run torture bench version help'
_berth_domain='create destroy list'
_berth_config='read write'
_berth_sim='pull return vanish-after hang-reset master fail dma irq bar error counters'

# _berth_column N COMMAND...: the N-th column of what the server lists, without its title.
_berth_column()
{
    local column=$1
    shift
    command berth "$@" ${_berth_socket:+--socket "$_berth_socket"} 2>/dev/null |
        awk -v column="$column" 'NR > 1 { print $column }'
}

_berth_options()
{
    command berth "$@" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*'
}

_berth()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' group='' position=0 words='' i
    local _berth_socket=''

    # Addresses have colons, which are part of a word here.
    if declare -F _get_comp_words_by_ref >/dev/null; then
        local cword
        _get_comp_words_by_ref -n : -c current -p previous -w COMP_WORDS -i cword
        COMP_CWORD=$cword
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --socket | -s) _berth_socket=${COMP_WORDS[++i]} ;;
            -*) ;;
            domain | config | sim) [[ $command ]] && ((++position)) || group=${COMP_WORDS[i]} command=$group ;;
            *)
                if [[ ! $command ]]; then
                    command=${COMP_WORDS[i]}
                elif [[ $group == "$command" ]]; then
                    command="$group ${COMP_WORDS[i]}"
                else
                    ((++position))
                fi
                ;;
        esac
    done

    case $previous in
        --socket | -s | --machine | -m)
            compopt -o default
            return
            ;;
        --as | --guest) words=$(_berth_column 2 domain list) ;;
        --quarantine) words='block scratch off' ;;
        *)
            case $command:$position in
                :*) words=$_berth_commands ;;
                domain:*) words=$_berth_domain ;;
                config:*) words=$_berth_config ;;
                sim:*) words=$_berth_sim ;;
                'domain destroy:0' | assign:1 | deassign:1 | explain:1) words=$(_berth_column 2 domain list) ;;
                'sim fail:0')
                    words='claim config_read config_write reset reserved space_create map unmap
                        attach detach flush bar_read bar_write bind any'
                    ;;
                'sim error:1') words='correctable nonfatal fatal dpc' ;;
                dump:* | show:0 | explain:0 | refs:0 | readd:0 | remove:0 | assign:0 | deassign:0 | release:0 | quarantine:0 | \
                    reset:0 | sriov:0 | hold:0 | unhold:0 | 'config '*:0 | 'sim '*:0)
                    words=$(_berth_column 1 ls)
                    ;;
                help:*) words="$_berth_commands" ;;
            esac
            ;;
    esac
    if [[ $current == -* ]]; then
        # shellcheck disable=SC2086  # a group and its command are two words
        words=$(_berth_options $command)
    fi

    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$current"
    fi
}

complete -F _berth berth
