"""Pulling, loading, building and exporting against an engine that answers from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from plugins.module_utils.image_builder import (
    CA_BUNDLE,
    Engine,
    ImageError,
    Wanted,
    build_failure,
    last_lines,
    next_manifest,
    read_manifest,
    stale_archives,
    write_manifest,
)

Answer = tuple[int, str, str]
IMAGE = Wanted("app", "soundcheck/app:0123456789ab", "1", "load", "soundcheck-app-0123456789ab.tar")


class Commands:
    """Answers each command by its first words, and remembers what was run."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = answers
        self.ran: list[list[str]] = []
        self.environments: list[Mapping[str, str]] = []

    def __call__(self, command: Sequence[str], environment: Mapping[str, str]) -> Answer:
        self.ran.append(list(command))
        self.environments.append(environment)
        for start, answer in self.answers.items():
            if " ".join(command).startswith(start):
                return answer
        return 0, "", ""


ABSENT = (1, "[]\n", "Error response from daemon: No such image: x")


def test_an_engine_that_does_not_answer_is_no_missing_image() -> None:
    engine = Engine(Commands({"docker image inspect": (1, "", "Cannot connect to the Docker daemon")}))
    with pytest.raises(ImageError, match=r"^Docker does not answer on this host: Cannot connect"):
        engine.has("app:1")


def test_missing_images() -> None:
    commands = Commands({"docker image inspect --format {{.Id}} app:2": ABSENT})
    assert Engine(commands).missing(["app:1", "app:2"]) == ["app:2"]


def test_an_absent_archive_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(
        ImageError, match=r"^container_images_archive_directory: .*-0123456789ab\.tar is missing"
    ):
        Engine(Commands({})).load(IMAGE, str(tmp_path))


def test_an_archive_must_hold_its_image(tmp_path: Path) -> None:
    (tmp_path / IMAGE.archive).write_text("x")
    commands = Commands({"docker load": (0, "Loaded image: other:1\n", ""), "docker image inspect": ABSENT})
    with pytest.raises(ImageError, match=r"holds Loaded image: other:1, not soundcheck/app:0123456789ab"):
        Engine(commands).load(IMAGE, str(tmp_path))


def test_a_full_disk_says_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    with open(tmp_path / IMAGE.archive, "wb") as stream:
        stream.truncate(300 * 2**20)
    full = "Error processing tar file(exit status 1): write /usr/bin/x: no space left on device"
    commands = Commands({"docker load": (1, "", full), "docker info": (0, f"{tmp_path}\n", "")})
    with pytest.raises(ImageError) as caught:
        Engine(commands).load(IMAGE, str(tmp_path))
    message = str(caught.value)
    assert full in message
    assert f"The disk of {tmp_path} is full: about 300 MiB are needed and " in message
    assert message.endswith("MiB are free; make room, then deploy again.")


def test_a_failed_pull_names_the_variable_of_its_key() -> None:
    commands = Commands({"docker pull": (1, "", "manifest unknown")})
    with pytest.raises(ImageError) as caught:
        Engine(commands).pull(Wanted("caddy", "caddy:0.0.1", "0.0.1", "pull"))
    assert str(caught.value).startswith("caddy:0.0.1 could not be pulled: manifest unknown\n")
    assert "container_images_overrides.caddy" in str(caught.value)


def test_another_failure_says_nothing_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / IMAGE.archive).write_text("x")
    commands = Commands({"docker load": (1, "", "unexpected EOF")})
    with pytest.raises(ImageError) as caught:
        Engine(commands).load(IMAGE, str(tmp_path))
    assert str(caught.value).endswith("could not be loaded: unexpected EOF")


