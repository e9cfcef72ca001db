"""What images a deploy needs: their references for each source, and what a Debian-built one is made of.

Pure: it reads the files of build contexts and nothing else. The lookup and action plugins of the same name
as the role use it on the controller.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.image_builder import MMDEBSTRAP_OPTIONS

SOURCES = ("registry", "debian", "archive")
HASH_DIGITS = 12
# Raise it when the builder itself changes what comes out.
BUILDER_REVISION = 1
# What tools leave beside sources: no part of an image, and different on each machine.
IGNORED_NAMES = frozenset(
    {"__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".DS_Store"}
)
IGNORED_SUFFIXES = (".pyc", ".pyo")
DOCKERFILE = "Dockerfile"


class PlanError(Exception):
    """A refusal, as one sentence that names the variable to change."""


@dataclass(frozen=True)
class Recipe:
    """One image to build: a root file system when `suite` is set, else a Dockerfile."""

    key: str
    reference: str
    version: str
    suite: str
    base: str
    folders: tuple[tuple[str, str], ...]  # (where in the build context, folder on the controller)

    def for_module(self) -> dict[str, str]:
        return {
            "key": self.key,
            "reference": self.reference,
            "version": self.version,
            "suite": self.suite,
            "base": self.base,
        }


@dataclass(frozen=True)
class Plan:
    """References and versions of every image that the source has, by key."""

    references: dict[str, str]
    versions: dict[str, str]


# --- content -------------------------------------------------------------------------------------------


def context_files(folder: str) -> Iterator[tuple[str, str]]:
    """(path below the folder, path) of every file and link, in one order on every machine."""
    for directory, names, files in os.walk(folder):
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        names[:] = sorted(name for name in names if name not in IGNORED_NAMES and name not in links)
        for name in sorted(files + links):
            if name not in IGNORED_NAMES and not name.endswith(IGNORED_SUFFIXES):
                path = os.path.join(directory, name)
                yield os.path.relpath(path, folder), path


def file_mode(path: str) -> int:
    """0755 or 0644: the umask of a checkout must not change an image, the executable bit must."""
    return 0o755 if os.lstat(path).st_mode & stat.S_IXUSR else 0o644


def content_hash(facts: Mapping[str, Any], folders: Sequence[tuple[str, str]]) -> str:
    """Hash of what an image is made of: declared facts, and path, mode and content of every file."""
    digest = hashlib.sha256(json.dumps([BUILDER_REVISION, facts], sort_keys=True).encode())
    for prefix, folder in folders:
        for name, path in sorted(context_files(folder)):
            if os.path.islink(path):
                kind, content = "link", os.readlink(path).encode()
            else:
                kind, content = f"{file_mode(path):o}", Path(path).read_bytes()
            entry = [os.path.join(prefix, name), kind, hashlib.sha256(content).hexdigest()]
            digest.update(json.dumps(entry).encode())
    return digest.hexdigest()[:HASH_DIGITS]


def pack(recipes: Sequence[Recipe], path: str) -> None:
    """Write the build contexts to a tar file, one folder per key, the same on every machine."""

    def normal(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = "root"
        return member

    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for recipe in recipes:
            for prefix, folder in recipe.folders:
                for name, file in context_files(folder):
                    member = archive.gettarinfo(file, os.path.join(recipe.key, prefix, name))
                    if member.isfile():
                        member.mode = file_mode(file)
                        with open(file, "rb") as stream:
                            archive.addfile(normal(member), stream)
                    elif member.issym():
                        archive.addfile(normal(member))


# --- what is declared --------------------------------------------------------------------------------------


def image_name(key: str) -> str:
    return f"soundcheck/{key.replace('_', '-')}"


def recipes(declared: Mapping[str, Any], images_directory: str, app_context: str) -> dict[str, Recipe]:
    """Every image that can be built, by key, bases first. An app without sources is left out."""
    made: dict[str, Recipe] = {}
    for key, base in declared["bases"].items():
        tag = content_hash({"name": key, "options": MMDEBSTRAP_OPTIONS, **base}, [])
        reference = f"{image_name(key)}:{tag}"
        made[key] = Recipe(key, reference, str(base["suite"]), str(base["suite"]), "", ())
    for key, image in declared["images"].items():
        folders = [("", os.path.join(images_directory, key.replace("_", "-")))]
        if "context" in image:
            if not os.path.isdir(app_context):
                continue
            folders.append((str(image["context"]), app_context))
        base = made[image["base"]]
        facts = {"name": key, "base": base.reference, "version": str(image.get("version", ""))}
        tag = content_hash(facts, folders)
        version = facts["version"] or tag
        made[key] = Recipe(key, f"{image_name(key)}:{tag}", version, "", image["base"], tuple(folders))
    return made


def needed(made: Mapping[str, Recipe], keys: Sequence[str]) -> list[Recipe]:
    """The recipes of these keys with the bases they stand on, each before what needs it."""
    ordered: dict[str, Recipe] = {}
    for key in keys:
        recipe = made[key]
        if recipe.base:
            ordered.setdefault(recipe.base, made[recipe.base])
        ordered.setdefault(key, recipe)
    return sorted(ordered.values(), key=lambda recipe: bool(recipe.base))


# --- references ----------------------------------------------------------------------------------------


def version_of(reference: str) -> str:
    """The version that a tag states: `rabbitmq:4.1.8-management` -> 4.1.8; another tag stays as it is."""
    name = reference.partition("@")[0]
    tag = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)(?:-.*)?", tag)
    return found.group(1) if found else tag


def archive_name(reference: str) -> str:
    """File name of an image's archive; it holds the tag, so that a stale archive has another name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", reference) + ".tar"


