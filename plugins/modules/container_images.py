#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: container_images
short_description: Have images on the engine of this host, from whichever source, in one round trip
description:
  - Pulls, loads or builds those of the images that the engine does not have yet; leaves the others alone.
  - Meant to be called through the action plugin of the same name, which works out O(images) and O(recipes) on
    the controller and sends build contexts only when something must be built.
options:
  images:
    description: The images, each with how it comes to the host.
    type: list
    elements: dict
    required: true
    options:
      key: {description: Its name in the inventory., type: str, required: true}
      reference: {description: The full reference., type: str, required: true}
      version: {description: The version it holds., type: str, default: ''}
      how: {description: How it comes., type: str, choices: [build, load, pull], required: true}
      archive: {description: File name of its archive., type: str, default: ''}
  recipes:
    description: What must exist for the images with C(how=build), each before what stands on it.
    type: list
    elements: dict
    default: []
    options:
      key: {description: Name of the image and of its folder in O(contexts)., type: str, required: true}
      reference: {description: The full reference., type: str, required: true}
      version: {description: Passed to the build as VERSION., type: str, default: ''}
      suite: {description: Debian suite of a root file system; else empty., type: str, default: ''}
      base: {description: Key of the recipe it stands on., type: str, default: ''}
  contexts:
    description:
      - Tar file of the build contexts.
      - Without it nothing is built and RV(needs_contexts) says what is missing.
    type: path
  registry_server:
    description: Registry to log in to before an image is pulled from it; without it nothing is logged in to.
    type: str
  registry_username:
    description: User of O(registry_server).
    type: str
  registry_password:
    description: Password or token of O(registry_username).
    type: str
  ca_bundle:
    description: File of certificates for downloads during a build; no part of any image.
    type: path
  archive_directory:
    description: Folder of the archives to load.
    type: path
  export_directory:
    description: Folder to save the images to, with C(images.json). Nothing is saved without it.
    type: path
attributes:
  check_mode: {support: full, description: Tells which images would be brought and exported.}
author: Soundcheck
"""

EXAMPLES = r"""
- name: Have RabbitMQ
  container_images:
    images:
      - {key: rabbitmq, reference: "rabbitmq:4.2.9", how: pull}
"""

RETURN = r"""
actions:
  description: What was done (check mode, would be), as short sentences.
  type: list
  elements: str
  returned: always
needs_contexts:
  description: Keys of the recipes whose build context the module needs to go on. It has changed nothing then.
  type: list
  elements: str
  returned: always
