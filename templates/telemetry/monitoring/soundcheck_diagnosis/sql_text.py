"""SQL cut into its words: enough to see what a statement or a plan's filter names, never to run anything.

What cannot be read for certain is refused: an unclosed quote, a comment within a comment, a backslash outside
an E string, which means another thing under another setting of the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<blank>  \s+ | --[^\n]* | /\*(?:(?!/\*|\*/).)*\*/ )
    | (?P<string> [eE]'(?:[^'\\]|\\.|'')*' | [nNbBxX]?'(?:[^'\\]|'')*'
                | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<name>   "(?:[^"]|"")+" )
    | (?P<parameter> \$\d+ )
    | (?P<number> \d+(?:\.\d*)?(?:[eE][-+]?\d+)? | \.\d+ )
    | (?P<word>   [^\W\d][\w$]* )
    | (?P<mark>   :: | <> | [<>!]= | [^'"\\$/] | /(?!\*) )
    """,
    re.VERBOSE | re.DOTALL,
)
WRITES = frozenset({"insert", "update", "delete", "merge", "into"})


class Unreadable(ValueError):
    """The text is no SQL that can be cut for certain."""


class Token(NamedTuple):
    """`kind` is string, name, parameter, number, word or mark; a word is in lower case, a name unquoted."""

    kind: str
    text: str


def tokens(text: str) -> list[Token]:
    """The words of a text without blanks and comments. Raises Unreadable."""
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Unreadable(
                f"character {position + 1}: expected SQL, got {text[position : position + 10]!r}"
            )
        position = match.end()
        kind = match.lastgroup or ""
        kind = "string" if kind == "tag" else kind
        if kind != "blank":
            found.append(Token(kind, _plain(kind, match[0])))
    return found


def _plain(kind: str, text: str) -> str:
    if kind == "word":
        return text.lower()
    return text[1:-1].replace('""', '"') if kind == "name" else text


def one_query(text: str) -> list[Token] | None:
    """The words of a text that is one query which only reads; None for anything else."""
    try:
        found = tokens(text)
    except Unreadable:
        return None
    while found and found[-1] == Token("mark", ";"):
        found.pop()
    if not found or found[0].kind != "word" or found[0].text not in ("select", "with"):
        return None
    forbidden = Token("mark", ";") in found or any(
        token.kind == "word" and token.text in WRITES for token in found
    )
    return None if forbidden else found


def mentions(found: Sequence[Token], table: str) -> bool:
    """Whether a name among the words is that of a table."""
    return any(token.kind in ("word", "name") and token.text == table for token in found)


def depths(found: Sequence[Token]) -> list[int]:
    """How many parentheses are open around each word; one that opens or closes counts as inside."""
    depth, levels = 0, []
    for token in found:
        if token == Token("mark", "("):
            depth += 1
        levels.append(depth)
        if token == Token("mark", ")"):
            depth -= 1
    return levels
