"""The tests' own `lib` behaves as that of nixpkgs, as far as the module uses it.

The expected values were read off nixpkgs' `lib` of June 2026; `CCCI_NIXPKGS_LIB` runs these tests on a real one.
"""

from collections.abc import Callable

import pytest

from tests.nix.nixlab import Answer

Ask = Callable[[str], Answer]

_OPTIONS = """{
  bool = lib.mkOption { type = lib.types.bool; default = false; };
  text = lib.mkOption { type = lib.types.str; default = "none"; };
  needed = lib.mkOption { type = lib.types.str; };
  lines = lib.mkOption { type = lib.types.lines; default = ""; };
  list = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; };
  maybe = lib.mkOption { type = lib.types.nullOr lib.types.str; default = null; };
  port = lib.mkOption { type = lib.types.port; default = 80; };
  between = lib.mkOption { type = lib.types.ints.between 1 3; default = 1; };
  word = lib.mkOption { type = lib.types.strMatching "[a-z]+"; default = "a"; };
  path = lib.mkOption { type = lib.types.path; default = "/a"; };
  any = lib.mkOption { type = lib.types.attrsOf lib.types.anything; default = { }; };
  strings = lib.mkOption { type = lib.types.attrsOf lib.types.str; default = { }; };
  fixed = lib.mkOption { type = lib.types.str; default = "f"; readOnly = true; };
  a.b.c = lib.mkOption { type = lib.types.bool; default = true; };
  sub = lib.mkOption { default = { }; type = lib.types.attrsOf (lib.types.submodule ({ name, config, ... }: {
    options.label = lib.mkOption { type = lib.types.str; default = "<${name}>"; };
    options.twice = lib.mkOption { type = lib.types.str; };
    config.twice = lib.mkDefault "${config.label}${config.label}";
  })); };
}"""


def expression(wanted: str, *modules: str) -> str:
    """Evaluate an option of a configuration made of modules, in their order."""
    return f"(lib.evalModules {{ modules = [ {{ options = {_OPTIONS}; }} {' '.join(modules)} ]; }}).config.{wanted}"


GIVES: dict[str, tuple[str, tuple[str, ...], object]] = {
    "a default": ("text", (), "none"),
    "a definition": ("text", ('{ text = "a"; }',), "a"),
    "the same twice": ("text", ('{ text = "a"; }', '{ text = "a"; }'), "a"),
    "mkDefault loses": ("text", ('{ text = lib.mkDefault "a"; }', '{ text = "b"; }'), "b"),
    "mkDefault beats the default": ("text", ('{ text = lib.mkDefault "a"; }',), "a"),
    "mkForce wins": ("text", ('{ text = "a"; }', '{ text = lib.mkForce "b"; }'), "b"),
    "mkIf false is nothing": ("text", ('{ text = lib.mkIf false "a"; }',), "none"),
    "mkIf around a set": ("a.b.c", ("{ config = lib.mkIf true { a.b.c = false; }; }",), False),
    "mkIf on another option": (
        "text",
        ("{ bool = true; }", '({ config, ... }: { text = lib.mkIf config.bool "a"; })'),
        "a",
    ),
    "mkIf around all, on an option of its own": (
        "text",
        ("{ bool = true; }", '({ config, ... }: { config = lib.mkIf config.bool { text = "a"; }; })'),
        "a",
    ),
    "mkMerge": (
        "list",
        ('{ list = lib.mkMerge [ [ "a" ] (lib.mkIf false [ "b" ]) [ "c" ] ]; }',),
        ["a", "c"],
    ),
    "mkMerge of sets": (
        "list",
        ('{ config = lib.mkMerge [ { list = [ "a" ]; } (lib.mkIf true { list = [ "b" ]; }) ]; }',),
        ["a", "b"],
    ),
    "mkForce around a set": (
        "strings",
        ('{ strings.a = "1"; }', '{ strings = lib.mkForce { b = "2"; }; }'),
        {"b": "2"},
    ),
    "mkForce in a set": ("strings", ('{ strings.a = "1"; }', '{ strings.a = lib.mkForce "2"; }'), {"a": "2"}),
    "mkIf in a list": ("list", ('{ list = [ "a" (lib.mkIf false "b") "c" ]; }',), ["a", "c"]),
    "mkIf in a set": ("strings", ('{ strings = { a = lib.mkIf false "1"; b = "2"; }; }',), {"b": "2"}),
    "lists of two modules": ("list", ('{ list = [ "a" ]; }', '{ list = [ "b" ]; }'), ["b", "a"]),
    "lines of two modules": ("lines", ('{ lines = "a"; }', '{ lines = "b"; }'), "b\na"),
    "lists of imports": ("list", ('{ imports = [ { list = [ "a" ]; } ]; list = [ "b" ]; }',), ["a", "b"]),
    "null": ("maybe", ("{ maybe = null; }",), None),
    "not null": ("maybe", ('{ maybe = "a"; }',), "a"),
    "a path": ("path", ('{ path = "/b"; }',), "/b"),
    "anything comes together": (
        "any",
        ("{ any.a.b = 1; }", "{ any.a.c = [ 2 ]; }"),
        {"a": {"b": 1, "c": [2]}},
    ),
    "a submodule's name": ("sub.x.label", ("{ sub.x = { }; }",), "<x>"),
    "a submodule's own config": ("sub.x.twice", ('{ sub.x.label = "l"; }',), "ll"),
    "a submodule of two modules": (
        "sub.x",
        ('{ sub.x.label = "l"; }', '{ sub.x.twice = "t"; }'),
        {"label": "l", "twice": "t"},
    ),
    "a read-only default": ("fixed", (), "f"),
    "what is not asked for is not looked at": ("text", ('{ text = "a"; list = throw "no"; }',), "a"),
}


