# SPDX-License-Identifier: MIT
"""What the .varlink files, proto/protocol.h and the daemon's table of methods say about the same names."""

import pathlib
import re
import subprocess

NEEDS_MORE = "METHOD_NEEDS_MORE"


def of_idl(tree, kind):
    """{"io.berth.lease.Acquire": the comment above it} for kind "method" or "error", over all .varlink files."""
    found = {}
    for path in sorted(pathlib.Path(tree, "proto").glob("*.varlink")):
        text = path.read_text()
        interface = re.search(r"^interface (\S+)$", text, re.MULTILINE).group(1)
        for comment, name in re.findall(rf"((?:^#.*\n)*)^{kind} (\w+)", text, re.MULTILINE):
            found[f"{interface}.{name}"] = comment
    return found


def strings_of(tree, path):
    """The text of a C file after the preprocessor, adjacent string literals joined; flags of rows stay names."""
    tree = pathlib.Path(tree)
    command = ["cc", "-E", "-P", "-D_GNU_SOURCE", f"-I{tree}", f"-I{tree / 'daemon'}", str(tree / path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.sub(r'"\s*"', "", text)


def of_table(tree):
    """{"io.berth.lease.Acquire": the rest of its row} of the tables of methods under daemon/server."""
    found = {}
    for path in sorted(pathlib.Path(tree, "daemon/server").glob("methods*.c")):
        text = strings_of(tree, path.relative_to(tree))
        found.update(re.findall(r'\{\s*(?:\.name\s*=\s*)?"((?:\w+\.)+[A-Z]\w*)"\s*,([^{}]*)\}', text))
    return found


def of_protocol(tree):
    """Full names of the errors that proto/protocol.h defines."""
    text = pathlib.Path(tree, "proto/protocol.h").read_text()
    return set(re.findall(r'^#\s*define\s+\w*ERROR_\w+\s+"([^"]+)"', text, re.MULTILINE))


def difference(one, one_name, other, other_name):
    return [f"{name}: in {one_name}, not in {other_name}" for name in sorted(set(one) - set(other))] + [
        f"{name}: in {other_name}, not in {one_name}" for name in sorted(set(other) - set(one))
    ]


def complaints(tree):
    methods, table = of_idl(tree, "method"), of_table(tree)
    lines = difference(methods, "the .varlink files", table, "the table of methods")
    lines += difference(of_idl(tree, "error"), "the .varlink files", of_protocol(tree), "protocol.h")
    for name in sorted(set(methods) & set(table)):
        if ("[Requires 'more' flag]" in methods[name]) != (NEEDS_MORE in table[name]):
            lines.append(f"{name}: its comment and its row disagree whether it needs 'more'")
    return lines
