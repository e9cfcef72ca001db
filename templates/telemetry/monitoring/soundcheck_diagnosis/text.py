"""The report as a person reads it in a terminal: the verdict, the guide's five sections, then the rest."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from soundcheck_diagnosis.evidence import duration, known, megabytes, number, part, rows, size, text
from soundcheck_diagnosis.words import fill, localized, translate

NARROWEST = 40
COLOURS = {"high": "31", "medium": "33", "low": "36", "heading": "1"}
MOST_PROCESSES = 3
MOST_ROWS = 12

Row = tuple[str, ...]


def columns(line: str) -> int:
    """What a line takes on a terminal: Korean letters are two columns wide, accents none."""
    return len(line) if line.isascii() else sum(_width(letter) for letter in line)


def cut(line: str, width: int) -> str:
    """The beginning of a line, an ellipsis where something is missing."""
    line = _plain(line)
    if columns(line) <= width:
        return line
    kept, used = [], 0
    for letter in line:
        used += _width(letter)
        if used > width - 1:
            break
        kept.append(letter)
    return "".join(kept).rstrip() + "…"


def wrap(line: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most `width` columns, broken between words; a longer word is broken where it must."""
    lines: list[str] = []
    current, used, begun = first, columns(first), False
    for word in _plain(line).split():
        needed = columns(word)
        if begun and used + 1 + needed > width:
            lines.append(current)
            current, used, begun = rest, columns(rest), False
        while used + begun + needed > width:
            head = _head(word, width - used)
            lines.append(current + head)
            word = word[len(head) :]
            current, used, needed = rest, columns(rest), columns(word)
        if word:
            current += f" {word}" if begun else word
            used, begun = used + begun + needed, True
    return [*lines, current] if begun or not lines else lines


def _head(word: str, width: int) -> str:
    used = 0
    for index, letter in enumerate(word):
        used += _width(letter)
        if used > width:
            return word[: max(index, 1)]
    return word


@cache
def _width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def _plain(line: str) -> str:
    """Without what would steer the terminal: a log line is a stranger's."""
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        " " if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") else letter for letter in line
    )


def _pad(line: str, width: int, right: bool) -> str:
    fill_up = " " * max(0, width - columns(line))
    return fill_up + line if right else line + fill_up


def render(
    facts: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    locale: str = "en",
    width: int = 80,
    color: bool = False,
) -> str:
    """The whole report; every line fits into `width` columns."""
    return "\n".join(_Report(facts, locale, max(width, NARROWEST), color).lines(findings)) + "\n"