def plan(
    source: str,
    registry: Mapping[str, str],
    overrides: Mapping[str, str],
    made: Mapping[str, Recipe],
    manifest: Mapping[str, Mapping[str, str]],
) -> Plan:
    """References and versions under this source; an override always wins."""
    references: dict[str, str] = {}
    versions: dict[str, str] = {}
    if source == "registry":
        references.update(registry)
    else:
        references.update({key: recipe.reference for key, recipe in made.items() if recipe.base})
        versions.update({key: recipe.version for key, recipe in made.items() if recipe.base})
    if source == "archive":
        for key, entry in manifest.items():
            references[key] = entry["ref"]
            versions[key] = entry["version"]
    references.update({key: reference for key, reference in overrides.items() if reference})
    for key, reference in references.items():
        if key not in versions or key in overrides:
            versions[key] = version_of(reference)
    return Plan(references, versions)


def refusals(
    source: str, wanted: Sequence[str], found: Plan, declared: Mapping[str, Any], manifest_path: str
) -> list[str]:
    """Why these images cannot be had from this source, one sentence each."""
    if source not in SOURCES:
        return [f"container_images_source: `{source}` is none of {', '.join(SOURCES)}"]
    sentences = []
    for key in wanted:
        if key in found.references:
            continue
        if key in declared["registry_only"] and source == "debian":
            advice = declared["registry_only"][key]
            sentences.append(f"container_images_source: debian cannot build {key}: {advice}")
        elif key == "app" and source == "registry":
            sentences.append("app_image: name the repository of your app's image, and its tag in app_version")
        elif key == "app":
            sentences.append("container_images_app_context: no such folder to build the app's image from")
        elif source == "archive":
            sentences.append(
                f"container_images_export_directory: {manifest_path} names no {key}; "
                "run playbooks/build_images.yml with container_images_source=registry, "
                f"or set container_images_overrides.{key}"
            )
        else:
            sentences.append(f"container_images_wanted: there is no image `{key}`")
    return sentences


def stale(
    manifest: Mapping[str, Mapping[str, str]], made: Mapping[str, Recipe], wanted: Sequence[str]
) -> list[str]:
    """Keys whose exported image was built from other files than lie here now."""
    return [
        key
        for key in wanted
        if key in manifest
        and key in made
        and manifest[key]["ref"].startswith(f"{image_name(key)}:")
        and manifest[key]["ref"] != made[key].reference
    ]
