"""A further deploy touches what it has to, and nothing else."""

from __future__ import annotations

from server import Server, playbook


def test_a_second_deploy_changes_nothing(server: Server) -> None:
    before = server.identities()

    again = playbook("deploy.yml", "--skip-tags=verify")

    assert again.status == 0, again.output
    assert again.changed == 0, again.output
    assert server.identities() == before


def test_a_check_of_what_is_deployed_is_clean(server: Server) -> None:
    check = playbook("deploy.yml", "--check", "--diff")

    assert check.status == 0, check.output
    assert check.changed == 0, check.output


def test_bad_input_is_refused_in_one_message(server: Server) -> None:
    before = server.identities()
    files = server.files("/opt/soundcheck")

    refused = playbook(
        *("deploy.yml", "-e", "collector=grafana", "-e", "locale=de", "-e", "app_stack_bakend_workers=3"),
        *("-e", "app_stack_backend_memory=512X", "-e", "vault_rabbitmq_password=changeme"),
    )

    assert refused.status != 0
    assert refused.changed == 0
    assert "5 problems, nothing was changed:" in refused.output
    for variable in (
        *("collector", "locale", "app_stack_bakend_workers"),
        *("app_stack_backend_memory", "vault_rabbitmq_password"),
    ):
        assert f" {variable}: " in refused.output, refused.output
    assert server.identities() == before
    assert server.files("/opt/soundcheck") == files


def serving(server: Server) -> dict[str, tuple[int, bytes]]:
    """Without the releases, among which the one that failed stays for reading."""
    files = server.files("/opt/soundcheck/app")
    return {path: found for path, found in files.items() if not path.startswith("releases/")}


def test_a_release_that_cannot_work_leaves_the_running_one_alone(server: Server) -> None:
    before = server.identities()
    files = serving(server)

    refused = playbook(
        *("deploy.yml", "--skip-tags=verify"),
        *("-e", '{"app_stack_task_routes": {"music.tasks.nowhere.no_task": {"queue": "default"}}}'),
    )

    assert refused.status != 0
    assert "music.tasks.nowhere.no_task" in refused.output
    assert server.identities() == before
    assert serving(server) == files


def test_a_server_that_cannot_be_reached_keeps_what_it_has(server: Server) -> None:
    before = server.identities()

    unreachable = playbook("deploy.yml", "-e", "ansible_port=1")

    assert unreachable.status != 0
    assert "UNREACHABLE" in unreachable.output
    assert server.identities() == before


def test_a_disk_that_fills_up_while_images_load_leaves_the_running_release_alone(server: Server) -> None:
    """One more image is wanted, and the engine has no room to unpack it."""
    before = server.identities()
    files = server.files("/opt/soundcheck")

    server.run("mount -t tmpfs -o size=1m tmpfs /var/lib/docker/tmp")
    try:
        refused = playbook("deploy.yml", "--skip-tags=verify", "-e", '{"app_stack_flower_enabled": true}')
    finally:
        server.run("umount /var/lib/docker/tmp")

    assert refused.status != 0
    assert "The disk of /var/lib/docker is full" in refused.output
    assert "soundcheck-flower-" in refused.output
    assert server.identities() == before
    assert server.files("/opt/soundcheck") == files
