# SPDX-License-Identifier: MIT
"""docs/errors.md has every error that the code can end with, its exit code and whether it may pass, and no other."""

import pathlib

import errors
import methods

TREE = pathlib.Path(__file__).parents[2]


def test_the_document_has_every_error_of_the_code():
    of_code, of_document = errors.of_code(TREE), set(errors.of_document(TREE))
    assert {("Busy", 75, True), ("NoDaemon", 69, True), ("Usage", 64, False), ("BadAnswer", 125, False)} <= of_code
    assert of_document == of_code


def test_a_word_of_its_own_has_one_exit_code_and_is_told_apart_by_it():
    """A script that knows the word knows what berth exits with; the one exception says another thing."""
    codes = {}
    for word, code, _ in errors.of_code(TREE):
        codes.setdefault(word, set()).add(code)
    assert {word for word, those in codes.items() if len(those) > 1} == {"DatabaseUnreachable"}


def test_every_error_of_the_idl_is_told_to_people():
    """Our clients never leave out 'more' where it is needed."""
    told = {name for name in methods.of_idl(TREE, "error") if f'"{name}"' in errors.text_of(TREE, "client/lib/reply_error.c")}
    assert set(methods.of_idl(TREE, "error")) - told == {"org.varlink.service.ExpectedMore"}
