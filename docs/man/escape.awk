# SPDX-License-Identifier: MIT
# Text of programs as mdoc(7): what roff would take for its own stays a character.

function escaped(text) {
        gsub(/\\/, "\\e", text)
        gsub(/-/, "\\-", text)
        gsub(/\^/, "\\(ha", text)
        gsub(/~/, "\\(ti", text)
        gsub(/`/, "\\(ga", text)
        gsub(/'/, "\\(aq", text)
        if (text ~ /^\./)
                text = "\\\\&" text
        return text
}

# Sentences, each on a line of its own, as mdoc wants them.
function prose(text) {
        text = escaped(text)
        gsub(/\. +/, ".\n", text)
        return text
}
