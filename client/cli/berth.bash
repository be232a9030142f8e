# bash completion for berth(1)                                             -*- shell-script -*-
# SPDX-License-Identifier: MIT
# The words come from berth itself, namespaces from the daemon if it answers.

_berth()
{
        local current=${COMP_WORDS[COMP_CWORD]} verb= i words=
        COMPREPLY=()
        for ((i = 1; i < COMP_CWORD; i++)); do
                case ${COMP_WORDS[i]} in
                --socket | --color) i=$((i + 1)) ;;
                -*) ;;
                *)
                        verb=${COMP_WORDS[i]}
                        break
                        ;;
                esac
        done
        case $verb in
        run | slot)
                # behind the first word that is no option it is the command's own
                for ((i = i + 1; i < COMP_CWORD; i++)); do
                        case ${COMP_WORDS[i]} in
                        --)
                                _command_offset $((i + 1))
                                return
                                ;;
                        -w | --wait | --namespace | --label | --worker | --database | --socket | --color) i=$((i + 1)) ;;
                        -*) ;;
                        *)
                                _command_offset "$i"
                                return
                                ;;
                        esac
                done
                ;;
        esac
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        --socket | --config)
                COMPREPLY=($(compgen -f -- "$current"))
                return
                ;;
        --color)
                COMPREPLY=($(compgen -W "auto always never" -- "$current"))
                return
                ;;
        esac
        case $verb:$current in
        :*) words=$(berth __words 2>/dev/null) ;;
        help:*) words=$(berth __words 2>/dev/null) ;;
        *:-*) words=$(berth __words "$verb" 2>/dev/null) ;;
        status:* | revoke:* | keep:* | history:* | explain:*)
                words=$(berth list 2>/dev/null | awk 'NR > 1 { print $1 }')
                ;;
        report:*) words=$(berth report --last 20 2>/dev/null | awk 'NR > 1 { print $2 }') ;;
        run:* | slot:*)
                COMPREPLY=($(compgen -c -- "$current"))
                return
                ;;
        esac
        COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _berth berth