"""

import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.image_builder import (
    Engine,
    ImageError,
    Wanted,
    next_manifest,
    read_manifest,
    stale_archives,
    write_manifest,
)
from ansible.module_utils.registry_login import RegistryLogin

IMAGE_OPTIONS = {
    "key": {"type": "str", "required": True},
    "reference": {"type": "str", "required": True},
    "version": {"type": "str", "default": ""},
}


class Images:
    """One run of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.check_mode: bool = module.check_mode
        self.engine = Engine(self.run)
        self.wanted = [Wanted(**image) for image in module.params["images"]]
        self.recipes: list[dict[str, str]] = module.params["recipes"]
        self.ca_bundle: str = module.params["ca_bundle"] or ""
        self.actions: list[str] = []
        self.login: RegistryLogin | None = None
        if server := module.params["registry_server"]:
            user, password = module.params["registry_username"], module.params["registry_password"]
            self.login = RegistryLogin(self.run_with, server, user, password)

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
        status, out, err = self.module.run_command(list(command), environ_update=dict(environment))
        return status, out, err

    def run_with(
        self, command: Sequence[str], environment: Mapping[str, str], given: str
    ) -> tuple[int, str, str]:
        status, out, err = self.module.run_command(
            list(command), environ_update=dict(environment), data=given
        )
        return status, out, err

    def pull(self, image: Wanted) -> None:
        self.engine.pull(image, self.login.environment(image.reference) if self.login else None)

    def act(self, what: str, reference: str, function: Callable[..., None], *arguments: object) -> None:
        started = time.monotonic()
        if not self.check_mode:
            function(*arguments)
        if self.check_mode:
            self.actions.append(f"would have {what} {reference}")
        else:
            self.actions.append(f"{what} {reference} in {time.monotonic() - started:.0f} s")

    def bring(self) -> list[str]:
        """Bring what is missing, or return the keys of the contexts that this needs and that did not come."""
        missing = [image for image in self.wanted if not self.engine.has(image.reference)]
        to_build = {image.key for image in missing if image.how == "build"}
        recipes = self.missing_recipes(to_build)
        if recipes and not self.check_mode and not self.module.params["contexts"]:
            return [recipe["key"] for recipe in recipes]
        for image in missing:
            if image.how == "pull":
                self.act("pulled", image.reference, self.pull, image)
            elif image.how == "load":
                directory = self.module.params["archive_directory"]
                self.act("loaded", image.reference, self.engine.load, image, directory)
        if recipes:
            self.build(recipes)
        return []

    def missing_recipes(self, keys: set[str]) -> list[dict[str, str]]:
        bases = {recipe["base"] for recipe in self.recipes if recipe["key"] in keys}
        return [
            recipe
            for recipe in self.recipes
            if recipe["key"] in keys or (recipe["key"] in bases and not self.engine.has(recipe["reference"]))
        ]

    def build(self, recipes: list[dict[str, str]]) -> None:
        references = {recipe["key"]: recipe["reference"] for recipe in self.recipes}
        directory = tempfile.mkdtemp(prefix="soundcheck-images-", dir=self.module.tmpdir)
        try:
            if not self.check_mode:
                with tarfile.open(self.module.params["contexts"]) as archive:
                    # The controller's own file. Pythons that know filters want one; not every 3.11 does.
                    archive.extraction_filter = getattr(tarfile, "tar_filter", lambda member, _path: member)
                    archive.extractall(directory)
                if any(recipe["suite"] for recipe in recipes):
                    self.have_mmdebstrap()
            for recipe in recipes:
                reference = recipe["reference"]
                if recipe["suite"]:
                    self.act("made", reference, self.engine.bootstrap, reference, recipe["suite"], directory)
                else:
                    context = os.path.join(directory, recipe["key"])
                    base = references[recipe["base"]]
                    arguments = (reference, base, recipe["version"], context, self.ca_bundle)
                    self.act("built", reference, self.engine.build, *arguments)
        finally:
            shutil.rmtree(directory)

    def have_mmdebstrap(self) -> None:
        if self.module.get_bin_path("mmdebstrap"):
            return
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        packages = ["mmdebstrap", "debian-archive-keyring"]
        self.run(["apt-get", "update", "--quiet"], environment)
        status, out, err = self.run(
            ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages], environment
        )
        if status != 0:
            raise ImageError(
                "container_images_source: debian needs mmdebstrap on the host that builds, and apt-get "
                f"could not install it: {(err or out).strip()}"
            )
        self.actions.append("installed mmdebstrap")

    def export(self, directory: str) -> None:
        files = os.listdir(directory) if os.path.isdir(directory) else []
        earlier = read_manifest(directory)
        manifest = next_manifest(earlier, self.wanted, files)
        if not self.check_mode:
            os.makedirs(directory, exist_ok=True)
        for image in self.wanted:
            if image.archive not in files:
                path = os.path.join(directory, image.archive)
                self.act("exported", image.archive, self.engine.save, image.reference, path)
        for name in stale_archives(earlier, manifest, files):
            self.act("removed", name, os.unlink, os.path.join(directory, name))
        if manifest != earlier:
            self.act("wrote", "images.json", write_manifest, directory, manifest)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "images": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    **IMAGE_OPTIONS,
                    "how": {"type": "str", "required": True, "choices": ["build", "load", "pull"]},
                    "archive": {"type": "str", "default": ""},
                },
            },
            "recipes": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **IMAGE_OPTIONS,
                    "suite": {"type": "str", "default": ""},
                    "base": {"type": "str", "default": ""},
                },
            },
            "contexts": {"type": "path"},
            "registry_server": {"type": "str"},
            "registry_username": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
            "ca_bundle": {"type": "path"},
            "archive_directory": {"type": "path"},
            "export_directory": {"type": "path"},
        },
        required_together=[["registry_server", "registry_username", "registry_password"]],
        supports_check_mode=True,
    )
    images = Images(module)
    needs: list[str] = []
    try:
        if not module.get_bin_path("docker") and module.check_mode:
            # The engine itself would be installed by this deploy: nothing is there yet.
            images.actions = [f"would have brought {image.reference}" for image in images.wanted]
        else:
            needs = images.bring()
            if not needs and module.params["export_directory"]:
                images.export(module.params["export_directory"])
    except (ImageError, OSError) as error:
        module.fail_json(
            msg=str(error), changed=bool(images.actions), actions=images.actions, needs_contexts=[]
        )
    finally:
        if images.login:
            images.login.end()
    module.exit_json(changed=bool(images.actions), actions=images.actions, needs_contexts=needs)


if __name__ == "__main__":
    main()
