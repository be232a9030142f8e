# SPDX-License-Identifier: MIT
#
# Fills the tables of a page from what the programs say of themselves.
#
#   awk -f escape.awk -f fill.awk HELP PAGE.in
#
# A line @COMMANDS@ becomes the commands of 'berth --help', @OPTIONS@ the options of 'berthd --help-config'.

FNR == 1 { file++ }

file == 1 && /^Commands:/ { in_commands = 1; next }
file == 1 && !NF { in_commands = 0; help = "" }
file == 1 && in_commands {
        name = $1
        sub(/^ *[^ ]+ +/, "")
        commands = commands ".It Xr berth\\-" name " 1\n" escaped(toupper(substr($0, 1, 1)) substr($0, 2)) ".\n"
}
file == 1 && /^\[/ { in_databases = $0 ~ /databases/; help = "" }
file == 1 && /^; / { help = help (help ? "\n" : "") prose(substr($0, 3)) }
file == 1 && /^;[a-z_]+ =/ && !in_databases {
        name = substr($1, 2)
        sub(/^[^=]*= ?/, "")
        options = options ".It Ic " name "\n" help "\nDefault:" ($0 == "" ? " empty.\n" : "\n.Ql " escaped($0) " .\n")
        help = ""
}
file == 1 { next }

/^@COMMANDS@$/ { printf "%s", commands; next }
/^@OPTIONS@$/ { printf "%s", options; next }
{
        gsub(/@DATE@/, date)
        print
}
