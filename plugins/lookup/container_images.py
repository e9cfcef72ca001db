"""References and versions of every image, worked out on the controller for the role container_images."""

from __future__ import annotations

DOCUMENTATION = r"""
name: container_images
short_description: References and versions of the images under one source
description:
  - Under C(debian) a tag is a hash over the declared image and its build context, so no engine is asked.
options:
  _terms: {description: None are taken.}
  source: {description: 'C(registry), C(debian) or C(archive).', type: str, required: true}
  registry: {description: Key to reference in a registry., type: dict, required: true}
  overrides: {description: Key to reference that wins over all others., type: dict, default: {}}
  images_directory: {description: Folder of C(images.yml) and Dockerfiles., type: path, required: true}
  app_context: {description: Folder of the app's sources., type: path, required: true}
  export_directory: {description: 'Folder of C(images.json), which lists archives.', type: path, default: ''}
author: Soundcheck
"""

RETURN = r"""
_raw:
  description: A dict with C(references) and C(versions), each by key of the image.
  type: list
  elements: dict
"""

from functools import lru_cache  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import ansible.module_utils  # noqa: E402
import yaml  # noqa: E402
from ansible.plugins.lookup import LookupBase  # noqa: E402

# Ansible ships module_utils to hosts but does not make the project's own importable on the controller.
_MODULE_UTILS = str(Path(__file__).resolve().parents[1] / "module_utils")
if _MODULE_UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(_MODULE_UTILS)

from ansible.module_utils.image_builder import read_manifest  # noqa: E402
from ansible.module_utils.image_plan import Recipe, plan, recipes  # noqa: E402


@lru_cache
def declared_images(images_directory: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        (Path(images_directory) / "images.yml").read_text(encoding="utf-8")
    )
    return loaded


@lru_cache
def known_recipes(images_directory: str, app_context: str) -> dict[str, Recipe]:
    """Hashed once per process: a template names many images, and their files do not change during a play."""
    return recipes(declared_images(images_directory), images_directory, app_context)


class LookupModule(LookupBase):
    """lookup('container_images', source=..., ...)."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        self.set_options(var_options=variables, direct=kwargs)
        source = str(self.get_option("source"))
        made: dict[str, Recipe] = {}
        if source != "registry":
            made = known_recipes(
                str(self.get_option("images_directory")), str(self.get_option("app_context"))
            )
        found = plan(
            source,
            self.get_option("registry"),
            self.get_option("overrides"),
            made,
            read_manifest(str(self.get_option("export_directory"))) if source == "archive" else {},
        )
        return [{"references": found.references, "versions": found.versions}]
