# SPDX-License-Identifier: MIT
"""
What `--json` prints where it prints replies of the daemon: JSON Schemas made from the .varlink file.

    schemas.py          says which files of docs/schema are not what the .varlink file says
    schemas.py --write  writes them

The command line leaves out the one empty reply of an empty list.
"""

import json
import pathlib
import re
import sys

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLAIN = {"string": "string", "int": "integer", "bool": "boolean", "object": "object"}

# What --json prints: file, title, type or method of the .varlink file, the key of a list around its replies, and what
# the .varlink file lets be null for the sake of an empty list.
PRINTED = [
    ("status", "berth status --json", "GetStatus", None, ()),
    ("status_namespace", "berth status NAMESPACE --json", "ListLeases", None, ("context", "runtime")),
    ("list", "berth list --json", "ListLeases", "leases", ("context", "runtime")),
    ("list_watch", "a line of berth list --watch --json", "ListLeases", None, ("action",)),
    ("locks", "berth locks --json", "ListLocks", "locks", ("database", "blocked", "blocker")),
    ("sweep", "berth sweep --json", "SweepResult", None, ()),
    ("history", "berth history --json", "GetHistory", "events", ("timeUSec", "event")),
    ("explain", "berth explain --json", "Explain", None, ()),
    ("doctor", "berth doctor --json", "Diagnose", "findings", ("check", "level", "what")),
    ("config", "berth config --json", "GetConfiguration", None, ()),
]


def tokens(text):
    """Words, punctuation and comments, in order."""
    return re.findall(r"#[^\n]*|[A-Za-z_][\w.]*|->|[()?,:\[\]]", text)


def or_null(kind):
    """Omitted and null are the same on the wire, and --json prints what came."""
    return {**kind, "type": [kind["type"], "null"]} if "type" in kind else {"anyOf": [kind, {"type": "null"}]}


def not_null(kind):
    if "anyOf" in kind:
        return {key: value for key, value in {**kind, **kind["anyOf"][0]}.items() if key != "anyOf"}
    return {**kind, "type": kind["type"][0]}


class Reader:
    def __init__(self, text):
        self.tokens, self.at, self.comment = tokens(text), 0, []

    def next(self):
        """The next word; comments before it are kept for whoever asks."""
        while self.at < len(self.tokens) and self.tokens[self.at].startswith("#"):
            self.comment.append(self.tokens[self.at][1:].strip())
            self.at += 1
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else None

    def peek(self):
        here, comment = self.at, list(self.comment)
        word = self.next()
        self.at, self.comment = here, comment
        return word

    def take_comment(self):
        lines, self.comment = self.comment, []
        return " ".join(line for line in lines if not line.startswith("["))

    def type(self):
        word = self.next()
        if word == "(":
            return self.struct()
        if word == "[":
            assert self.next() == "]"
            return {"type": "array", "items": self.type()}
        return {"type": PLAIN[word]} if word in PLAIN else {"$ref": f"#/$defs/{word}"}

    def struct(self):
        """After the opening parenthesis: an enum, or an object."""
        properties, required, words = {}, [], []
        while self.peek() != ")":
            name, comment = self.next(), None
            comment = self.take_comment()
            if self.peek() == ":":
                self.next()
                may_be_null = self.peek() == "?" and bool(self.next())
                kind = or_null(self.type()) if may_be_null else self.type()
                properties[name] = {**kind, "description": comment} if comment else kind
                required += [] if may_be_null else [name]
            else:
                words.append(name)
            if self.peek() == ",":
                self.next()
        self.next()
        if words:
            return {"enum": words}
        return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def read_idl(text):
    """{name: schema} of its types, and of what its methods reply; a method's is named as the method."""
    reader, found = Reader(text), {}
    while (word := reader.next()) is not None:
        comment = reader.take_comment()
        if word not in ("type", "method", "error"):
            continue
        name = reader.next()
        assert reader.next() == "("
        schema = reader.struct()
        if word == "method":
            assert (reader.next(), reader.next()) == ("->", "(")
            schema = reader.struct()
        if word != "error":
            found[name] = {"description": comment, **schema} if comment else schema
    return found


def references(schema):
    return set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))


def schema_of(found, title, name, key, never_null):
    properties = {one: not_null(kind) if one in never_null else kind for one, kind in found[name]["properties"].items()}
    schema = {**found[name], "properties": properties, "required": sorted({*found[name]["required"], *never_null})}
    if key:
        schema = {"type": "object", "additionalProperties": False, "required": [key],
                  "properties": {key: {"type": "array", "items": schema}}}
    defs, wanted = {}, references(schema)
    while wanted - set(defs):
        for one in wanted - set(defs):
            defs[one] = found[one]
            wanted = wanted | references(found[one])
    whole = {"$schema": DIALECT, "title": title, **schema}
    return {**whole, "$defs": {one: defs[one] for one in sorted(defs)}} if defs else whole


def made(tree):
    """{name of the file: its text}"""
    found = read_idl(pathlib.Path(tree, "proto/io.berth.manage.varlink").read_text())
    return {f"{file}.json": json.dumps(schema_of(found, *rest), indent=2) + "\n" for file, *rest in PRINTED}


def stale(tree):
    folder = pathlib.Path(tree, "docs/schema")
    return [name for name, text in made(tree).items()
            if not (folder / name).exists() or (folder / name).read_text() != text]


if __name__ == "__main__":
    here = pathlib.Path(__file__).parents[2]
    for name in stale(here):
        if sys.argv[1:] == ["--write"]:
            (here / "docs/schema" / name).write_text(made(here)[name])
        print(name)