def test_a_build_uses_the_classic_builder_and_shows_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy:3128")
    bundle = tmp_path / "company.crt"
    bundle.write_text("CERTIFICATE")
    context = tmp_path / "context"
    context.mkdir()
    commands = Commands({})
    Engine(commands).build("soundcheck/app:1", "soundcheck/base:1", "2", str(context), str(bundle))
    (command,) = commands.ran
    assert command[:3] == ["docker", "build", "--force-rm"]
    assert command[-3:-1] == ["--build-arg", "https_proxy"]
    assert "secret" not in " ".join(command)
    assert commands.environments == [{"DOCKER_BUILDKIT": "0"}]
    assert (context / CA_BUNDLE).read_text() == "CERTIFICATE"


def test_without_certificates_the_bundle_is_empty(tmp_path: Path) -> None:
    Engine(Commands({})).build("soundcheck/app:1", "soundcheck/base:1", "2", str(tmp_path), "")
    assert (tmp_path / CA_BUNDLE).read_bytes() == b""


def test_a_bundle_that_is_not_there_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^container_images_build_ca_bundle: there is no file /nowhere"):
        Engine(Commands({})).build("soundcheck/app:1", "soundcheck/base:1", "2", str(tmp_path), "/nowhere")


@pytest.mark.parametrize(
    ("output", "advised"),
    [
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'))", True),
        ("E: Version '4.0.6-*' for 'rabbitmq-server' was not found", False),
    ],
)
def test_a_failed_build_advises_on_certificates_only_then(output: str, advised: bool) -> None:
    message = build_failure("soundcheck/app:1", output, "")
    assert output in message
    assert ("container_images_build_ca_bundle" in message) is advised


def test_the_end_of_an_output_is_without_colours_and_notices() -> None:
    notice = "DEPRECATED: The legacy builder is deprecated\n   BuildKit is currently disabled;\n"
    text = "\n".join(f"line {count}" for count in range(40)) + f"\n{notice}\x1b[91mfailed\x1b[0m\n"
    lines = last_lines(text).splitlines()
    assert len(lines) == 15
    assert lines[-2:] == ["line 39", "failed"]


def test_a_failed_bootstrap_imports_nothing(tmp_path: Path) -> None:
    commands = Commands({"mmdebstrap": (1, "", "E: unable to download")})
    with pytest.raises(ImageError, match="mmdebstrap could not make trixie"):
        Engine(commands).bootstrap("soundcheck/base-trixie:1", "trixie", str(tmp_path))
    assert [command[0] for command in commands.ran] == ["mmdebstrap"]


# --- exports -------------------------------------------------------------------------------------------


def test_an_export_keeps_other_images_and_drops_what_is_replaced(tmp_path: Path) -> None:
    earlier = {
        "app": {"ref": "soundcheck/app:old", "version": "1", "archive": "soundcheck-app-old.tar"},
        "rabbitmq": {"ref": "rabbitmq:4.2.8", "version": "4.2.8", "archive": "rabbitmq-4.2.8.tar"},
        "caddy": {"ref": "caddy:2", "version": "2", "archive": "gone.tar"},
    }
    files = [
        "soundcheck-app-old.tar",
        "rabbitmq-4.2.8.tar",
        "images.json",
        "mine.tar",
        "soundcheck-x-1.tar.partial",
    ]
    manifest = next_manifest(earlier, [IMAGE], files)
    assert set(manifest) == {"app", "rabbitmq"}
    assert manifest["app"]["archive"] == IMAGE.archive
    assert stale_archives(earlier, manifest, files) == [
        "soundcheck-app-old.tar",
        "soundcheck-x-1.tar.partial",
    ]
    write_manifest(str(tmp_path), manifest)
    assert read_manifest(str(tmp_path)) == manifest


def test_an_unchanged_export_has_nothing_to_do(tmp_path: Path) -> None:
    manifest = next_manifest({}, [IMAGE], [])
    assert next_manifest(manifest, [IMAGE], [IMAGE.archive]) == manifest
    assert stale_archives(manifest, manifest, [IMAGE.archive, "images.json"]) == []


def test_no_manifest_is_an_empty_one(tmp_path: Path) -> None:
    assert read_manifest(str(tmp_path / "nowhere")) == {}
