"""Each cause is the top finding where it is the cause, silent just below it, and ranks above its symptoms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit._diagnosis_facts import (
    CHART,
    CONFIG,
    CREATE,
    SLOW,
    M,
    connection,
    container,
    healthy,
    kind,
    queue,
    service,
    sick,
)
from tests.unit.diagnosis_modules import PACKAGE, load_diagnosis

rules = load_diagnosis("rules")
evidence = load_diagnosis("evidence")
finding = load_diagnosis("finding")
thresholds = load_diagnosis("thresholds")
verdict = load_diagnosis("verdict")
words = load_diagnosis("words")

Facts = dict[str, Any]
Change = Callable[[Facts], Any]


def both(*changes: Change) -> Change:
    def change(facts: Facts) -> None:
        for each in changes:
            each(facts)

    return change


def running(seconds: float, task: str = CHART, worker: str = "celery") -> dict[str, Any]:
    return {"id": "x", "name": task, "worker": worker, "seconds": seconds, "arguments": ""}


def query(pid: int, seconds: float, **changed: Any) -> dict[str, Any]:
    return {
        "pid": pid,
        "seconds": seconds,
        "state": "active",
        "wait": "",
        "application": "celery",
        "statement": SLOW,
        "blocked_by": [],
        **changed,
    }


def saturated(facts: Facts, percent: float) -> None:
    facts["server"]["busy_percent"] = percent
    facts["server"]["pressure"]["cpu"]["some"] = percent / 2


def slow_table(facts: Facts, mean: float = 2400.0, seconds: float = 3.0) -> None:
    database = facts["database"]
    database["statements"][0]["mean_ms"] = mean
    database["queries"].append(query(60, seconds))
    database["table"]["seq_scans"] += 6
    database["advice"] = {"sql": CREATE, "bytes": 60 * M, "rows_matching": 9000}
    service(facts, "postgres")["cpu_percent"] = 120.0


def overlapping(facts: Facts, *seconds: float, busy: float = 97.0) -> None:
    facts["tasks"]["running"] = [running(each) for each in seconds]
    saturated(facts, busy)


def backlog(facts: Facts, ready: int, then: int, at_work: int = 2) -> None:
    facts["tasks"]["queues"][0] |= {"ready": ready, "published": 5000}
    facts["before"]["queues"]["default"] = {"ready": then, "published": 4520}
    facts["tasks"]["workers"][0]["running"] = at_work


def killed(facts: Facts, seconds_ago: float = 12.0) -> None:
    ai = service(facts, "celery-ai")
    ai |= {"memory_limit": 350 * M, "memory_peak": 350 * M, "oom_kills": 1}
    kill = {
        "seconds_ago": seconds_ago,
        "pid": 1,
        "process": "celery",
        "container": ai["id"],
        "service": "celery-ai",
    }
    facts["server"]["oom_kills"] = [{**kill, "rss": 300 * M}]
    facts["before"]["containers"][ai["id"]]["oom_kills"] = 0 if seconds_ago < 60 else 1
    facts["tasks"]["running"].append(running(9.0, "music.tasks.ai_music.generate_music_task", "celery-ai"))


def quota(facts: Facts, throttled: float, cpu: float = 49.0) -> None:
    service(facts, "backend").update(quota_cores=0.5, throttled_percent=throttled, cpu_percent=cpu)


def strangers(facts: Facts, cpu: float, count: int = 2) -> None:
    facts["strangers"] += [
        {
            "pid": 900 + number,
            "command": "/usr/bin/stress-ng --cpu 1",
            "user": "kim",
            "cpu_percent": cpu,
            "rss": M,
            "unit": "cron.service",
        }
        for number in range(count)
    ]
    saturated(facts, 95.0 if cpu * count >= 50 else 60.0)


def unread(facts: Facts, name: str, ready: int = 4, consumers: int = 0) -> None:
    facts["tasks"]["queues"].append(queue(name, ready=ready, consumers=consumers))


def retries(facts: Facts, retried: int, succeeded: int = 5) -> None:
    facts["tasks"]["kinds"][0] |= {"retried": 10_000 + retried, "succeeded": 20_000 + succeeded}
    facts["before"]["kinds"][CHART] |= {"retried": 10_000, "succeeded": 20_000}


def connections(facts: Facts, *found: dict[str, Any]) -> None:
    facts["database"]["connections"] = list(found)


def opened(facts: Facts, count: int) -> None:
    facts["database"]["opened_total"] = facts["before"]["database"]["opened_total"] + count


def opened_by_tasks(facts: Facts, count: int) -> None:
    """Each run of a task opens one connection."""
    opened(facts, count)
    facts["tasks"]["kinds"][0]["started"] += count


def logged(facts: Facts, name: str, **log: Any) -> None:
    service(facts, name)["log"] |= log


def deployed(facts: Facts, seconds_ago: float = 300.0, **changed: Any) -> None:
    facts["deploys"].insert(
        0,
        {
            "id": "3",
            "version": "3.0",
            "seconds_ago": seconds_ago,
            "by": "lee",
            "result": "deployed",
            "reason": "",
            **changed,
        },
    )


def broken_release(facts: Facts, count: int = 200, seconds_ago: float = 300.0) -> None:
    deployed(facts, seconds_ago)
    logged(facts, "backend", errors=[{"seconds_ago": 2.0, "text": "KeyError: 'plays'", "count": count}])


def blocked(facts: Facts, seconds: float = 40.0) -> None:
    facts["database"]["queries"] += [
        query(70, 300.0, state="idle in transaction", statement="UPDATE music_playlogs SET plays = ?"),
        query(71, seconds, blocked_by=[70]),
        query(72, seconds, blocked_by=[71, 70]),
    ]


def restarting(facts: Facts, name: str = "rabbitmq", **changed: Any) -> None:
    service(facts, name).update(
        status="restarting", restarts=9, exit_code=1, started_seconds_ago=3.0, cpu_percent=None, **changed
    )


def shortage(facts: Facts, available: int, swapped: float) -> None:
    facts["server"]["memory"] |= {"available": available * M, "swap_out_per_second": swapped}
    facts["server"]["pressure"]["memory"]["some"] = 30.0 if swapped > M else 1.0


def busy(facts: Facts, percent: float = 99.0) -> None:
    saturated(facts, percent)
    service(facts, "celery")["cpu_percent"] = 180.0


# cause -> what makes it, and a near miss that must stay quiet.
CASES: dict[str, tuple[Change, Change]] = {
    "missing-index": (slow_table, lambda facts: slow_table(facts, mean=40.0, seconds=0.2)),
    "task-outgrew-period": (
        lambda facts: overlapping(facts, 700.0, 100.0),
        lambda facts: overlapping(facts, 400.0, busy=60.0),
    ),
    "worker-concurrency": (
        lambda facts: backlog(facts, 80, 20),
        lambda facts: backlog(facts, 80, 20, at_work=1),
    ),
    "memory-limit": (killed, lambda facts: killed(facts, seconds_ago=5000.0)),
    "cpu-quota": (lambda facts: quota(facts, 70.0), lambda facts: quota(facts, 10.0)),
    "connection-leak": (
        lambda facts: connections(
            facts, connection("idle in transaction", 6, 900.0), connection("idle", 6, 900.0)
        ),
        lambda facts: connections(
            facts, connection("idle in transaction", 4, 4.0), connection("idle", 8, 9000.0)
        ),
    ),
    "connection-storm": (lambda facts: opened(facts, 1200), lambda facts: opened(facts, 200)),
    "connections-exhausted": (
        lambda facts: connections(facts, connection("active", 93, 2.0)),
        lambda facts: connections(facts, connection("active", 70, 2.0)),
    ),
    "queue-unread": (lambda facts: unread(facts, "nobody"), lambda facts: unread(facts, "nobody", ready=0)),
    "retry-storm": (lambda facts: retries(facts, 300), lambda facts: retries(facts, 300, succeeded=3000)),
    "log-flood": (
        lambda facts: logged(facts, "backend", per_second=900.0),
        lambda facts: logged(facts, "backend", per_second=20.0),
    ),
    "noisy-neighbour": (lambda facts: strangers(facts, 80.0), lambda facts: strangers(facts, 12.0)),
    "recent-deploy": (broken_release, lambda facts: broken_release(facts, count=8)),
    "blocked-queries": (blocked, lambda facts: blocked(facts, seconds=1.0)),
    "container-restarting": (
        restarting,
        lambda facts: service(facts, "rabbitmq").update(status="exited", exit_code=143),
    ),
    "host-memory": (lambda facts: shortage(facts, 90, 8.0 * M), lambda facts: shortage(facts, 400, 0.2 * M)),
    "cpu-busy": (busy, lambda facts: busy(facts, 70.0)),
}


def found(facts: Facts, symptom: str = "", config: Facts = CONFIG) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = verdict.findings(facts, config, symptom)
    return result


def ids(facts: Facts, symptom: str = "") -> list[str]:
    return [each["id"] for each in found(facts, symptom)]


def test_the_task_that_ran_when_the_kernel_killed_is_named_with_what_its_runs_took() -> None:
    """G6.2"""
    facts = healthy()
    killed(facts)
    facts["tasks"]["killed"] = [
        {"name": CHART, "id": "1", "worker": "celery-ai", "began_seconds_ago": 30.0},
        {"name": "long.ago", "id": "2", "worker": "celery-ai", "began_seconds_ago": 90000.0},
    ]

    evidence = found(facts)[0]["evidence"]

    assert f"Its process was killed in task {CHART}" in evidence
    assert f"Runs of {CHART} that ended took 66M on average, 70M at most" in evidence
    assert "long.ago" not in str(evidence)


def test_one_connection_for_each_run_of_a_task_is_no_storm() -> None:
    facts = healthy()
    opened_by_tasks(facts, 1200)

    assert "connection-storm" not in [finding["id"] for finding in found(facts)]


def test_a_healthy_server_has_no_finding() -> None:
    assert found(healthy()) == []


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == sorted(rule.id for rule in rules.RULES)


def test_the_confusion_table_is_diagonal() -> None:
    table = {cause: ids(sick(make))[:1] for cause, (make, _) in CASES.items()}
    assert table == {cause: [cause] for cause in CASES}


@pytest.mark.parametrize("cause", CASES)
def test_a_near_miss_is_no_finding(cause: str) -> None:
    assert ids(sick(CASES[cause][1])) == []


@pytest.mark.parametrize("cause", CASES)
def test_a_finding_says_what_shows_it_and_what_to_do(cause: str) -> None:
    first = found(sick(CASES[cause][0]))[0]
    assert all(
        any(letter.isdigit() for letter in sentence) or "unknown" in sentence
        for sentence in first["evidence"][:1]
    )
    assert first["remedy"]["say"]
    assert 0 < first["score"] <= 1
    assert first["confidence"] in ("high", "medium", "low")
    assert set(first["remedy"]) <= {"say", "variable", "from", "to", "sql", "app"}


@pytest.mark.parametrize("cause", [cause for cause in CASES if cause != "cpu-busy"])
def test_a_busy_server_does_not_hide_a_cause(cause: str) -> None:
    facts = sick(CASES[cause][0])
    busy(facts)
    assert ids(facts)[0] == cause


# (cause, symptom): both are made at once, and the cause comes first.
EXPLAINED = [(rule.id, symptom) for rule in rules.RULES for symptom in (*rule.explains, *rule.explains_same)]


def test_the_relation_names_rules_and_has_no_circle() -> None:
    known = {rule.id: {*rule.explains, *rule.explains_same} for rule in rules.RULES}
    left = dict(known)
    while left:
        free = [cause for cause in left if not any(cause in symptoms for symptoms in left.values())]
        assert free, f"a circle among {sorted(left)}"
        for cause in free:
            assert left.pop(cause) <= set(known)


@pytest.mark.parametrize(("cause", "symptom"), EXPLAINED)
def test_a_cause_ranks_above_its_symptom(cause: str, symptom: str) -> None:
    def ranked(rule: Any, confidence: str) -> Any:
        one = finding.Found("same", words.say("x"), [], confidence, 0.5, finding.Remedy(words.say("y")))
        return verdict.Ranked(rule, one, verdict.BASE[confidence] + 0.1)

    by_id = {rule.id: rule for rule in rules.RULES}
    order = verdict.explained([ranked(by_id[symptom], "high"), ranked(by_id[cause], "medium")])
    assert [each.rule.id for each in order] == [cause, symptom]
    assert order[1].because == cause
    guessed = verdict.explained([ranked(by_id[symptom], "high"), ranked(by_id[cause], "low")])
    assert [each.rule.id for each in guessed] == [symptom, cause]


@pytest.mark.parametrize(
    ("changes", "order"),
    [
        (
            [slow_table, lambda facts: overlapping(facts, 700.0, 100.0)],
            ["missing-index", "task-outgrew-period"],
        ),
        ([slow_table, lambda facts: backlog(facts, 80, 20)], ["missing-index", "worker-concurrency"]),
        (
            [
                blocked,
                lambda facts: connections(
                    facts, connection("idle in transaction", 9, 900.0), connection("active", 85, 9)
                ),
            ],
            ["blocked-queries", "connection-leak", "connections-exhausted"],
        ),
        (
            [killed, lambda facts: restarting(facts, "celery-ai", oom_killed=True)],
            ["memory-limit", "container-restarting"],
        ),
        (
            [broken_release, lambda facts: restarting(facts, "backend")],
            ["recent-deploy", "container-restarting"],
        ),
        (
            [lambda facts: strangers(facts, 90.0), lambda facts: backlog(facts, 80, 20)],
            ["noisy-neighbour", "worker-concurrency", "cpu-busy"],
        ),
        (
            [lambda facts: retries(facts, 900), lambda facts: logged(facts, "celery", per_second=200.0)],
            ["retry-storm", "log-flood"],
        ),
        ([killed, lambda facts: shortage(facts, 90, 8.0 * M)], ["memory-limit", "host-memory"]),
    ],
)
def test_causes_and_symptoms_together(changes: list[Change], order: list[str]) -> None:
    told = [cause for cause in ids(sick(both(*changes))) if cause in order]
    assert told == order


def test_another_services_restarts_are_no_consequence_of_a_limit() -> None:
    facts = sick(killed)
    restarting(facts, "rabbitmq")
    because = {each["id"]: each["because"] for each in found(facts)}
    assert because["container-restarting"] == ""


def test_a_deploy_is_mentioned_and_does_not_take_the_place_of_the_cause() -> None:
    facts = sick(lambda facts: retries(facts, 300))
    deployed(facts, 400.0)
    busy(facts)
    assert ids(facts)[0] == "retry-storm"
    assert any("Release 3.0 went live 7 min ago" in sentence for sentence in found(facts)[0]["evidence"])


def test_the_first_deploy_is_no_suspect() -> None:
    facts = sick(broken_release)
    facts["deploys"] = facts["deploys"][:1]
    assert "recent-deploy" not in ids(facts)


@pytest.mark.parametrize(
    ("symptom", "first"),
    [("cpu", "noisy-neighbour"), ("memory", "memory-limit"), ("connections", "connection-leak")],
)
def test_a_symptom_comes_first_and_hides_nothing(symptom: str, first: str) -> None:
    def everything(facts: Facts) -> None:
        strangers(facts, 80.0)
        killed(facts)
        connections(facts, connection("idle in transaction", 6, 900.0))

    told = ids(sick(everything), symptom)
    assert told[0] == first
    assert {"noisy-neighbour", "memory-limit", "connection-leak"} <= {*told}


def test_the_cause_of_a_symptom_comes_with_it() -> None:
    make = both(
        killed,
        lambda facts: restarting(facts, "celery-ai", oom_killed=True),
        lambda facts: unread(facts, "nobody", ready=900),
    )
    assert ids(sick(make))[0] == "queue-unread"
    assert ids(sick(make), "memory")[:2] == ["memory-limit", "container-restarting"]


# Remedies: the figure that follows from the facts.


@pytest.mark.parametrize(
    ("make", "variable", "current", "proposed"),
    [
        (killed, "app_stack_workers[celery-ai].memory", "350M", "448M"),
        (lambda facts: backlog(facts, 80, 20), "app_stack_workers[celery].concurrency", 2, 5),
        (lambda facts: unread(facts, "default2"), "app_stack_task_routes", None, None),
        (lambda facts: shortage(facts, 90, 8.0 * M), "sizing", "manual", "auto"),
        (broken_release, None, "3.0", "2.0"),
    ],
)
def test_remedies_name_the_variable_and_its_value(
    make: Change, variable: str, current: Any, proposed: Any
) -> None:
    remedy = found(sick(make))[0]["remedy"]
    assert (remedy.get("variable"), remedy.get("from"), remedy.get("to")) == (variable, current, proposed)


def test_the_index_is_the_advised_one() -> None:
    assert found(sick(slow_table))[0]["remedy"]["sql"] == CREATE


def test_tasks_that_compute_need_cores_and_not_slots() -> None:
    def computing(facts: Facts) -> None:
        backlog(facts, 80, 20)
        service(facts, "celery")["cpu_percent"] = 190.0

    remedy = found(sick(computing))[0]["remedy"]
    assert "5 slots need 5 cores, and the server has 2" in remedy["say"]
    assert "variable" not in remedy


def test_more_slots_need_more_memory() -> None:
    def full(facts: Facts) -> None:
        backlog(facts, 80, 20)
        service(facts, "celery")["memory"] = 400 * M

    assert "app_stack_workers[celery].memory with it to 1280M" in found(sick(full))[0]["remedy"]["say"]


def test_a_silent_worker_is_judged_by_what_the_broker_gave_it() -> None:
    def silent(facts: Facts) -> None:
        backlog(facts, 80, 20)
        facts["tasks"]["workers"] = None
        facts["tasks"]["queues"][0]["unacknowledged"] = 4

    first = found(sick(silent))[0]
    assert (first["id"], first["confidence"]) == ("worker-concurrency", "medium")


@pytest.mark.parametrize(
    ("name", "sentence", "variable", "proposed"),
    [
        ("routed", "The routes send tasks there", "app_stack_workers[celery].queues", ["default", "routed"]),
        ("nobody", "no route names it", "app_stack_task_routes", None),
    ],
)
def test_an_unread_queue_says_who_should_read_it(
    name: str, sentence: str, variable: str, proposed: Any
) -> None:
    config = copy.deepcopy(CONFIG)
    config["routes"]["music.tasks.covers.*"] = {"queue": "routed"}
    first = found(sick(lambda facts: unread(facts, name)), config=config)[0]
    assert any(sentence in each for each in first["evidence"])
    assert (first["remedy"]["variable"], first["remedy"].get("to")) == (variable, proposed)


def test_the_default_queue_of_a_worker_without_queues_is_unread() -> None:
    """T5: a worker reads `celery`, the tasks go to `default`."""
    config = copy.deepcopy(CONFIG)
    config["workers"][0]["queues"] = ["celery"]
    facts = sick(lambda facts: facts["tasks"]["queues"][0].update(consumers=0, ready=400))
    first = found(facts, config=config)[0]
    assert (first["id"], first["about"]) == ("queue-unread", "default")
    assert first["remedy"]["to"] == ["celery", "default"]


def test_a_route_that_matches_no_task_is_named() -> None:
    """T6: the key misses the module in which the task is registered."""
    config = copy.deepcopy(CONFIG)
    config["routes"] = {
        "music.tasks.generate_music_task": {"queue": "ai_queue"},
        "music.tasks.*": {"queue": "other"},
    }
    first = found(sick(lambda facts: unread(facts, "other")), config=config)[0]
    assert any("registered as music.tasks.ai_music.generate_music_task" in each for each in first["evidence"])


def test_a_worker_that_is_being_replaced_leaves_no_unread_queue() -> None:
    def replaced(facts: Facts) -> None:
        facts["tasks"]["queues"][0].update(consumers=0, ready=30)

    assert ids(sick(replaced)) == ["queue-unread"]
    assert ids(sick(both(replaced, lambda facts: deployed(facts, 60.0)))) == []


def test_connections_that_the_settings_allow_are_no_leak_during_a_rollout() -> None:
    def many(facts: Facts) -> None:
        connections(facts, connection("idle", 13, 500.0))

    assert ids(sick(many)) == ["connection-leak"]
    second = container("backend", id="backend2")
    assert ids(sick(both(many, lambda facts: facts["containers"].append(second)))) == []


def test_a_storm_without_kept_connections_names_the_setting() -> None:
    config = copy.deepcopy(CONFIG)
    config["web"]["conn_max_age"] = 0
    remedy = found(sick(lambda facts: opened(facts, 1200)), config=config)[0]["remedy"]
    assert (remedy["variable"], remedy["from"], remedy["to"]) == ("app_stack_database_conn_max_age", 0, 60)


def test_a_storm_after_recycling_names_the_setting() -> None:
    facts = sick(lambda facts: opened(facts, 1200))
    for worker in facts["web"]["workers"]:
        worker["age"] = 8.0
    assert found(facts)[0]["remedy"]["variable"] == "app_stack_backend_max_requests"


def test_settings_that_open_too_much_are_made_to_fit() -> None:
    config = copy.deepcopy(CONFIG)
    config["web"] |= {"workers": 40, "threads": 4}
    facts = sick(lambda facts: connections(facts, connection("active", 97, 2.0)))
    remedy = found(facts, config=config)[0]["remedy"]
    # 97 free, 4 for workers and beat: 93 / 4 threads.
    assert (remedy["variable"], remedy["from"], remedy["to"]) == ("app_stack_backend_workers", 40.0, 23)


def test_little_room_below_a_limit_is_a_likely_cause() -> None:
    first = found(sick(lambda facts: service(facts, "backend").update(memory=580 * M)))[0]
    assert (first["id"], first["confidence"], first["remedy"]["to"]) == ("memory-limit", "medium", "768M")


@pytest.mark.parametrize("name", ["postgres", "cadvisor"])
def test_a_cache_that_fills_its_limit_is_no_finding(name: str) -> None:
    assert (
        ids(sick(lambda facts: service(facts, name).update(memory=service(facts, name)["memory_limit"])))
        == []
    )


def test_a_kill_in_a_container_that_was_replaced_counts_for_its_service() -> None:
    facts = sick(killed)
    facts["server"]["oom_kills"][0]["container"] = "0123456789ab"
    facts["before"] = None
    service(facts, "celery-ai")["oom_kills"] = 0
    first = found(facts)[0]
    assert (first["id"], first["about"]) == ("memory-limit", "celery-ai")
    assert any("generate_music_task" in sentence for sentence in first["evidence"])


def test_a_period_that_fits_is_proposed() -> None:
    remedy = found(sick(lambda facts: overlapping(facts, 700.0, 100.0)))[0]["remedy"]
    # 700 s and a half, in whole minutes.
    assert "Start it every 1080 s instead of 600 s" in remedy["app"]


def test_what_is_left_open_is_ended_and_nothing_else() -> None:
    sql = found(sick(CASES["connection-leak"][0]))[0]["remedy"]["sql"]
    assert "state = 'idle in transaction' AND usename = 'app'" in sql
    assert "ALTER ROLE \"app\" SET idle_in_transaction_session_timeout = '120s';" in sql
    assert evidence.literal("o'neil") == "'o''neil'"


def test_counters_that_began_anew_are_no_negative_rates() -> None:
    facts = sick(lambda facts: facts["database"].update(opened_total=30))
    assert ids(facts) == []


def test_without_an_earlier_look_totals_are_asked_with_less_confidence() -> None:
    facts = sick(lambda facts: retries(facts, 300))
    facts["tasks"]["kinds"][0]["succeeded"] = 100
    facts["before"] = None
    assert [(each["id"], each["confidence"]) for each in found(facts)] == [("retry-storm", "medium")]


def test_a_threshold_of_the_inventory_counts() -> None:
    config = {**CONFIG, "thresholds": {"cpu_busy": 40, "cpu_pressure": 2, "blocked": None, "leaked": True}}
    assert [each["id"] for each in found(healthy(), config=config)] == ["cpu-busy"]
    assert set(thresholds.of(config)) == set(thresholds.THRESHOLDS)
    assert all(each.unit and each.reason and each.default > 0 for each in thresholds.THRESHOLDS.values())


@pytest.mark.parametrize(("mean", "told"), [(60.0, False), (150.0, True)])
def test_a_scan_in_memory_is_slow_from_a_tenth_of_a_second_on(mean: float, told: bool) -> None:
    facts = sick(lambda facts: slow_table(facts, mean=mean, seconds=0.1))
    assert ("missing-index" in ids(facts)) == told


def test_another_table_with_a_similar_name_is_not_meant() -> None:
    facts = sick(slow_table)
    for row in (*facts["database"]["statements"], *facts["database"]["queries"]):
        row["statement"] = row["statement"].replace("music_playlogs", "music_playlogs_2025")
    assert "missing-index" not in ids(facts)


@pytest.mark.parametrize(
    ("pressure", "load", "told"),
    [(45.0, 0.1, True), (8.0, 9.0, False), (None, 1.9, True), (None, 1.0, False), (None, None, True)],
)
def test_a_burst_is_no_busy_server(pressure: float | None, load: float | None, told: bool) -> None:
    facts = sick(busy)
    facts["server"]["pressure"] = pressure and {"cpu": {"some": pressure}}
    facts["server"]["load"] = load and [load, 0.5, 0.5]
    assert (ids(facts) == ["cpu-busy"]) == told


def test_a_busy_server_of_no_known_cause_names_what_burns() -> None:
    facts = sick(busy)
    service(facts, "celery")["processes"][0] |= {"pid": 4711, "cpu_percent": 170.0}
    told = " ".join(found(facts)[0]["evidence"])
    for named in (
        "celery with 180 %",
        "main in celery, pid 4711",
        f"task {CHART}",
        "Outside the stack: /usr/sbin/dockerd",
    ):
        assert named in told


@pytest.mark.parametrize(("cpu", "confidence"), [(80.0, "high"), (30.0, "medium")])
def test_a_neighbour_is_as_certain_as_its_share(cpu: float, confidence: str) -> None:
    first = found(sick(lambda facts: strangers(facts, cpu)))[0]
    assert (first["id"], first["confidence"]) == ("noisy-neighbour", confidence)


def test_the_engine_and_the_tool_itself_are_no_neighbours() -> None:
    facts = sick(busy)
    for row in facts["strangers"][:2]:
        row["cpu_percent"] = 150.0
    assert ids(facts) == ["cpu-busy"]


def test_a_failed_deploy_alone_is_no_trouble_now() -> None:
    facts = sick(lambda facts: deployed(facts, result="failed", reason="backend did not become healthy"))
    assert ids(facts) == []
    broken_release(facts)
    facts["deploys"][0] |= {"result": "failed", "reason": "backend did not become healthy"}
    assert "the earlier release serves" in found(facts)[0]["remedy"]["say"]


def test_load_of_the_app_since_a_deploy_is_the_deploys() -> None:
    facts = sick(both(busy, lambda facts: deployed(facts, 120.0)))
    assert ids(facts) == ["recent-deploy", "cpu-busy"]


def test_every_threshold_is_compared_with() -> None:
    modules = (*PACKAGE.glob("rules_*.py"), PACKAGE / "evidence.py")
    sources = "".join(module.read_text(encoding="utf-8") for module in modules)
    assert [name for name in thresholds.THRESHOLDS if f'"{name}"' not in sources] == []


# What could not be learnt


def paths(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, containers of values included."""
    if path:
        yield path
    entries = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in entries:
        yield from paths(value, (*path, key))


