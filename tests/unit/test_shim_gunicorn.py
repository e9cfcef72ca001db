"""Slots of gunicorn's workers (T2), and the rules that all mounted files keep."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.unit.shim_modules import SHIMS, load_shim


class Recorder:
    """Stands for prometheus_client: remembers what was installed and which files were ended."""

    def __init__(self) -> None:
        self.values = SimpleNamespace(ValueClass=object(), MultiProcessValue=self.multi_process_value)
        self.dead: list[str] = []
        self.multiprocess = SimpleNamespace(mark_process_dead=self.dead.append)
        self.identifiers: list[object] = []

    def multi_process_value(self, process_identifier: object) -> SimpleNamespace:
        self.identifiers.append(process_identifier)
        return SimpleNamespace()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    module = ModuleType("prometheus_client")
    vars(module).update(values=recorder.values, multiprocess=recorder.multiprocess)
    monkeypatch.setitem(sys.modules, "prometheus_client", module)
    return recorder


@pytest.fixture
def configuration(client: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    yield load_shim("gunicorn_conf", "gunicorn.conf.py")
    del sys.modules["gunicorn_conf"]


def spawn(configuration: ModuleType, server: SimpleNamespace, pid: int) -> SimpleNamespace:
    worker = SimpleNamespace(pid=pid)
    configuration.pre_fork(server, worker)
    server.WORKERS[pid] = worker
    return worker


def test_t2_a_slot_is_free_only_after_its_worker_was_reaped(
    configuration: ModuleType, client: Recorder
) -> None:
    server = SimpleNamespace(pid=1, WORKERS={})
    slots = [spawn(configuration, server, pid).soundcheck_slot for pid in (11, 12, 13)]
    assert slots == [0, 1, 2]
    # A reload starts the new ones while the old ones serve.
    assert spawn(configuration, server, 14).soundcheck_slot == 3
    ended = server.WORKERS.pop(12)
    configuration.child_exit(server, ended)
    assert client.dead == ["1-1"]
    assert spawn(configuration, server, 15).soundcheck_slot == 1


def test_t2_only_the_worker_itself_writes_to_its_slot(configuration: ModuleType, client: Recorder) -> None:
    """A process that the app forks inherits the memory, but must not write to the same files."""
    (identifier,) = client.identifiers
    assert callable(identifier)
    worker = SimpleNamespace(pid=os.getpid(), soundcheck_slot=2)
    configuration.post_fork(SimpleNamespace(pid=1), worker)
    assert identifier() == "1-2"
    configuration.post_fork(SimpleNamespace(pid=1), SimpleNamespace(pid=os.getpid() + 1, soundcheck_slot=2))
    assert identifier() == str(os.getpid())


def test_t2_a_reload_keeps_the_value_class_and_the_files(
    configuration: ModuleType, client: Recorder, tmp_path: Path
) -> None:
    file = tmp_path / "metrics" / "counter_1-0.db"
    file.write_bytes(b"live")
    installed = client.values.ValueClass
    load_shim("gunicorn_conf", "gunicorn.conf.py")
    assert client.values.ValueClass is installed
    assert file.exists()


@pytest.mark.parametrize(("master_pid", "kept"), [(0, False), (7, True)])
def test_t2_a_new_master_empties_the_directory_unless_it_takes_over(
    configuration: ModuleType, tmp_path: Path, master_pid: int, kept: bool
) -> None:
    file = tmp_path / "metrics" / "counter_1-0.db"
    file.write_bytes(b"of another master")
    configuration.on_starting(SimpleNamespace(master_pid=master_pid))
    assert file.exists() is kept


@pytest.mark.parametrize("file", sorted(path.name for path in SHIMS.glob("*.py")))
def test_files_survive_being_rendered(file: str) -> None:
    """They pass through Jinja on their way to the server, which must find nothing to do."""
    source = (SHIMS / file).read_text()
    assert not [mark for mark in ("{{", "{%", "{#") if mark in source]
    compile(source, file, "exec")
