"""Log in to a registry for the pulls of one run, and leave nothing of it on the host."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence

from ansible.module_utils.image_builder import ImageError, last_lines
from ansible.module_utils.survey_parse import registry_of

# (command, extra environment, standard input) -> (exit status, output, errors)
RunWith = Callable[[Sequence[str], Mapping[str, str], str], tuple[int, str, str]]

REFUSALS = ("unauthorized", "incorrect username or password", "denied", "401", "403")


class RegistryLogin:
    """Credentials of one registry. The first pull from it logs in, into a folder that only root can read.

    The user's own Docker configuration stays as it is, and serves the pulls from other registries.
    """

    def __init__(self, run: RunWith, server: str, username: str, password: str) -> None:
        self.run = run
        self.server, self.username, self.password = server, username, password
        self.folder = ""

    def environment(self, reference: str) -> dict[str, str]:
        """What `docker pull` of this reference needs in its environment."""
        if registry_of(reference) != registry_of(f"{self.server}/image"):
            return {}
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="soundcheck-registry-")
            self._log_in({"DOCKER_CONFIG": self.folder})
        return {"DOCKER_CONFIG": self.folder}

    def _log_in(self, environment: Mapping[str, str]) -> None:
        # On a command line every user of the host could read the password.
        command = ["docker", "login", "--username", self.username, "--password-stdin", self.server]
        status, out, err = self.run(command, environment, self.password)
        if status == 0:
            return
        said = last_lines(out + err).replace(self.password, "(secret)")
        if any(sign in said.lower() for sign in REFUSALS):
            raise ImageError(
                f"vault_registry_password: {self.server} refused the user {self.username} of "
                f"container_images_registry_login: {said}"
            )
        raise ImageError(f"container_images_registry_login.server: {self.server}: no login there: {said}")

    def end(self) -> None:
        """Docker keeps credentials in plain text: they go with their folder."""
        if self.folder:
            shutil.rmtree(self.folder)
            self.folder = ""
