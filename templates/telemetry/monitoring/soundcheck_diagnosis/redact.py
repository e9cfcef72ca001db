"""What a person must not read in a bundle: secrets and personal data in log lines, commands and statements.

In doubt a value is masked: a masked figure costs a look at the server, a shown secret costs the secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable

MASK = "***"
LONGEST_LINE = 4096  # characters; what is longer is cut before the patterns look at it

# What stands before the word stays outside, what follows is bounded: a hostile line must not cost time.
_SECRET_NAME = (
    r"(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|credential|authori[sz]ation|cookie|session[_-]?id"
    r"|sessionid|csrf|signature|private[_-]?key|api[_-]?key|access[_-]?key|webhook|jwt|dsn|(?<![a-z])auth|(?<![a-z])sig"
    r"|비밀번호|암호|토큰)[\w.-]{0,40}"
)
# "it's", 'a \' b': an escaped quote does not end a value, and a line that was cut has no end at all.
_QUOTED = r"\\?\"(?:[^\"\\]|\\.)*(?:\"|$)|\\?'(?:[^'\\]|\\.)*(?:'|$)"
_SCHEMES = r"(?:bearer|basic|digest|token|apikey|negotiate)"

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_SHORTEST_RANDOM = 24  # characters of a word that reads like a key


def _card(match: re.Match[str]) -> str:
    """Thirteen to nineteen digits are a card's number when their check digit is right."""
    digits = [int(digit) for digit in match.group(0) if digit.isdigit()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[-2::-2]]
    return MASK if (sum(digits[::-2]) + sum(doubled)) % 10 == 0 else match.group(0)


def _random_word(match: re.Match[str]) -> str:
    """A key mixes digits, capitals and small letters; the name of a metric or a module does not."""
    word = match.group(0)
    if _UUID.fullmatch(word):
        return word
    mixed = (
        sum(letter.isdigit() for letter in word) >= 2
        and sum(letter.isupper() for letter in word) >= 2
        and sum(letter.islower() for letter in word) >= 2
    )
    return MASK if mixed else word


# In this order: what spans more comes first.
_PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # A private key, also one whose end was cut off.
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
    # Authorization: Basic dXNlcjpwYXNz, in a header, a curl command or a dictionary's text.
    (
        re.compile(rf"(?i)((?:proxy-)?authori[sz]ation\\?[\"']?\s*[:=]\s*)(?:{_QUOTED}|[^\r\n\"']+)"),
        rf"\g<1>{MASK}",
    ),
    (
        re.compile(r"(?i)((?:set-)?cookie\\?[\"']?\s*[:=]\s*)(?:" + _QUOTED + r"|[^\r\n\"']+)"),
        rf"\g<1>{MASK}",
    ),
    (re.compile(rf"(?i)\b({_SCHEMES})(\s+)[\w.~+/=:-]{{8,}}"), rf"\g<1>\g<2>{MASK}"),
    # User and password of a URL; a password may hold an @ that nobody encoded.
    (re.compile(r"(://)[^\s\"'<>]*@(?=[\w.\[-])"), rf"\g<1>{MASK}@"),
    # Webhooks carry their secret in the path.
    (
        re.compile(r"(?i)(hooks\.slack\.com/\w+/|discord(?:app)?\.com/api/webhooks/)[^\s\"'<>]+"),
        rf"\g<1>{MASK}",
    ),
    # --name value; name=value, "name": "value", name: value.
    (re.compile(rf"(?i)(--?[\w.-]{{0,40}}?{_SECRET_NAME})(\s+|=)(?:{_QUOTED}|[^\s]+)"), rf"\g<1>\g<2>{MASK}"),
    (
        re.compile(rf"(?i)({_SECRET_NAME}(?:\\?[\"'])?\s*(?:=>|[:=])\s*)(?:{_QUOTED}|[^\s\"']\S*)"),
        rf"\g<1>{MASK}",
    ),
    # Every parameter of a query, also one without a telling name: searches and names are personal.
    (re.compile(r"([?&][\w.\[\]%-]+=)[^\s&\"'<>#]*"), rf"\g<1>{MASK}"),
    (re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+"), f"{MASK}@{MASK}"),
    # Korean residents, mobile and fixed telephones, and international numbers.
    (re.compile(r"(?<![\w-])\d{6}-[1-8]\d{6}(?![\w-])"), MASK),
    (
        re.compile(
            r"(?<![\w.:-])0\d{1,2}[- .]?\d{3,4}[- .]\d{4}(?![\w-])|(?<![\w.:-])01[016789]\d{7,8}(?!\w)"
        ),
        MASK,
    ),
    (re.compile(r"(?<![\w+])\+\d{1,3}[- .]?(?:\(?\d{1,4}\)?[- .]?){1,3}\d{3,4}(?![\w:])"), MASK),
    (re.compile(r"(?<![\w.-])(?:\d{4}[ -]){3}\d{1,7}(?![\w-])|(?<![\w.-])\d{13,19}(?![\w.-])"), _card),
    # Keys that show by their form: tokens of known makers, JSON web tokens, Telegram's bots.
    (re.compile(r"\b(?:gh[pousr]_|glsa_|glc_|xox[a-z]-|sk-|pk_|rk_|AKIA)[\w-]{8,}={0,2}"), MASK),
    (re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){1,2}"), MASK),
    (re.compile(r"\b\d{6,12}:[\w-]{30,}"), MASK),
    (re.compile(r"(?<![\w-])[0-9a-fA-F]{32,}(?![\w-])"), MASK),
    (re.compile(rf"(?<![\w/.+-])[\w+/-]{{{_SHORTEST_RANDOM},}}={{0,2}}"), _random_word),
    (re.compile(rf"(?<=/)[\w+-]{{{_SHORTEST_RANDOM},}}={{0,2}}"), _random_word),
)

# Text, dollar-quoted text, comments (tools fill them with a request's data); a cut statement may end in one.
_SQL_TEXT = re.compile(
    r"[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)"
    r"|\$(?P<tag>[A-Za-z_]\w*|)\$.*?(?:\$(?P=tag)\$|\Z)"
    r"|/\*.*?(?:\*/|\Z)|--[^\n]*|(?P<name>\"(?:[^\"]|\"\")*(?:\"|\Z))",
    re.DOTALL,
)
_SQL_NUMBER = re.compile(r"(?<![\w$.\"])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def redact(text: str) -> str:
    """`text` without secrets and personal data; what is harmless stays readable."""
    if len(text) > LONGEST_LINE:
        text = text[:LONGEST_LINE] + " …"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def sql(statement: str) -> str:
    """A statement without its literals and comments: names and shape, nobody's data."""
    pieces: list[str] = []
    end = 0
    for match in _SQL_TEXT.finditer(statement):
        pieces.append(_SQL_NUMBER.sub("?", statement[end : match.start()]))
        comment = match.group(0).startswith(("--", "/*"))
        pieces.append(match.group("name") or ("" if comment else "?"))
        end = match.end()
    pieces.append(_SQL_NUMBER.sub("?", statement[end:]))
    return " ".join("".join(pieces).split())