class _Report:
    def __init__(self, facts: Mapping[str, Any], locale: str, width: int, color: bool) -> None:
        self.facts, self.locale, self.width, self.color = facts, locale, width, color

    def lines(self, findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        facts = self.facts
        yield from wrap(
            self.say("Diagnosis of {host}, {at}", host=text(facts, "host"), at=text(facts, "taken_at"))
            + " ("
            + self.say(
                "looked back {since}, took {seconds}",
                since=duration(number(facts, "since_seconds")),
                seconds=duration(number(facts, "seconds")),
            )
            + ")",
            self.width,
        )
        yield from self.verdict(findings)
        for heading, section, body in (
            ("Top processes per container", "processes", self.processes),
            ("Celery tasks running now", "tasks", self.tasks),
            ("Recent error lines", "logs", self.errors),
            ("Database connections", "database", self.database),
            ("Resources per container", "containers", self.containers),
            ("Server", "server", self.server),
            ("Memory of tasks", "tasks", self.task_memory),
            ("Queues", "broker", self.queues),
            ("Web workers", "web", self.web),
            ("Processes outside the stack", "processes", self.strangers),
            ("Last deploys", "deploys", self.deploys),
        ):
            yield from self.section(heading, section, body)

    # Words

    def say(self, template: str, **values: object) -> str:
        return fill(template, {key: self.figure(value) for key, value in values.items()}, self.locale)

    def figure(self, value: object) -> str | None:
        """The unknown stays None, which `fill` says in words."""
        if isinstance(value, float):
            return f"{value:.0f}" if abs(value) >= 10 or value.is_integer() else f"{value:.1f}"
        return None if value is None or value == "" else str(value)

    def cell(self, value: object) -> str:
        return localized(self.figure(value) or "-", self.locale)

    def paint(self, line: str, colour: str) -> str:
        return f"\033[{COLOURS[colour]}m{line}\033[0m" if self.color else line

    def heading(self, title: str, line: str) -> str:
        begun = f"{line * 2} {translate(title, self.locale)} "
        return self.paint(begun + line * (self.width - columns(begun)), "heading")

    # Verdict

    def verdict(self, findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        yield ""
        yield self.heading("Verdict", "=")
        broken = [row for row in part(self.facts, "sections").values() if _problem(row)]
        if broken:
            yield from self.wrapped(
                self.say(
                    "{count} sections could not be asked in full: this look is incomplete", count=len(broken)
                ),
                "  ",
            )
        if not findings:
            yield from self.wrapped(
                translate("No cause found: nothing reaches its threshold", self.locale), "  "
            )
        titles = {text(finding, "id"): self.phrase(finding, "title") for finding in reversed(findings)}
        for place, finding in enumerate(findings, start=1):
            yield from self.finding(place, finding, titles)

    def finding(self, place: int, finding: Mapping[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
        confidence, remedy = text(finding, "confidence"), part(finding, "remedy")
        head = f"{place}. [{translate(confidence, self.locale)}] {self.phrase(finding, 'title')}"
        for line in self.wrapped(f"{head} ({text(finding, 'id')})", "", "   "):
            yield self.paint(line, confidence if confidence in COLOURS else "heading")
        for sentence in self.evidence(finding):
            yield from self.wrapped(sentence, "   - ", "     ")
        if text(finding, "because"):
            cause = titles.get(text(finding, "because"), text(finding, "because"))
            yield from self.wrapped(self.say("follows from {cause}", cause=cause), "   - ", "     ")
        label = translate("Remedy", self.locale)
        yield from self.wrapped(f"{label}: {self.phrase(finding, 'say', remedy)}", "   ", "     ")
        if text(remedy, "variable") or "to" in remedy:
            change = f"{_value(remedy.get('from'))} -> {_value(remedy.get('to'))}" if "to" in remedy else ""
            name = text(remedy, "variable")
            yield from self.wrapped(
                f"{name}: {change}" if name and change else name or change, "     ", "       "
            )
        if text(remedy, "sql"):
            yield from self.wrapped(text(remedy, "sql"), "     ", "       ")
        if text(remedy, "app"):
            app = translate("In the app", self.locale)
            yield from self.wrapped(f"{app}: {self.phrase(finding, 'app', remedy)}", "     ", "       ")

    def phrase(self, finding: Mapping[str, Any], key: str, holder: Mapping[str, Any] | None = None) -> str:
        """A sentence of a finding in the report's language; the English one where there is no other."""
        packed = part(finding, "phrases").get(key)
        return self.unpacked(packed) or text(finding if holder is None else holder, key)

    def evidence(self, finding: Mapping[str, Any]) -> list[str]:
        packed = part(finding, "phrases").get("evidence")
        english = finding.get("evidence") or []
        if not isinstance(packed, list) or len(packed) != len(english):
            return [str(sentence) for sentence in english]
        return [self.unpacked(one) or str(sentence) for one, sentence in zip(packed, english, strict=True)]

    def unpacked(self, packed: Any) -> str:
        if not isinstance(packed, list | tuple) or len(packed) != 2:
            return ""
        return fill(packed[0], packed[1], self.locale)

    # Sections

    def section(self, heading: str, name: str, body: Callable[[], Iterable[str]]) -> Iterator[str]:
        yield ""
        yield self.heading(heading, "-")
        state = part(self.facts, "sections", name)
        problem = _problem(state)
        if problem:
            word = "unable" if text(state, "state") == "unable" else "incomplete"
            yield cut(f"  {translate(word, self.locale)}: {problem}", self.width)
            if word == "unable":
                return
        shown = list(body())
        yield from shown or [f"  {translate('none' if state else 'not asked', self.locale)}"]

    def wrapped(self, line: str, first: str, rest: str | None = None) -> list[str]:
        return wrap(line, self.width, first, first if rest is None else rest)

    def table(
        self, head: Row, body: Sequence[Row], right: Sequence[int] = (), most: int = MOST_ROWS
    ) -> Iterator[str]:
        """The last column takes what is left of the width, and is cut."""
        if not body:
            return
        titles = tuple(translate(title, self.locale) for title in head)
        widths = [max(columns(_plain(row[column])) for row in (titles, *body)) for column in range(len(head))]
        # A long name must not push the figures beside it off the screen.
        widths = [min(each, self.width // 4) for each in widths]
        for row in (titles, *body[:most]):
            cells = [
                _pad(cut(cell, widths[column]), widths[column], column in right)
                for column, cell in enumerate(row[:-1])
            ]
            used = 2 + sum(columns(cell) + 2 for cell in cells)
            last = cut(row[-1], max(self.width - used, 1))
            if len(row) - 1 in right:
                last = _pad(last, min(widths[-1], self.width - used), True)
            yield cut("  " + "  ".join([*cells, last]).rstrip(), self.width)
        if len(body) > most:
            yield "  " + self.say("left out: {what}", what=len(body) - most)

    def processes(self) -> Iterator[str]:
        body = []
        for container in rows(self.facts, "containers"):
            hungry = sorted(rows(container, "processes"), key=lambda row: -known(row, "cpu_percent"))[
                :MOST_PROCESSES
            ]
            body += [
                (
                    text(container, "service") if place == 0 else "",
                    self.cell(number(row, "pid")),
                    self.percent(row, "cpu_percent"),
                    self.size(row, "rss"),
                    text(row, "command"),
                )
                for place, row in enumerate(hungry)
            ]
        yield from self.table(("container", "PID", "CPU", "RSS", "process"), body, (1, 2, 3), most=len(body))

    def tasks(self) -> Iterator[str]:
        body = [
            (
                self.cell(duration(number(row, "seconds"))),
                text(row, "worker"),
                f"{text(row, 'name')} {text(row, 'arguments')}".strip(),
            )
            for row in sorted(rows(self.facts, "tasks", "running"), key=lambda row: -known(row, "seconds"))
        ]
        yield from self.table(("time", "worker", "task"), body, (0,))
        silent = part(self.facts, "tasks").get("silent")
        if isinstance(silent, list) and silent:
            yield from self.wrapped(
                self.say("no answer from {workers}", workers=", ".join(map(str, silent))), "  "
            )

    def task_memory(self) -> Iterator[str]:
        body = [
            (
                self.cell(number(row, "runs")),
                self.cell(size(known(row, "mean"))),
                self.cell(size(known(row, "peak"))),
                text(row, "name"),
            )
            for row in rows(self.facts, "tasks", "memory")
        ]
        yield from self.table(("runs", "mean", "peak", "task"), body, (0, 1, 2))
        for row in rows(self.facts, "tasks", "killed"):
            yield from self.wrapped(
                self.say(
                    "killed with its process in {worker}: {task}, which began {time} ago",
                    worker=text(row, "worker"),
                    task=text(row, "name"),
                    time=duration(number(row, "began_seconds_ago")),
                ),
                "  ",
            )

    def errors(self) -> Iterator[str]:
        for container in rows(self.facts, "containers"):
            for error in rows(container, "log", "errors"):
                times = f" x{error['count']}" if known(error, "count") > 1 else ""
                ago = self.say("{time} ago", time=duration(number(error, "seconds_ago")))
                yield from self.wrapped(
                    f"{text(container, 'service')} {ago}{times}: {cut(text(error, 'text'), 2 * self.width)}",
                    "  ",
                    "    ",
                )

    def database(self) -> Iterator[str]:
        database = part(self.facts, "database")
        counted = sorted(rows(database, "connections"), key=lambda row: -known(row, "count"))
        if counted:
            total = sum(known(row, "count") for row in counted)
            most = number(database, "max_connections")
            yield from self.wrapped(self.say("{count} of {most} connections", count=total, most=most), "  ")
        yield from self.table(
            ("count", "state", "oldest", "user", "application"),
            [
                (
                    self.cell(number(row, "count")),
                    text(row, "state") or "-",
                    self.cell(duration(number(row, "oldest_seconds"))),
                    text(row, "user") or "-",
                    text(row, "application") or "-",
                )
                for row in counted
            ],
            (0, 2),
        )
        queries = sorted(rows(database, "queries"), key=lambda row: -known(row, "seconds"))
        if queries:
            yield f"  {translate('Active queries', self.locale)}:"
        for row in queries[:MOST_ROWS]:
            blockers = row.get("blocked_by")
            held = (
                f" [{self.say('blocked by {pids}', pids=', '.join(map(str, blockers)))}]" if blockers else ""
            )
            yield from self.wrapped(
                f"{self.cell(number(row, 'pid'))} {self.cell(duration(number(row, 'seconds')))}"
                f" {text(row, 'state')}{held}: {cut(text(row, 'statement'), 3 * self.width)}",
                "  ",
                "    ",
            )

    def containers(self) -> Iterator[str]:
        body = [
            (
                text(row, "service"),
                self.percent(row, "cpu_percent"),
                self.percent(row, "throttled_percent"),
                self.size(row, "memory"),
                self.size(row, "memory_limit"),
                self.cell(number(row, "restarts")),
                " ".join(filter(None, (text(row, "status"), text(row, "health")))) or "-",
            )
            for row in sorted(rows(self.facts, "containers"), key=lambda row: -known(row, "cpu_percent"))
        ]
        head = ("container", "CPU", "throttled", "memory", "limit", "restarts", "status")
        yield from self.table(head, body, (1, 2, 3, 4, 5), most=len(body))

    def server(self) -> Iterator[str]:
        server, memory = part(self.facts, "server"), part(self.facts, "server", "memory")
        if not server:
            return
        load = server.get("load")
        yield from self.wrapped(
            self.say(
                "CPU {busy} % of {cores} cores (user {user}, system {system}, disk wait {wait},"
                " stolen {steal}); load {load}",
                cores=number(server, "cores"),
                load=" ".join(map(str, load)) if isinstance(load, list) else None,
                **{
                    key: number(server, f"{name}_percent")
                    for key, name in (
                        ("busy", "busy"),
                        ("user", "user"),
                        ("system", "system"),
                        ("wait", "iowait"),
                        ("steal", "steal"),
                    )
                },
            ),
            "  ",
            "    ",
        )
        yield from self.wrapped(
            self.say(
                "Memory {available} available of {total}; swap {used} of {swap} (in {into} MB/s, out {out})",
                available=self.size(memory, "available"),
                total=self.size(memory, "total"),
                used=self.size(memory, "swap_used"),
                swap=self.size(memory, "swap_total"),
                into=megabytes(number(memory, "swap_in_per_second")),
                out=megabytes(number(memory, "swap_out_per_second")),
            ),
            "  ",
            "    ",
        )
        pressure = part(server, "pressure")
        waits = {name: number(part(pressure, name), "some") for name in ("cpu", "memory", "io")}
        yield from self.wrapped(
            self.say("Pressure: CPU {cpu} %, memory {memory} %, disk {io} % of the time", **waits)
            if pressure
            else translate("Pressure: the kernel does not tell", self.locale),
            "  ",
        )
        if "oom_kills_total" in server:
            yield from self.wrapped(
                self.say("OOM kills: {count}", count=number(server, "oom_kills_total")), "  "
            )
        for kill in rows(server, "oom_kills")[:MOST_PROCESSES]:
            ago = duration(number(kill, "seconds_ago"))
            told = self.say(
                "{ago} ago: {process} of {service}",
                ago=ago,
                process=text(kill, "process"),
                service=text(kill, "service"),
            )
            yield from self.wrapped(told, "    ")
        for disk in rows(server, "disks"):
            yield from self.wrapped(
                self.say(
                    "Disk {mountpoint}: {percent} % full",
                    mountpoint=text(disk, "mountpoint"),
                    percent=number(disk, "percent"),
                ),
                "  ",
            )

    def queues(self) -> Iterator[str]:
        body = [
            (
                *(self.cell(number(row, key)) for key in ("ready", "unacknowledged", "consumers")),
                text(row, "name"),
            )
            for row in sorted(rows(self.facts, "tasks", "queues"), key=lambda row: -known(row, "ready"))
        ]
        yield from self.table(("ready", "unacked", "consumers", "queue"), body, (0, 1, 2))

    def web(self) -> Iterator[str]:
        workers = rows(self.facts, "web", "workers")
        if workers:
            states = [row.get("busy") for row in workers]
            busy = None if any(state is None for state in states) else sum(map(bool, states))
            connections = number(part(self.facts, "web"), "connections")
            yield from self.wrapped(
                self.say(
                    "{busy} of {all} busy, {connections} connections",
                    busy=busy,
                    all=len(workers),
                    connections=connections,
                ),
                "  ",
            )

    def strangers(self) -> Iterator[str]:
        body = [
            (
                self.cell(number(row, "pid")),
                self.percent(row, "cpu_percent"),
                self.size(row, "rss"),
                text(row, "user") or "-",
                text(row, "unit") or "-",
                text(row, "command"),
            )
            for row in rows(self.facts, "strangers")
        ]
        yield from self.table(("PID", "CPU", "RSS", "user", "unit", "process"), body, (0, 1, 2))

    def deploys(self) -> Iterator[str]:
        body = [
            (
                self.cell(duration(number(row, "seconds_ago"))),
                text(row, "version") or text(row, "id"),
                text(row, "by") or "-",
                f"{text(row, 'result')} {text(row, 'reason')}".strip(),
            )
            for row in rows(self.facts, "deploys")
        ]
        yield from self.table(("ago", "version", "by", "result"), body, (0,))

    def percent(self, row: Mapping[str, Any], key: str) -> str:
        value = number(row, key)
        return "-" if value is None else f"{value:.0f} %"

    def size(self, row: Mapping[str, Any], key: str) -> str:
        value = number(row, key)
        return "-" if value is None else size(value)


def _problem(state: Any) -> str:
    """Why a section is incomplete; empty where it is whole."""
    if not isinstance(state, Mapping) or text(state, "state") in ("", "ok"):
        return ""
    return text(state, "problem") or text(state, "state")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return "?" if value is None else str(value)
