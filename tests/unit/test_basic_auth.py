"""Password hashes for the web configuration file of Prometheus."""

from __future__ import annotations

import bcrypt
import pytest
from ansible.errors import AnsibleFilterError

from plugins.filter.basic_auth import LONGEST, basic_auth_hash

HEAD = len("$2b$10$")
SALT = slice(HEAD, HEAD + 22)


def test_it_is_the_bcrypt_hash_of_the_password_and_the_same_at_every_run() -> None:
    """A hash that changed would restart Prometheus at every deploy."""
    hashed = basic_auth_hash("k3Ep", "reader", "web1")
    basic_auth_hash.cache_clear()

    assert bcrypt.checkpw(b"k3Ep", hashed.encode())
    assert not bcrypt.checkpw(b"other", hashed.encode())
    assert basic_auth_hash("k3Ep", "reader", "web1") == hashed


def test_each_user_and_host_has_a_salt_of_its_own_that_tells_nothing_of_the_password() -> None:
    salts = {
        (user, host): {basic_auth_hash(password, user, host)[SALT] for password in ("one", "two")}
        for user in ("reader", "writer")
        for host in ("web1", "web2")
    }

    assert [len(found) for found in salts.values()] == [1, 1, 1, 1]
    assert len(set.union(*salts.values())) == 4


@pytest.mark.parametrize("password", ["", "x" * (LONGEST + 1)])
def test_what_bcrypt_cannot_hash_is_refused_without_the_password(password: str) -> None:
    with pytest.raises(AnsibleFilterError, match="the password of reader is") as error:
        basic_auth_hash(password, "reader", "web1")
    assert not password or password not in str(error.value)