@pytest.mark.parametrize("case", GIVES)
def test_what_is_accepted(ask: Ask, case: str) -> None:
    """The value that nixpkgs' own gives."""
    wanted, modules, value = GIVES[case]

    assert ask(expression(wanted, *modules)) == Answer(value=value, error="")


REFUSES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "an unknown option": ("text", ("{ txt = true; }",), "does not exist"),
    "an unknown option below": ("text", ("{ a.b.d = true; }",), "does not exist"),
    "an unknown option under mkIf false": ("text", ("{ config = lib.mkIf false { txt = true; }; }",), "does not exist"),
    "an unknown option of a submodule": ("sub.x", ("{ sub.x.lable = true; }",), "does not exist"),
    "a wrong type": ("bool", ('{ bool = "true"; }',), "is not of type `boolean'"),
    "a wrong element": ("list", ("{ list = [ 1 ]; }",), "is not of type"),
    "a text for a list": ("list", ('{ list = "a"; }',), "is not of type"),
    "no value": ("needed", (), "has no value defined"),
    "two values": ("text", ('{ text = "a"; }', '{ text = "b"; }'), "conflicting definition values"),
    "null and a text": ("maybe", ("{ maybe = null; }", '{ maybe = "a"; }'), "both null and not null"),
    "a port that is none": ("port", ("{ port = 65536; }",), "is not of type"),
    "out of range": ("between", ("{ between = 4; }",), "is not of type"),
    "a text that does not match": ("word", ('{ word = "A"; }',), "is not of type"),
    "a relative path": ("path", ('{ path = "b"; }',), "is not of type"),
    "a path for a text": ("text", ("{ text = /a; }",), "is not of type"),
    "a read-only option": ("fixed", ('{ fixed = "g"; }',), "read-only"),
    "an option declared twice": (
        "text",
        ('{ options.text = lib.mkOption { type = lib.types.str; default = ""; }; }',),
        "already declared",
    ),
    "settings beside config": ("text", ('{ config.text = "a"; bool = true; }',), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSES)
def test_what_is_refused(ask: Ask, case: str) -> None:
    """With the words that nixpkgs' own has for it, as far as tests look for them."""
    wanted, modules, words = REFUSES[case]

    answer = ask(expression(wanted, *modules))

    assert answer.error
    assert words in " ".join(answer.error.split())


FUNCTIONS = {
    'lib.splitString "\\n" "a\\n\\nb"': ["a", "", "b"],
    'lib.splitString "." "a.b"': ["a", "b"],
    'lib.removeSuffix ".service" "a.service"': "a",
    'lib.removeSuffix ".service" "service"': "service",
    'lib.removeSuffix ".service" ".service"': "",
    'lib.hasPrefix "ab" "abc"': True,
    'lib.hasPrefix "abc" "ab"': False,
    "lib.toList 1": [1],
    "lib.toList [ 1 ]": [1],
    "lib.optional false 1": [],
    'lib.concatMapStringsSep "-" (x: "${x}!") [ "a" "b" ]': "a!-b!",
    'lib.filterAttrs (n: v: n == "a" || v == 2) { a = 1; b = 2; c = 3; }': {"a": 1, "b": 2},
    'lib.mapAttrsToList (n: v: "${n}${v}") { b = "2"; a = "1"; }': ["a1", "b2"],
}


@pytest.mark.parametrize("call", FUNCTIONS)
def test_plain_functions(ask: Ask, call: str) -> None:
    """Edges that the module relies on."""
    assert ask(call) == Answer(value=FUNCTIONS[call], error="")
