# SPDX-License-Identifier: MIT
"""Both shells, as somebody sits before them: what is typed, and what TAB offers. The table of verbs is the truth."""

import os
import pty
import re
import select
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
BERTH = Path(os.environ["BERTH_BUILD"]) / "client/cli/berth"
NAMESPACES = ("p18t42rdeadbeef", "p18t42rfeedface")

# Stands where berth does: its own words, and a daemon's list.
FAKE = """#!/bin/sh
case $1 in
list) printf 'NAMESPACE STATE\\n%s live\\n%s live\\n' {} {} ;;
*) ASAN_OPTIONS=detect_leaks=0 exec {} "$@" ;;
esac
""".format(*NAMESPACES, BERTH)

BASH = """
. /usr/share/bash-completion/bash_completion
. {}/client/cli/berth.bash
COMP_LINE=$1 COMP_POINT=${{#1}}
eval "COMP_WORDS=($1)"
[ "${{1% }}" = "$1" ] || COMP_WORDS+=('')
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_berth
printf '%s\\n' "${{COMPREPLY[@]}}"
""".format(TREE)

# zsh completes only where there is a line editor: what compadd is given is written down, and nothing else happens.
ZSH = """
fpath=({}/client/cli $fpath)
autoload -U compinit && compinit -u -D
PROMPT= RPROMPT= LISTMAX=0
compadd () {{
        builtin compadd -O offered "$@"
        print -rl -- $offered >>$OFFERED
        builtin compadd "$@"
}}
tell () {{ print "<told>" }}
zle -N tell
bindkey '^X' tell
zstyle ':completion:*' accept-exact false
print "<ready>"
""".format(TREE)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    (folder / "berth").write_text(FAKE)
    (folder / "berth").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "TERM": "dumb"}


class Zsh:
    """A shell on a terminal."""

    def __init__(self, environment, folder):
        self.offered = folder / "offered"
        self.terminal, other = pty.openpty()
        self.shell = subprocess.Popen(["zsh", "-f", "-i"], stdin=other, stdout=other, stderr=other, close_fds=True,
                                      env={**environment, "OFFERED": str(self.offered)}, start_new_session=True)
        os.close(other)
        (folder / "setup").write_text(ZSH)
        self.type(f"source {folder}/setup\n", "<ready>")

    def type(self, text, until):
        os.write(self.terminal, text.encode())
        seen = ""
        while until not in re.sub(r"\s", "", seen).replace(text.strip(), ""):
            assert select.select([self.terminal], [], [], 30)[0], f"zsh shows nothing more: {seen}"
            seen += os.read(self.terminal, 65536).decode(errors="replace")

    def offers(self, line):
        self.offered.write_text("")
        self.type(f"{line}\t\x18", "<told>")
        self.type("\x15", "") # the line is gone
        return set(self.offered.read_text().split())

    def close(self):
        os.close(self.terminal)
        self.shell.wait(30)


@pytest.fixture(scope="module", params=["bash", "zsh"])
def offers(request, path, tmp_path_factory):
    """offers("berth st"): the words that TAB would offer."""
    if request.param == "bash":
        yield lambda line: set(subprocess.run(["bash", "-c", BASH, "bash", line], env=path, text=True, capture_output=True,
                                              check=True).stdout.split())
        return
    shell = Zsh(path, tmp_path_factory.mktemp("zsh"))
    yield shell.offers
    shell.close()


@pytest.fixture(scope="module")
def words():
    return lambda *verb: set(subprocess.run([BERTH, "__words", *verb], check=True, text=True, capture_output=True,
                                            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}).stdout.split())


def verbs(words):
    return {word for word in words() if not word.startswith("--")}


def test_every_verb_is_offered(offers, words):
    assert offers("berth ") >= verbs(words) and len(verbs(words)) > 10
    assert offers("berth sta") == {"status"}
    assert offers("berth help ") >= verbs(words)


def test_every_option_of_a_verb_is_offered(offers, words):
    for verb in ("run", "sweep", "history"):
        assert offers(f"berth {verb} --") == {word for word in words(verb) if word.startswith("--")}, verb
    assert offers("berth --socket x sweep --dr") == {"--dry-run"}


def test_namespaces_come_from_the_daemon(offers):
    for verb in ("status", "explain", "keep", "revoke", "history"):
        assert offers(f"berth {verb} ") == set(NAMESPACES), verb


def test_behind_run_comes_a_command_with_its_own_words(offers):
    assert "berth" in offers("berth run bert")
    assert offers("berth run -w 3s berth sta") == {"status"}
    assert offers("berth slot --database x -- berth sta") == {"status"}


def test_behind_an_option_comes_what_it_wants(offers):
    assert offers("berth --color ") == {"auto", "always", "never"}
    assert offers("berth status --color a") == {"auto", "always"}
    assert offers("berth run --color ") == {"auto", "always", "never"}
    assert "berth" in offers("berth run --color never bert")
    assert "/etc/passwd" in {os.path.join("/etc", word) for word in offers("berth doctor --config /etc/pass")}


@pytest.mark.parametrize("name", ["berth.bash", "_berth"])
def test_no_option_with_an_argument_is_taken_for_the_command(name):
    """The shells must know which words of run and slot are arguments of options."""
    [known] = re.findall(r"\((?=-w)([^)]*)\)|(-w [^)]*)\)", (TREE / "client/cli" / name).read_text())
    known = set(re.findall(r"--[a-z-]+|-\w", "".join(known)))
    for verb in ("run", "slot"):
        shown = subprocess.run([BERTH, verb, "--help"], check=True, text=True, capture_output=True,
                               env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}).stdout
        taking = re.findall(r"^  (?:(-\w), |    )(--[a-z-]+) [A-Za-z]+ ", shown, re.MULTILINE)
        assert len(taking) >= 4 and {word for pair in taking for word in pair if word} <= known, verb
