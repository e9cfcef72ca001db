"""Every sentence of the tool in English and Korean. The English one is its own key, as in gettext."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_DURATION = re.compile(r"([\d.]+) (s|min|h|d)")
_KOREAN_UNITS = {"s": "초", "min": "분", "h": "시간", "d": "일"}


@dataclass(frozen=True)
class Phrase:
    """A sentence before it is said: a template and what stands in it, None being unknown."""

    template: str
    values: Mapping[str, str | None]

    @property
    def english(self) -> str:
        return fill(self.template, self.values, "en")

    def packed(self) -> list[object]:
        """As JSON carries it beside the English sentence, so that another language can be made of it."""
        return [self.template, dict(self.values)]


def say(template: str, **values: object) -> Phrase:
    """A sentence with its figures; None is unknown and is said so."""
    return Phrase(template, {name: _shown(value) for name, value in values.items()})


def fill(template: str, values: Mapping[str, str | None], locale: str) -> str:
    """The sentence in a language; one without a translation stays English."""
    unknown = translate("unknown", locale)
    return translate(template, locale).format(
        **{name: unknown if value is None else localized(value, locale) for name, value in values.items()}
    )


def translate(english: str, locale: str) -> str:
    return KOREAN.get(english, english) if locale == "ko" else english


def localized(value: str, locale: str) -> str:
    """A value in a language: durations have words in them, names and figures do not."""
    match = _DURATION.fullmatch(value) if locale == "ko" else None
    return f"{match.group(1)}{_KOREAN_UNITS[match.group(2)]}" if match else value


def _shown(value: object) -> str | None:
    """Figures as short as they can be compared by."""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() or abs(value) >= 100 else f"{value:.3g}"
    return None if value is None else str(value)


KOREAN: dict[str, str] = {
    "unknown": "알 수 없음",
    # Rules: titles
    "Table {table} lacks an index": "{table} 테이블에 인덱스가 없습니다",
    "Task {task} takes longer than its period": "{task} 작업이 실행 주기보다 오래 걸립니다",
    "Worker {worker} has too few slots for what arrives in {queue}": (
        "{worker} 워커의 동시 실행 수가 {queue} 큐에 들어오는 작업보다 적습니다"
    ),
    "The memory limit of {service} is too small": "{service}의 메모리 제한이 너무 작습니다",
    "The CPU quota slows {service} down": "CPU 할당량 때문에 {service}가 느려집니다",
    "Connections to the database are opened and never closed": "데이터베이스 연결이 열린 뒤 닫히지 않습니다",
    "New connections to the database are opened all the time": "데이터베이스 연결이 계속 새로 열립니다",
    "The database has hardly a connection left": "데이터베이스에 남은 연결이 거의 없습니다",
    "Nobody reads queue {queue}": "{queue} 큐를 읽는 워커가 없습니다",
    "Task {task} is retried without end": "{task} 작업이 끝없이 재시도됩니다",
    "{service} floods its log": "{service}가 로그를 지나치게 많이 씁니다",
    "{program} outside the stack takes the CPU": "스택 밖의 {program}이(가) CPU를 차지합니다",
    "It began with the deploy of {version}": "{version} 배포와 함께 시작되었습니다",
    "Queries wait for a lock": "쿼리가 잠금을 기다립니다",
    "{service} does not stay up": "{service}가 계속 종료됩니다",
    "The server itself is short of memory": "서버 자체의 메모리가 부족합니다",
    "The CPU is busy, and no cause of it is known": "CPU 사용률이 높지만 원인을 찾지 못했습니다",
    # Rules: evidence
    "Table {table} has {rows} rows and no index that its query can use": (
        "{table} 테이블의 행은 {rows}개이고, 쿼리가 쓸 수 있는 인덱스가 없습니다"
    ),
    "Running for {time}: {statement}": "{time}째 실행 중: {statement}",
    "{statement}: {calls} calls, {mean} ms on average": "{statement}: {calls}회 호출, 평균 {mean} ms",
    "Read as a whole {scans} times in the last {time}": "최근 {time} 동안 테이블 전체를 {scans}번 읽었습니다",
    "Of them {rows} rows match the query": "그중 쿼리에 해당하는 행은 {rows}개입니다",
    "Runs at this moment: {runs}, the oldest for {time}": "현재 실행 중: {runs}개, 가장 오래된 것은 {time}째",
    "It starts every {period} and takes {mean} on average": "{period}마다 시작되며 평균 {mean} 걸립니다",
    "Queue {queue}: {ready} messages wait, {then} waited {ago} ago": (
        "{queue} 큐: 메시지 {ready}개 대기 중, {ago} 전에는 {then}개"
    ),
    "Busy slots of {worker}: {running} of {slots}": "{worker}에서 사용 중인 슬롯: {slots}개 중 {running}개",
    "{arrivals} tasks/s x {mean} s x 1.2 = {needed} slots": (
        "초당 작업 {arrivals}개 x {mean}초 x 1.2 = 슬롯 {needed}개"
    ),
    "OOM kills in {service}: {count}, the last {ago} ago": (
        "{service}의 OOM 강제 종료: {count}회, 마지막은 {ago} 전"
    ),
    "{service} uses {memory} of {limit} ({used} %)": "{service}가 {limit} 중 {memory}를 사용합니다 ({used}%)",
    "{peak} x 1.25, rounded up to 64M = {proposed}": "{peak} x 1.25를 64M 단위로 올림 = {proposed}",
    "Its process was killed in task {task}": "작업 {task} 실행 중에 프로세스가 종료되었습니다",
    "Runs of {task} that ended took {mean} on average, {peak} at most": (
        "끝난 {task} 실행의 메모리: 평균 {mean}, 최대 {peak}"
    ),
    "Task of this worker: {task}": "이 워커의 작업: {task}",
    "The server has only {free} left: a larger server, or fewer slots": (
        "서버에 {free}만 남았습니다: 더 큰 서버를 쓰거나 슬롯을 줄이십시오"
    ),
    "{service} is stopped in {throttled} % of its CPU periods": (
        "{service}가 CPU 주기의 {throttled}%에서 멈춥니다"
    ),
    "It uses {cpu} % of a core; its quota is {quota} cores": (
        "코어 하나의 {cpu}%를 사용하며 할당량은 {quota}코어입니다"
    ),
    "Idle connections: {count}; web threads and worker slots can own {owned}": (
        "유휴 연결: {count}개, 웹 스레드와 워커 슬롯이 가질 수 있는 연결: {owned}개"
    ),
    "Idle in transaction for over {old}: {count}": "{old} 넘게 트랜잭션을 연 채 쉬는 연결: {count}개",
    "Most belong to {application} (user {user}), the oldest for {time}": (
        "대부분 {application}(사용자 {user})의 것이며 가장 오래된 것은 {time}째입니다"
    ),
    "{rate} new connections/s in the last {time}, where {runs} tasks/s began": (
        "최근 {time} 동안 초당 새 연결 {rate}개, 시작된 작업은 초당 {runs}개"
    ),
    "Web workers younger than a minute: {young} of {all}; CONN_MAX_AGE is {keep}": (
        "시작한 지 1분이 안 된 웹 워커: {all}개 중 {young}개, CONN_MAX_AGE는 {keep}"
    ),
    "Connections: {count} of {free} ({used} %)": "연결: {free}개 중 {count}개 ({used}%)",
    "With the present settings the app opens {most} at most": (
        "현재 설정에서 앱이 여는 연결은 최대 {most}개입니다"
    ),
    "In the logs: {text}": "로그: {text}",
    "Queue {queue}: {ready} messages, {consumers} consumers": (
        "{queue} 큐: 메시지 {ready}개, 컨슈머 {consumers}개"
    ),
    "{worker} should read it and does not": "{worker}가 읽어야 하지만 읽지 않습니다",
    "The routes send tasks there, and no worker lists it": (
        "라우트가 작업을 이 큐로 보내지만 어느 워커에도 이 큐가 없습니다"
    ),
    "No worker lists it and no route names it: the sender chose it": (
        "이 큐를 읽는 워커도, 이 큐로 보내는 라우트도 없습니다. 보내는 쪽이 정한 큐입니다"
    ),
    "It is Celery's own default: whoever sends there does not know the app's routes": (
        "Celery의 기본 큐입니다. 보내는 쪽이 앱의 라우트를 모릅니다"
    ),
    "Outside the stack: {command} with {cpu} % of a core": "스택 밖: {command}, 코어 하나의 {cpu}%",
    "Route {key} matches no task; the task is registered as {task}": (
        "라우트 {key}에 맞는 작업이 없습니다. 작업은 {task}(으)로 등록되어 있습니다"
    ),
    "{rate} retries/min in the last {time}": "최근 {time} 동안 분당 재시도 {rate}회",
    "Retries since the exporter started: {retried}": "exporter 시작 이후 재시도: {retried}회",
    "Retried {retried}, succeeded {succeeded}": "재시도 {retried}회, 성공 {succeeded}회",
    "{service} writes {lines} lines/s, {volume} kB/s": "{service}가 초당 {lines}줄, {volume} kB를 씁니다",
    "{count} times: {text}": "{count}번: {text}",
    "{count} processes of {program} take {cpu} % of a core, {share} % of the server": (
        "{program} 프로세스 {count}개가 코어 하나의 {cpu}%, 서버의 {share}%를 차지합니다"
    ),
    "pid {pid} of user {user}, started by {unit}: {command}": (
        "pid {pid}, 사용자 {user}, 실행 주체 {unit}: {command}"
    ),
    "Release {version} was deployed {ago} ago by {by}": "릴리스 {version}: {ago} 전에 {by}이(가) 배포",
    "The deploy ended as {result}: {reason}": "배포 결과 {result}: {reason}",
    "{count} error lines since, most of {service}: {text}": "이후 오류 {count}줄, 대부분 {service}: {text}",
    "Crashed since: {services}": "이후 비정상 종료: {services}",
    "The app takes {cpu} % of a core": "앱이 코어 하나의 {cpu}%를 차지합니다",
    "{count} queries wait, the longest for {time}: {statement}": (
        "쿼리 {count}개가 대기 중, 최장 {time}째: {statement}"
    ),
    "Session {pid} of {application} holds it ({state} for {time}): {statement}": (
        "{application}의 세션 {pid}이(가) 잠금을 가지고 있습니다 ({state}, {time}째): {statement}"
    ),
    "Container {name} is {status}; restarts: {restarts}; last exit status: {code}": (
        "컨테이너 {name}의 상태: {status}, 재시작 {restarts}회, 마지막 종료 코드 {code}"
    ),
    "Its last error: {text}": "마지막 오류: {text}",
    "Available: {available} of {total}; swapped out {out} MB/s, in {into} MB/s": (
        "사용 가능: {total} 중 {available}, 스왑 아웃 {out} MB/s, 스왑 인 {into} MB/s"
    ),
    "Time that tasks wait for memory: {pressure} %": "메모리를 기다리는 시간: {pressure}%",
    "Limits of all containers together: {limits}; largest: {largest}": (
        "모든 컨테이너 제한의 합: {limits}, 가장 큰 것: {largest}"
    ),
    "The kernel killed {process} of the host": "커널이 호스트의 {process}을(를) 강제 종료했습니다",
    "All cores are busy for {busy} % (waiting for disks {wait} %, taken by the hypervisor {steal} %)": (
        "전체 코어 사용률 {busy}% (디스크 대기 {wait}%, 하이퍼바이저가 가져간 시간 {steal}%)"
    ),
    "Busiest container: {service} with {cpu} % of a core, this look included": (
        "CPU를 가장 많이 쓰는 컨테이너(이 진단 포함): {service}, 코어 하나의 {cpu}%"
    ),
    "Hungriest process: {command} in {service}, pid {pid}": (
        "CPU를 가장 많이 쓰는 프로세스: {service}의 {command}, pid {pid}"
    ),
    "Runs for {time}: task {task}": "{time}째 실행 중인 작업: {task}",
    "{time} ago": "{time} 전",
    "Release {version} went live {ago} ago": "릴리스 {version}이(가) {ago} 전에 배포되었습니다",
    # Rules: remedies
    "Create the index: playbooks/diagnose.yml -e apply=index, or by hand; it needs about {size}": (
        "인덱스를 만드십시오: playbooks/diagnose.yml -e apply=index, 또는 직접. 약 {size}가 필요합니다"
    ),
    "Make the task faster, or let it start less often": "작업을 빠르게 하거나 덜 자주 시작하게 하십시오",
    "Start it every {wanted} s instead of {period} s in the beat schedule, and let a run end at once "
    "while another holds its lock": (
        "beat 일정에서 {period}초 대신 {wanted}초마다 시작하고, 다른 실행이 잠금을 가지고 있으면 바로 "
        "끝나게 하십시오"
    ),
    "Give its entry in the beat schedule options={{'expires': {period}}}, so that late runs do not pile up": (
        "beat 일정 항목에 options={{'expires': {period}}}를 주어 늦은 실행이 쌓이지 않게 하십시오"
    ),
    "The tasks compute: {slots} slots need {slots} cores, and the server has {cores}; let fewer tasks "
    "arrive, make them cheaper, or move the worker to a server of its own": (
        "계산하는 작업입니다: 슬롯 {slots}개에는 코어 {slots}개가 필요하지만 서버에는 {cores}개뿐입니다. "
        "작업을 줄이거나 가볍게 하거나, 워커를 다른 서버로 옮기십시오"
    ),
    "Limit the rate of the task (rate_limit) or make it cheaper": (
        "작업의 빈도를 제한하거나(rate_limit) 가볍게 하십시오"
    ),
    "Raise the concurrency, and {variable} with it to {limit}": (
        "동시 실행 수와 함께 {variable}를 {limit}로 올리십시오"
    ),
    "Raise the concurrency; the memory limit has room for it": (
        "동시 실행 수를 올리십시오. 메모리 제한에 여유가 있습니다"
    ),
    "Raise the memory limit of {service}; a task that needs much more than the others belongs into a "
    "queue and a worker of its own": (
        "{service}의 메모리 제한을 올리십시오. 다른 작업보다 훨씬 많이 쓰는 작업은 전용 큐와 워커로 "
        "옮기십시오"
    ),
    "Raise or remove the quota: cpus in the compose file, or docker update --cpus": (
        "할당량을 올리거나 없애십시오: compose 파일의 cpus, 또는 docker update --cpus"
    ),
    "End what was left open, and let PostgreSQL end it from now on": (
        "열린 채 남은 연결을 끝내고, 앞으로는 PostgreSQL이 끝내게 하십시오"
    ),
    "Close connections that threads and scripts open outside a request (close_old_connections), and "
    "commit before slow calls": (
        "스레드와 스크립트가 요청 밖에서 연 연결을 닫고(close_old_connections), 느린 호출 전에 커밋하십시오"
    ),
    "Keep connections open between requests": "요청 사이에 연결을 유지하십시오",
    "Recycle web workers less often": "웹 워커를 덜 자주 재시작하십시오",
    "Find what opens them; the app's own connections are kept for {keep}": (
        "무엇이 여는지 찾으십시오. 앱의 연결은 {keep} 동안 유지됩니다"
    ),
    "Reuse one connection in scripts and threads instead of opening one for each query": (
        "스크립트와 스레드에서 쿼리마다 열지 말고 연결 하나를 다시 쓰십시오"
    ),
    "The settings fit: look for what else opens connections": (
        "설정은 맞습니다. 그 밖에 무엇이 연결을 여는지 찾으십시오"
    ),
    "Let the settings open fewer connections than the database gives": (
        "설정이 여는 연결 수를 데이터베이스가 허용하는 수보다 적게 하십시오"
    ),
    "See why {worker} does not consume: docker compose ps and its log": (
        "{worker}가 왜 읽지 않는지 보십시오: docker compose ps와 로그"
    ),
    "Let a worker read the queue": "워커가 이 큐를 읽게 하십시오",
    "Send the task without a queue of its own, or route it to one that a worker reads": (
        "큐를 지정하지 않고 보내거나, 워커가 읽는 큐로 라우팅하십시오"
    ),
    "Look for queue='{queue}' where the task is sent": "작업을 보내는 곳에서 queue='{queue}'를 찾으십시오",
    "Mend what fails, and let retries wait and end": "실패 원인을 고치고, 재시도에 간격과 끝을 두십시오",
    "autoretry_for with retry_backoff=True, retry_jitter=True and max_retries=5 for {task}": (
        "{task}의 autoretry_for에 retry_backoff=True, retry_jitter=True, max_retries=5"
    ),
    "Log less: the cost is CPU, and what matters is rotated away": (
        "로그를 줄이십시오. CPU를 쓰고, 중요한 줄이 순환되어 사라집니다"
    ),
    "Raise the level of the logger that writes this, or mend the error that repeats": (
        "이것을 쓰는 로거의 레벨을 올리거나, 되풀이되는 오류를 고치십시오"
    ),
    "Bound it: systemctl set-property {unit} CPUQuota=50%": (
        "제한하십시오: systemctl set-property {unit} CPUQuota=50%"
    ),
    "End it, move it, or bound it (nice, docker update --cpus)": (
        "끝내거나 옮기거나 제한하십시오 (nice, docker update --cpus)"
    ),
    "Look at the deploy's report: the earlier release serves": (
        "배포 보고서를 보십시오. 이전 릴리스가 서비스 중입니다"
    ),
    "Go back to the earlier release: playbooks/rollback.yml": (
        "이전 릴리스로 되돌리십시오: playbooks/rollback.yml"
    ),
    "End the session that holds the lock": "잠금을 가진 세션을 끝내십시오",
    "Keep transactions short: no slow call between the first write and the commit": (
        "트랜잭션을 짧게 하십시오. 첫 쓰기와 커밋 사이에 느린 호출을 두지 마십시오"
    ),
    "Read why it ends: docker logs {name}": "종료 이유를 읽으십시오: docker logs {name}",
    "Let the limits fit the server, or take a larger one": "제한을 서버에 맞추거나 더 큰 서버를 쓰십시오",
    "Begin with the process named above; a larger server is the last resort": (
        "위에 적힌 프로세스부터 보십시오. 더 큰 서버는 마지막 수단입니다"
    ),
    # The report
    "Diagnosis of {host}, {at}": "{host} 진단, {at}",
    "looked back {since}, took {seconds}": "최근 {since}, 소요 {seconds}",
    "Verdict": "판정",
    "No cause found: nothing reaches its threshold": "원인 없음: 기준을 넘은 것이 없습니다",
    "{count} sections could not be asked in full: this look is incomplete": (
        "섹션 {count}개를 완전히 조회하지 못했습니다: 이 진단은 불완전합니다"
    ),
    "high": "높음",
    "medium": "보통",
    "low": "낮음",
    "follows from {cause}": "원인: {cause}",
    "Remedy": "조치",
    "In the app": "앱에서",
    "Top processes per container": "컨테이너별 상위 프로세스",
    "Celery tasks running now": "실행 중인 Celery 작업",
    "Recent error lines": "최근 오류 로그",
    "Database connections": "데이터베이스 연결",
    "Active queries": "실행 중인 쿼리",
    "Resources per container": "컨테이너별 리소스",
    "Server": "서버",
    "Queues": "큐",
    "Memory of tasks": "작업별 메모리",
    "killed with its process in {worker}: {task}, which began {time} ago": (
        "{worker}에서 프로세스와 함께 종료된 작업: {task}, 시작한 지 {time} 지남"
    ),
    "Web workers": "웹 워커",
    "Processes outside the stack": "스택 밖의 프로세스",
    "Last deploys": "최근 배포",
    "unable": "조회 불가",
    "incomplete": "일부만 조회",
    "none": "없음",
    "not asked": "조회하지 않음",
    "left out: {what}": "생략: {what}",
    "CPU {busy} % of {cores} cores (user {user}, system {system}, disk wait {wait}, stolen {steal}); "
    "load {load}": (
        "CPU {cores}코어의 {busy}% (사용자 {user}, 시스템 {system}, 디스크 대기 {wait}, 스틸 {steal}), "
        "부하 {load}"
    ),
    "Memory {available} available of {total}; swap {used} of {swap} (in {into} MB/s, out {out})": (
        "메모리 {total} 중 {available} 사용 가능, 스왑 {swap} 중 {used} (인 {into} MB/s, 아웃 {out})"
    ),
    "Pressure: CPU {cpu} %, memory {memory} %, disk {io} % of the time": (
        "압박(PSI): CPU {cpu}%, 메모리 {memory}%, 디스크 {io}%"
    ),
    "Pressure: the kernel does not tell": "압박(PSI): 커널이 제공하지 않음",
    "OOM kills: {count}": "OOM 강제 종료: {count}회",
    "{ago} ago: {process} of {service}": "{ago} 전: {service}의 {process}",
    "Disk {mountpoint}: {percent} % full": "디스크 {mountpoint}: {percent}% 사용",
    "{busy} of {all} busy, {connections} connections": "{all}개 중 {busy}개 사용 중, 연결 {connections}개",
    "{count} of {most} connections": "연결 {most}개 중 {count}개",
    "blocked by {pids}": "{pids}에 의해 대기",
    "no answer from {workers}": "{workers} 응답 없음",
    "container": "컨테이너",
    "process": "프로세스",
    "memory": "메모리",
    "limit": "제한",
    "throttled": "제한됨",
    "restarts": "재시작",
    "status": "상태",
    "task": "작업",
    "worker": "워커",
    "runs": "실행",
    "mean": "평균",
    "peak": "최대",
    "time": "시간",
    "state": "상태",
    "application": "애플리케이션",
    "user": "사용자",
    "count": "개수",
    "oldest": "최장",
    "queue": "큐",
    "ready": "대기",
    "unacked": "미확인",
    "consumers": "컨슈머",
    "unit": "유닛",
    "version": "버전",
    "result": "결과",
    "ago": "경과",
    "by": "배포자",
}