def shapes(document: Any) -> list[tuple[Any, ...]]:
    """The first and the last place of each kind: a list's rows are alike."""
    first: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    last: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for path in paths(document):
        shape = tuple(key if isinstance(key, str) else 0 for key in path)
        first.setdefault(shape, path)
        last[shape] = path
    return list({*first.values(), *last.values()})


def without(document: Any, path: tuple[Any, ...]) -> Any:
    """A copy along the path: what no change reaches is shared."""
    changed: Any = copy.copy(document)
    changed[path[0]] = without(changed[path[0]], path[1:]) if path[1:] else None
    return changed


def everything_wrong() -> Facts:
    """All but the exhaustion, which would replace the connections of the leak."""
    return sick(both(*(make for cause, (make, _) in CASES.items() if cause != "connections-exhausted")))


def test_any_single_null_is_survived_and_never_makes_a_finding() -> None:
    sane = healthy()
    for path in paths(sane):
        assert found(without(sane, path)) == [], f"null at {path}"


def test_any_single_null_in_trouble_is_survived() -> None:
    facts = everything_wrong()
    for path in shapes(facts):
        assert found(without(facts, path)), f"null at {path}"


def test_nothing_but_nulls_is_survived() -> None:
    facts = everything_wrong()
    assert len(found(facts)) > 10

    def emptied(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: emptied(each) for key, each in value.items()}
        if isinstance(value, list):
            return [emptied(each) for each in value]
        return None

    assert found(emptied(facts)) == []
    assert found({}) == []
    assert found({}, config={}) == []
    assert found(dict.fromkeys(facts)) == []


def test_nulls_of_the_configuration_are_survived() -> None:
    facts = everything_wrong()
    for path in paths(CONFIG):
        found(facts, config=without(CONFIG, path))


@pytest.mark.parametrize(
    ("peak", "limit"),
    [(350 * M, 448), (512 * M, 640), (1, 64), (51 * M, 64), (52 * M, 128), (1024 * M, 1280)],
)
def test_the_limit_that_would_have_held(peak: int, limit: int) -> None:
    assert evidence.limit_that_holds(peak) == limit * M


def test_containers_and_kinds_of_the_builder_are_complete() -> None:
    """A fixture that lacks a key would pass as unknown and hide what a rule reads."""
    assert {*container("x")} == {*service(healthy(), "backend")}
    assert {*kind("x")} == {*healthy()["tasks"]["kinds"][0]}
