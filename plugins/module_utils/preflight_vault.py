"""Secrets of an inventory that lie unencrypted on the control machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ansible.module_utils.preflight_values import Problem

_ENCRYPTED = "$ANSIBLE_VAULT"
# A top-level variable whose value is neither encrypted (!vault) nor a template nor empty.
_PLAIN = re.compile(r"""^(\w+):[ \t]+(?!!vault\b)(?!["']?\{\{)(?!\#)(?=\S)""", re.MULTILINE)
_FOLDERS = ("group_vars/", "host_vars/")


def unencrypted(files: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Path (relative to the inventory) and text of its files -> what must be encrypted before a deploy."""
    for path, text in files:
        if text.startswith(_ENCRYPTED) or not path.startswith(_FOLDERS) or ".example" in path:
            continue
        plain = _PLAIN.findall(text)
        if "vault" in path.rsplit("/", 1)[-1]:
            if plain:
                yield Problem(path, "this vault file is not encrypted", f"run ansible-vault encrypt {path}")
            continue
        for name in plain:
            if name.startswith("vault_"):
                remedy = "move it to group_vars/all/vault.yml and encrypt that with ansible-vault"
                yield Problem(name, f"stands unencrypted in {path}", remedy)
