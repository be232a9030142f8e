# SPDX-License-Identifier: MIT
#
# berth-VERB(1) out of two sources: what 'berth VERB --help' prints, from the table of verbs, gives the synopsis, the
# options and the examples; berth-VERB.mdoc, written by hand, gives the description (up to its first .Sh) and the
# sections after the options.
#
#   awk -v verb=run -v date='November 21, 2026' -f escape.awk -f verb.awk HELP BODY

FNR == 1 { file++ }

file == 1 && /^[A-Z][a-z]+:( |$)/ { part = $1 }
file == 1 && /^Usage: / { n_usage = split($0, usage, " "); next }
file == 1 && part == "Usage:" && NF { summary = tolower(substr($0, 1, 1)) substr($0, 2, length($0) - 2); next }
file == 1 && part == "Examples:" && /^  / { examples = examples escaped(substr($0, 3)) "\n"; next }
file == 1 && part == "Options:" && /^  / { read_option(); next }
file == 1 && part == "Options:" && !NF { part = "" }
file == 1 { next }

# the body
/^\.\\"/ { next }
/^\.Sh / { in_sections = 1 }
/^\.Sh SEE ALSO/ { in_see_also = 1 }
in_see_also { see_also = see_also $0 "\n"; next }
in_sections { sections = sections $0 "\n"; next }
{ description = description $0 "\n" }

# "  -n, --no-wait          do not wait", "      --label TEXT       what", and the rest of a help that is too wide.
function read_option(        line, letter, words, n, at) {
        line = substr($0, 3)
        if (line ~ /^    --/)
                line = substr(line, 5)
        if (line !~ /^-/) {
                option_help[n_options] = option_help[n_options] " " trimmed(line)
                return
        }
        n_options++
        at = match(line, /   *[^ -]/) ? RSTART : length(line) + 1
        option_help[n_options] = trimmed(substr(line, at))
        n = split(substr(line, 1, at - 1), words, /[ ,]+/)
        for (at = 1; at <= n; at++) {
                if (words[at] ~ /^--/)
                        option_long[n_options] = substr(words[at], 3)
                else if (words[at] ~ /^-/)
                        option_letter[n_options] = substr(words[at], 2)
                else if (words[at] != "")
                        option_argument[n_options] = words[at]
        }
}

function trimmed(text) {
        gsub(/^ +| +$/, "", text)
        return text
}

function flags(i, separator,        argument) {
        argument = option_argument[i] ? " Ar " escaped(option_argument[i]) : ""
        if (option_letter[i])
                return "Fl " option_letter[i] argument separator "Fl \\-" escaped(option_long[i]) argument
        return "Fl \\-" escaped(option_long[i]) argument
}

# An option of every command stands in berth(1).
function is_common(i) {
        return option_long[i] ~ /^(json|socket|color|help|version)$/
}

# "[--] COMMAND [ARGUMENT]..." as one line of macros.
function operands(        i, word, line, closes) {
        for (i = 5; i <= n_usage; i++) {
                word = usage[i]
                if (word ~ /^\[/) {
                        line = line " Oo"
                        word = substr(word, 2)
                }
                closes = ""
                if (match(word, /\](\.\.\.)?$/)) {
                        closes = RLENGTH > 1 ? " Oc ..." : " Oc"
                        word = substr(word, 1, RSTART - 1)
                }
                gsub(/\|/, " | ", word)
                if (word == "--")
                        word = "Fl Fl"
                else if (word ~ /^--/)
                        word = "Fl \\-" escaped(substr(word, 3))
                else if (word !~ /^ *\| *$/)
                        word = "Ar " escaped(word)
                line = line " " word closes
        }
        return "." substr(line, 2)
}

function print_synopsis(        i) {
        print ".Nm berth " verb
        for (i = 1; i <= n_options; i++)
                if (!is_common(i) || option_long[i] == "json")
                        print ".Op " flags(i, " | ")
        if (n_usage >= 5)
                print operands()
}

END {
        print ".\\\" SPDX-License-Identifier: MIT"
        print ".Dd " date
        print ".Dt BERTH\\-" toupper(verb) " 1"
        print ".Os berth"
        print ".Sh NAME"
        print ".Nm berth\\-" verb
        print ".Nd " escaped(summary)
        print ".Sh SYNOPSIS"
        print_synopsis()
        print ".Sh DESCRIPTION"
        printf "%s", description
        print ".Pp"
        print "The options are:"
        print ".Bl -tag -width indent"
        for (i = 1; i <= n_options; i++) {
                if (is_common(i) && option_long[i] != "json")
                        continue
                print ".It " flags(i, " , ")
                print prose(toupper(substr(option_help[i], 1, 1)) substr(option_help[i], 2)) "."
        }
        print ".El"
        print ".Pp"
        print "The options of every command are in"
        print ".Xr berth 1 ."
        printf "%s", sections
        print ".Sh EXAMPLES"
        print ".Bd -literal -offset indent"
        printf "%s", examples
        print ".Ed"
        if (see_also)
                printf "%s", see_also
        else
                print ".Sh SEE ALSO\n.Xr berth 1"
}
