"""Bring images to the engine of this host: pull, load, bootstrap, build; and save them as archives."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# (command, extra environment) -> (exit status, output, errors)
Run = Callable[[Sequence[str], Mapping[str, str]], tuple[int, str, str]]

SHOWN_LINES = 15
MANIFEST = "images.json"
CA_BUNDLE = "ca-bundle.crt"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
TLS_ERRORS = ("CERTIFICATE_VERIFY_FAILED", "SSLError", "certificate verify failed")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NOTICE = ("The legacy builder is deprecated", "BuildKit is currently disabled", "environment-variable.")
DISK_FULL = "no space left on device"
# What a container of one program does not read, and what apt would leave in its layers.
MMDEBSTRAP_OPTIONS = (
    "--variant=minbase",
    "--include=ca-certificates,passwd",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    '--aptopt=APT::Install-Recommends "false"',
    '--aptopt=Acquire::Languages "none"',
    # Written last, because mmdebstrap itself needs the packages it downloaded.
    r"""--customize-hook=printf '%s\n' 'APT::Keep-Downloaded-Packages "false";' 'Dir::Cache::pkgcache "";' """
    r"""'Dir::Cache::srcpkgcache "";' >> "$1/etc/apt/apt.conf.d/99mmdebstrap" """
    r"""&& rm -f "$1"/var/cache/apt/*.bin """,
)


class ImageError(Exception):
    """What was asked and what came, for the operator."""


@dataclass(frozen=True)
class Wanted:
    """One image and how it comes: build, load or pull."""

    key: str
    reference: str
    version: str
    how: str
    archive: str = ""


def human(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def last_lines(text: str) -> str:
    """The end of a command's output, without colours and without the notice that BuildKit is off."""
    lines = [line for line in COLOUR.sub("", text).splitlines() if line.strip()]
    return "\n".join([line for line in lines if not any(part in line for part in NOTICE)][-SHOWN_LINES:])


def build_failure(reference: str, output: str, ca_bundle: str) -> str:
    """The end of a build's output, and what to do when it was the certificates."""
    advice = ""
    if any(sign in output for sign in TLS_ERRORS):
        advice = (
            "\nA proxy that intercepts TLS shows its own certificate: set container_images_build_ca_bundle "
            f"to a file that holds it (now: `{ca_bundle or 'none'}`)."
        )
    return f"{reference} could not be built:\n{last_lines(output)}{advice}"


class Engine:
    """The Docker engine of this host, through its command line."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def docker(self, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
        status, out, err = self.run(["docker", *arguments], environment or {})
        return status, out + err

    def missing(self, references: Sequence[str]) -> list[str]:
        return [reference for reference in references if not self.has(reference)]

    def has(self, reference: str) -> bool:
        status, output = self.docker("image", "inspect", "--format", "{{.Id}}", reference)
        if status != 0 and "no such image" not in output.lower():
            raise ImageError(f"Docker does not answer on this host: {output.strip()}")
        return status == 0

    def pull(self, wanted: Wanted, environment: Mapping[str, str] | None = None) -> None:
        status, output = self.docker("pull", "--quiet", wanted.reference, environment=environment)
        if status != 0:
            advice = self.space(output, 0) or (
                f"\nName one within reach in container_images_overrides.{wanted.key}, "
                "or carry it there with container_images_source: archive."
            )
            raise ImageError(f"{wanted.reference} could not be pulled: {last_lines(output)}{advice}")

    def load(self, wanted: Wanted, directory: str) -> None:
        path = os.path.join(directory, wanted.archive)
        if not os.path.isfile(path):
            raise ImageError(
                f"container_images_archive_directory: {path} is missing, the archive of {wanted.reference}; "
                "export it with playbooks/build_images.yml and copy it there"
            )
        status, output = self.docker("load", "--quiet", "--input", path)
        if status != 0:
            hint = self.space(output, os.path.getsize(path))
            raise ImageError(f"{path} could not be loaded: {last_lines(output)}{hint}")
        if not self.has(wanted.reference):
            raise ImageError(f"{path} was loaded but holds {last_lines(output)}, not {wanted.reference}")

    def save(self, reference: str, path: str) -> None:
        """Written beside and renamed, so that a broken export is never taken for a whole one."""
        partial = f"{path}.partial"
        status, output = self.docker("save", "--output", partial, reference)
        if status != 0:
            raise ImageError(f"{reference} could not be saved to {path}: {last_lines(output)}")
        os.replace(partial, path)

    def space(self, output: str, needed: int) -> str:
        """When the disk was full: how much is needed and how much is free where images are kept."""
        if DISK_FULL not in output.lower():
            return ""
        status, root = self.docker("info", "--format", "{{.DockerRootDir}}")
        root = root.strip() if status == 0 and os.path.isdir(root.strip()) else "/"
        free = human(shutil.disk_usage(root).free)
        need = f"about {human(needed)} are needed and " if needed else ""
        return f"\nThe disk of {root} is full: {need}{free} are free; make room, then deploy again."

    # --- building --------------------------------------------------------------------------------------

    def bootstrap(self, reference: str, suite: str, directory: str) -> None:
        """A root file system from the distribution's packages."""
        archive = os.path.join(directory, f"{suite}.tar")
        status, out, err = self.run(["mmdebstrap", "--quiet", *MMDEBSTRAP_OPTIONS, suite, archive], {})
        if status != 0:
            raise ImageError(f"mmdebstrap could not make {suite} for {reference}:\n{last_lines(out + err)}")
        status, output = self.docker("import", "--change", 'CMD ["bash"]', archive, reference)
        os.unlink(archive)
        if status != 0:
            raise ImageError(
                f"{reference} could not be imported: {last_lines(output)}{self.space(output, 0)}"
            )

    def build(self, reference: str, base: str, version: str, context: str, ca_bundle: str) -> None:
        bundle = os.path.join(context, CA_BUNDLE)
        if ca_bundle:
            if not os.path.isfile(ca_bundle):
                raise ImageError(
                    f"container_images_build_ca_bundle: there is no file {ca_bundle} on this host"
                )
            shutil.copyfile(ca_bundle, bundle)
        else:
            open(bundle, "wb").close()
        arguments = ["build", "--force-rm", "--tag", reference]
        arguments += ["--build-arg", f"BASE={base}", "--build-arg", f"VERSION={version}"]
        # Named without a value: Docker takes it from the environment, and no process list shows it.
        for name in PROXY_VARIABLES:
            if os.environ.get(name):
                arguments += ["--build-arg", name]
        # The classic builder is part of every engine; BuildKit needs a plugin that Debian 12 does not have.
        status, output = self.docker(*arguments, context, environment={"DOCKER_BUILDKIT": "0"})
        if status != 0:
            raise ImageError(build_failure(reference, output, ca_bundle) + self.space(output, 0))


# --- exports ---------------------------------------------------------------------------------------------


def read_manifest(directory: str) -> dict[str, dict[str, str]]:
    try:
        with open(os.path.join(directory, MANIFEST), encoding="utf-8") as stream:
            loaded: dict[str, dict[str, str]] = json.load(stream)
    except FileNotFoundError:
        return {}
    return loaded


def next_manifest(
    earlier: Mapping[str, Mapping[str, str]], wanted: Sequence[Wanted], files: Sequence[str]
) -> dict[str, dict[str, str]]:
    """What the folder holds after this export: these images, and others whose archives are still there."""
    kept = {key: dict(entry) for key, entry in earlier.items() if entry["archive"] in files}
    new = {
        image.key: {"ref": image.reference, "version": image.version, "archive": image.archive}
        for image in wanted
    }
    return dict(sorted({**kept, **new}.items()))


def stale_archives(
    earlier: Mapping[str, Mapping[str, str]], manifest: Mapping[str, Mapping[str, str]], files: Sequence[str]
) -> list[str]:
    """Archives of ours that the manifest does not name any more. Other files in the folder are not ours."""
    ours = {entry["archive"] for entry in earlier.values()}
    named = {entry["archive"] for entry in manifest.values()}
    return [
        name
        for name in sorted(files)
        if name not in named
        and (name in ours or (name.startswith("soundcheck-") and name.endswith((".tar", ".tar.partial"))))
    ]


def write_manifest(directory: str, manifest: Mapping[str, Mapping[str, str]]) -> None:
    path = os.path.join(directory, MANIFEST)
    with open(f"{path}.partial", "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=2)
        stream.write("\n")
    os.replace(f"{path}.partial", path)
