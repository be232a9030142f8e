# SPDX-License-Identifier: MIT
#
# The page of an interface out of its .varlink file: what stands in front of a declaration explains it.
#
#   awk -v date='November 21, 2026' -f escape.awk -f interface.awk FILE.varlink

BEGIN {
        title["type"] = "TYPES"
        title["method"] = "METHODS"
        title["error"] = "ERROR REPLIES"
}

depth == 0 && /^#/ { comment = comment ($0 == "#" ? ".Pp" : prose(substr($0, 3))) "\n"; next }
depth == 0 && !NF { next }
/^interface / {
        name = $2
        description = comment
        comment = ""
        next
}
{
        if (depth == 0) {
                kind = $1
                word = $2
                sub(/\(.*/, "", word)
                if (!(kind in seen)) {
                        seen[kind] = 1
                        body = body ".Sh " title[kind] "\n"
                }
                body = body ".Ss " word "\n" comment ".Bd -literal -offset indent\n"
                comment = ""
        }
        body = body escaped($0) "\n"
        code = $0
        sub(/#.*/, "", code)
        goes_on = code ~ /->[ ]*$/
        depth += gsub(/\(/, "", code) - gsub(/\)/, "", code)
        if (depth == 0 && !goes_on)
                body = body ".Ed\n"
}

END {
        print ".\\\" SPDX-License-Identifier: MIT"
        print ".Dd " date
        print ".Dt " toupper(name) " 7"
        print ".Os berth"
        print ".Sh NAME"
        print ".Nm " name
        print ".Nd " (name ~ /lease$/ ? "take leases of test namespaces and DDL slots" : "look at berthd and operate it")
        print ".Sh DESCRIPTION"
        print "A Varlink interface of"
        print ".Xr berthd 8 :"
        print "each message is a JSON object and a NUL byte, on the Unix stream socket that"
        print ".Xr berth 1"
        print "looks for."
        print "The daemon itself shows this text to"
        print ".Ic varlinkctl introspect ."
        print ".Pp"
        printf "%s", description
        printf "%s", body
        print ".Sh SEE ALSO"
        print ".Xr berth 1 ,"
        print ".Xr libberth 3 ,"
        print ".Xr " (name ~ /lease$/ ? "io.berth.manage" : "io.berth.lease") " 7 ,"
        print ".Xr berthd 8"
}
