"""Secrets that are planted where they show, and looked for in everything the diagnosis says or keeps."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from dataclasses import dataclass

# What stands beside the secrets. It is to be read in what was said: otherwise nothing was searched.
ERROR = "ERROR the partner refused the cover"
LENGTH = 14


def word() -> str:
    """Letters alone: nothing but where it stands tells that it is a secret."""
    return "q" + "".join(random.choices(string.ascii_lowercase, k=LENGTH - 1))


@dataclass(frozen=True)
class Canaries:
    """Words, each by the place in which it is planted."""

    query: str
    argument: str
    mailbox: str
    password: str
    option: str

    @classmethod
    def new(cls) -> Canaries:
        return cls(*(word() for _ in range(5)))

    @property
    def error(self) -> str:
        """A line of a log: a URL with its query, and an address."""
        return f"{ERROR}: https://covers.example.org/get?size=3&access_token={self.query} for {self.address}"

    @property
    def address(self) -> str:
        return f"{self.mailbox}@example.org"

    @property
    def prompt(self) -> str:
        """A task's argument, which is a part of an SQL statement later."""
        url = f"https://label:{self.password}@example.org/song?api_key={self.argument}"
        return f"a waltz like {url}, ask {self.address}"

    @property
    def command(self) -> str:
        """What a busy process is called with."""
        return f"--password={self.option}"

    def secrets(self) -> dict[str, str]:
        return {f"canary: {name}": text for name, text in vars(self).items()}


def told(secrets: Mapping[str, str], texts: Mapping[str, str]) -> list[str]:
    """Which secret stands in which text. Names alone: the values must not be told here either."""
    return sorted(
        f"{name} in {where}"
        for name, secret in secrets.items()
        for where, text in texts.items()
        if secret in text
    )
