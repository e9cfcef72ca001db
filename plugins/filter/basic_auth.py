"""Password hashes for the web configuration file of Prometheus."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from ansible.errors import AnsibleFilterError

COST = 10  # Prometheus computes it once per password and connection pool, then remembers the answer
LONGEST = 72  # bytes; bcrypt does not look further
# bcrypt's base64 has its own order of characters and no padding.
STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
BCRYPT = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


# Slow by design, and asked for by the files of two services.
@cache
def basic_auth_hash(password: str, user: str, host: str) -> str:
    """The bcrypt hash of a password, the same at every run.

    A random salt would change the file and restart Prometheus at every deploy, so the salt derives from user
    and host. Of the password it holds nothing: the salt stands in the file, and a fast digest of the password
    there would be what an attacker guesses against.
    """
    secret = str(password).encode()
    if not secret:
        raise AnsibleFilterError(f"the password of {user} is empty")
    if len(secret) > LONGEST:
        raise AnsibleFilterError(
            f"the password of {user} is longer than the {LONGEST} bytes that bcrypt hashes"
        )
    try:
        import bcrypt
    except ImportError as error:
        raise AnsibleFilterError("the Python package bcrypt is missing on the control machine") from error
    salt = hashlib.sha256(f"soundcheck\0{host}\0{user}".encode()).digest()[:16]
    encoded = base64.b64encode(salt).decode().rstrip("=").translate(str.maketrans(STANDARD, BCRYPT))
    return str(bcrypt.hashpw(secret, f"$2b${COST:02}${encoded}".encode()).decode())


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"basic_auth_hash": basic_auth_hash}
