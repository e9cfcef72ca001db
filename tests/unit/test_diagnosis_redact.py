"""A secret does not survive wherever it stands; what a person needs for debugging does."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.diagnosis_modules import load_diagnosis

redact = load_diagnosis("redact")

# What programs make passwords and tokens of; the quotes, which end a value, have a test of their own.
WORDS = st.text(
    st.sampled_from("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.~!^+/=,;(){}[]%"),
    min_size=12,
    max_size=60,
).filter(lambda word: word[0].isalnum() and word[-1].isalnum())
LETTERS = st.text(st.sampled_from("abcdefghijkmnopqrstuvwxyz23456789"), min_size=8, max_size=40)

PLACES = (
    "password={}",
    "POSTGRES_PASSWORD={} VERBOSE=1",
    "export VAULT_TOKEN={}",
    "DJANGO_SECRET_KEY: {}",
    'loading {{"user": "app", "password": "{}", "port": 5432}}',
    "config {{'api_key': '{}', 'timeout': 5}}",
    '{{"message": "{{\\"password\\": \\"{}\\"}}"}}',
    "Authorization: Bearer {}",
    "Authorization: {}",
    "curl -H 'Authorization: Basic {}' http://backend:8000/",
    'headers={{"Authorization": "Token {}"}}',
    "Cookie: sessionid={}; theme=dark",
    "mysqldump --password {} --all-databases",
    "psql --dbname app --password={}",
    "host=postgres user=app password={} dbname=app",
    "host=postgres user=app password='{}' dbname=app",
    "wrong token: {} refused",
    "비밀번호: {}",
)
URLS = (
    "GET /api/login?token={} HTTP/1.1",
    "GET /api/songs?page=2&q={}&sort=new HTTP/1.1",
    "postgresql://app:{}@postgres:5432/app",
    "cannot connect to amqp://app:{}@rabbitmq:5672/app: refused",
    "redis://:{}@cache:6379/0",
    "git clone https://{}@code.example.com/app.git",
    "POST https://hooks.slack.com/services/T0/B0/{}",
    "POST https://discord.com/api/webhooks/1/{}",
)


@pytest.mark.parametrize("place", PLACES)
@given(secret=WORDS)
def test_a_secret_with_a_name_does_not_survive(place: str, secret: str) -> None:
    assert secret not in redact.redact(place.format(secret))


@pytest.mark.parametrize("place", URLS)
@given(secret=WORDS)
def test_a_secret_in_a_url_does_not_survive(place: str, secret: str) -> None:
    written = quote(secret, safe="-_.~!/")
    assert written not in redact.redact(place.format(written))


@given(secret=LETTERS, before=LETTERS, after=LETTERS)
def test_a_secret_with_quotes_inside_does_not_survive(secret: str, before: str, after: str) -> None:
    text = redact.redact(f'{{"password": "{before}\\"{secret}\\"{after}", "port": 5432}}')
    assert secret not in text
    assert "5432" in text


@given(name=LETTERS, host=LETTERS)
def test_an_address_does_not_survive(name: str, host: str) -> None:
    text = redact.redact(f"mail to <{name}@{host}.example.com> bounced")
    assert name not in text.replace("mail to", "").replace("bounced", "")
    assert host not in text


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c", "9f86d081884c7d65"),
        ("sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("bot 123456789:AAFm2n8QkZ0xV1y3w5r7t9u2i4o6p8a0sdf says", "AAFm2n8QkZ0x"),
        ("with glc_eyJvIjoiMTIzIn0= as user", "eyJvIjoi"),
        ("uploaded dGhpcyBpcyBhIDEyMyBzZWNyZXQgdGhhdCBpcyBsb25n", "dGhpcyBp"),
        ("call 010-1234-5678 back", "1234"),
        ("call 01012345678 back", "12345678"),
        ("call +82-10-1234-5678 back", "1234"),
        ("call 02-123-4567 back", "4567"),
        ("resident 900101-1234567", "1234567"),
        ("paid with 4111 1111 1111 1111 today", "4111"),
        ("paid with 4111111111111111 today", "4111"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQ\nIBADAN\n-----END PRIVATE KEY-----", "MIIEvQ"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEvQ", "MIIEvQ"),
        ("user 홍길동 wrote from 홍길동@example.co.kr", "@example"),
    ],
)
def test_what_shows_by_its_form(line: str, secret: str) -> None:
    assert secret not in redact.redact(line)


@pytest.mark.parametrize(
    "line",
    [
        "Task music.tasks.charts.update_realtime_chart[0b8c2f0a-9d2b-4f1e-8a51-0c9a4f6a7d10] succeeded: 100",
        "container 4f5c1b0a9e3d of backend ended with status 137",
        "django_http_requests_latency_seconds_by_view_method_bucket has 4211 series",
        "/opt/soundcheck/telemetry/monitoring/debug_cpu_spike.sh --since 15m",
        "/var/lib/postgresql/17/main/base/16384/2619 could not be read",
        "celery -A config worker -Q ai_queue -l info --concurrency=1 -n celery-ai@backend",
        "gunicorn config.wsgi:application --bind 0.0.0.0:8000 --workers 3 --max-requests 1000",
        "[2026-11-24 12:00:00,123: ERROR/ForkPoolWorker-2] Connection to broker lost after 12345 ms",
        "2026-11-24T12:00:00.123456789+09:00 음악 생성 작업이 실패했습니다: 메모리 부족",
        "FATAL: sorry, too many clients already",
        "FATAL: password authentication failed for user app",
        "django.db.utils.OperationalError: connection pool exhausted",
        "10.0.0.12 - - GET /api/charts/realtime/ HTTP/1.1 200 1532",
        "image soundcheck/app:20261124120000 started",
        "File /app/music/tasks/ai_music.py, line 27, in generate_music_task",
    ],
)
def test_what_is_harmless_stays_as_it_is(line: str) -> None:
    assert redact.redact(line) == line


def test_the_name_stays_where_the_value_is_masked() -> None:
    assert redact.redact("GET /songs?q=heart&page=2 HTTP/1.1") == "GET /songs?q=***&page=*** HTTP/1.1"
    assert redact.redact("amqp://app:pw@rabbitmq:5672/app") == "amqp://***@rabbitmq:5672/app"
    assert redact.redact('{"password": "x y", "port": 5432}') == '{"password": ***, "port": 5432}'


@pytest.mark.parametrize(
    "line", ["a" * 200_000, "password" * 20_000, "a@" * 90_000, '="' * 90_000, "1 " * 90_000]
)
def test_a_hostile_line_costs_no_time(line: str) -> None:
    begun = time.process_time()
    redact.redact(line)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "SELECT count(*) FROM playlogs WHERE played_at >= '2026-11-24' AND NOT is_deleted LIMIT 100",
            "SELECT count(*) FROM playlogs WHERE played_at >= ? AND NOT is_deleted LIMIT ?",
        ),
        (
            "SELECT * FROM t1 WHERE name = 'O''Brien' AND id = $1",
            "SELECT * FROM t1 WHERE name = ? AND id = $1",
        ),
        (r"SELECT E'a\'b secret', 1.5e3", "SELECT ?, ?"),
        ("SELECT $tag$ secret $tag$, $$also$$", "SELECT ?, ?"),
        ("SELECT 1 /* user=kim */ -- mail\nFROM t", "SELECT ? FROM t"),
        ("SELECT * FROM t WHERE name = 'cut off in the mid", "SELECT * FROM t WHERE name = ?"),
        ('SELECT "t1"."col2" FROM "my table"', 'SELECT "t1"."col2" FROM "my table"'),
    ],
)
def test_a_statement_keeps_its_shape(statement: str, expected: str) -> None:
    assert redact.sql(statement) == expected


@given(secret=LETTERS)
def test_no_literal_survives(secret: str) -> None:
    literal = f"zz{secret}"
    for statement in (
        f"SELECT '{literal}'",
        f"SELECT $${literal}$$",
        f"SELECT 1 -- {literal}",
        f"SELECT '{literal}",
    ):
        assert literal not in redact.sql(statement)
