"""The transport against a stand-in that misbehaves in every way that a server or network can."""

from __future__ import annotations

import base64
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from warning.domain.variables import Variable
from warning.errors import SourceError
from warning.sources.influx_dialect import dialect_of
from warning.sources.influx_settings import DamMapping, FieldMapping, InfluxSettings
from warning.sources.influx_transport import InfluxTransport

_SELF_SIGNED = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
_LOCALHOST = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
DAM = DamMapping(
    reservoir_id="a",
    tag_value="a",
    time_zone=ZoneInfo("UTC"),
    fields={Variable.LEVEL_M: FieldMapping(field="level")},
)


def settings(url: str, **changes: Any) -> InfluxSettings:
    plain = InfluxSettings(
        url=url,
        database="dams",
        measurement="readings",
        dam_tag="dam",
        dams=(DAM,),
        first_day=date(2020, 1, 1),
        read_timeout_s=5.0,
        deadline_s=20.0,
        retries=0,
    )
    return replace(plain, **changes)


def fetched(url: str, **changes: Any) -> bytes:
    with InfluxTransport(settings(url, **changes)) as transport:
        return transport.fetch("GET", "/query", query={"q": "x"})


def refused(url: str, **changes: Any) -> str:
    with pytest.raises(SourceError) as caught:
        fetched(url, **changes)
    return str(caught.value)


def test_a_whole_answer_comes_byte_by_byte_as_it_was_sent(stand_in):
    def script(exchange):
        exchange.head(Transfer_Encoding="chunked")
        for part in (b"one ", b"two ", "drei ü".encode()):
            exchange.chunk(part)
        exchange.chunk(b"")

    assert fetched(stand_in(script).url) == "one two drei ü".encode()


def test_a_refused_connection_is_tried_again_and_then_told(caplog):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        text = refused(f"http://127.0.0.1:{taken.getsockname()[1]}", retries=1)
    assert "no connection" in text
    assert "check the url" in text
    assert "(2 attempts)" in text


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again(stand_in, status):
    server = stand_in(lambda e: e.answer(b"fine") if len(server.exchanges) > 1 else e.answer(status=status))
    assert fetched(server.url, retries=1) == b"fine"


def test_the_pause_that_the_server_asks_for_is_kept_within_the_deadline(stand_in):
    server = stand_in(lambda e: e.answer(b"busy", 503, Retry_After="900"))
    text = refused(server.url, retries=5)
    assert "status 503 Stood-In: busy" in text
    assert len(server.exchanges) == 1


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (400, b'{"error":"error parsing query"}', "error parsing query; the server's log"),
        (401, b'{"code":"unauthorized","message":"no such token"}', "no such token; check token, user"),
        (403, b'{"error":"keeper not authorized"}', "keeper not authorized; check token, user"),
        (404, b"404 page not found\n", "404 page not found; check the url, org, bucket"),
        (500, b"<html>\n<b>oops</b></html>", "<html> <b>oops</b></html>; the server's log"),
    ],
)
def test_a_status_that_stays_is_told_at_once_with_what_the_server_said(stand_in, status, said, remedy):
    server = stand_in(lambda e: e.answer(said, status))
    text = refused(server.url, retries=3)
    assert f"{server.url}/query: refused with status {status} Stood-In: {remedy}" in text
    assert len(server.exchanges) == 1


def test_a_redirection_is_told_and_not_followed(stand_in):
    server = stand_in(lambda e: e.answer(status=302, Location="https://elsewhere.example/query"))
    assert "set url to that server" in (text := refused(server.url))
    assert "https://elsewhere.example/query" in text
    assert len(server.exchanges) == 1


def test_a_connection_closed_before_any_answer_is_tried_again(stand_in):
    def script(exchange):
        if len(server.exchanges) == 1:
            exchange.connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionError
        exchange.answer(b"fine")

    server = stand_in(script)
    assert fetched(server.url, retries=1) == b"fine"


def test_silence_before_the_first_byte_ends_at_the_read_timeout(stand_in):
    server = stand_in(lambda e: server.over.wait())
    text = refused(server.url, read_timeout_s=0.2, retries=1)
    assert "no answer within 0.2 s" in text
    assert "read_timeout_s" in text
    assert len(server.exchanges) == 2


def test_silence_in_the_middle_ends_the_reading_and_is_not_tried_again(stand_in):
    def script(exchange):
        exchange.head(Transfer_Encoding="chunked")
        exchange.chunk(b"begun")
        server.over.wait()

    server = stand_in(script)
    assert "the answer fell silent for 0.2 s" in refused(server.url, read_timeout_s=0.2, retries=3)
    assert len(server.exchanges) == 1


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_server_that_drips_cannot_outlast_the_deadline(stand_in, where):
    def script(exchange):
        exchange.send(b"HTTP/1.1 200 OK\r\n" if where == "head" else b"")
        if where == "body":
            exchange.head(Content_Length="100000")
        while not server.over.wait(0.05):
            exchange.send(b"x")

    server = stand_in(script)
    text = refused(server.url, deadline_s=0.5, read_timeout_s=5.0)
    assert "not complete after 0.5 s" in text
    assert "deadline_s" in text


def test_a_reading_that_is_let_go_leaves_no_thread_behind(stand_in):
    def script(exchange):
        exchange.head(Transfer_Encoding="chunked")
        while not server.over.is_set():
            exchange.chunk(b"x" * 65536)

    server = stand_in(script)
    before = set(threading.enumerate())
    with InfluxTransport(settings(server.url, read_timeout_s=200.0)) as transport:
        pieces = transport.stream("GET", "/query")
        next(pieces)
        mine = [t for t in threading.enumerate() if t.name == "influx-read" and t not in before]
        pieces.close()
        for thread in mine:
            thread.join(60)
    assert len(mine) == 1
    assert not mine[0].is_alive()


def _cut(exchange) -> None:
    exchange.connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionError


def _cut_in_a_chunk(exchange) -> None:
    exchange.head(Transfer_Encoding="chunked")
    exchange.send(b"100\r\nnot so much")
    _cut(exchange)


def _cut_between_chunks(exchange) -> None:
    exchange.head(Transfer_Encoding="chunked")
    exchange.chunk(b"a whole chunk, but not the last")
    _cut(exchange)


def _cut_short_of_its_length(exchange) -> None:
    exchange.head(Content_Length="1000")
    exchange.send(b"not so much")
    _cut(exchange)


@pytest.mark.parametrize("script", [_cut_in_a_chunk, _cut_between_chunks, _cut_short_of_its_length])
def test_a_cut_body_is_never_a_short_answer(stand_in, script):
    text = refused(stand_in(script).url)
    assert "the answer was cut short" in text
    assert "nothing of it is used" in text


def test_a_body_whose_end_could_not_be_told_from_a_cut_is_refused(stand_in):
    def script(exchange):
        exchange.head(Content_Type="application/json")
        exchange.send(b"{}")
        _cut(exchange)

    assert "without its length or chunk marks" in refused(stand_in(script).url)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"token": "keeper:p"}, "Token keeper:p"),
        ({"user": "kéeper", "password": "p:w"}, "Basic " + base64.b64encode("kéeper:p:w".encode()).decode()),
        ({"token": "t", "user": "u", "password": "p"}, "Token t"),
        ({}, None),
    ],
)
def test_credentials_go_into_one_header(stand_in, changes, expected):
    server = stand_in(lambda e: e.answer(b"fine"))
    fetched(server.url, **changes)
    assert server.exchanges[0].headers.get("authorization") == expected


@pytest.mark.parametrize("changes", [{"token": "s3cret"}, {"user": "u", "password": "s3cret"}])
def test_no_secret_stands_in_a_message_or_in_the_settings_words(stand_in, changes):
    server = stand_in(lambda e: e.answer(b"no", 401))
    assert "s3cret" not in refused(server.url, **changes)
    assert "s3cret" not in repr(settings(server.url, **changes, proxy="http://u:s3cret@proxy:3128"))


def test_the_request_goes_through_the_configured_proxy(stand_in):
    proxy = stand_in(lambda e: e.answer(b"by proxy"))
    assert fetched("http://influx.example:8086", proxy=proxy.url) == b"by proxy"
    assert proxy.exchanges[0].target.startswith("http://influx.example:8086/query")


@pytest.mark.parametrize(
    ("script", "major", "flux"),
    [
        (lambda e: e.answer(status=204, X_Influxdb_Version="1.6.7~rc0"), 1, False),
        (lambda e: e.answer(status=204, X_Influxdb_Version="v2.7.4"), 2, True),
        (lambda e: e.answer(b'{"version":"3.0.1","revision":"x"}'), 3, False),
        (lambda e: e.answer(b"no", 404) if e.path == "/ping" else e.answer(b'{"version":"2.0.3"}'), 2, True),
        (lambda e: e.answer(b'{"error":"no"}', 401, X_Influxdb_Version="1.8.10"), 1, False),
    ],
)
def test_the_dialect_follows_from_the_servers_version(stand_in, script, major, flux):
    with InfluxTransport(settings(stand_in(script).url)) as transport:
        dialect = dialect_of(transport)
    assert (dialect.major, dialect.flux) == (major, flux)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (lambda e: e.answer(b"<html>hello</html>"), "an answer that names no version"),
        (lambda e: e.answer(b"gone", 404), "status 404"),
        (lambda e: e.answer(X_Influxdb_Version="nightly"), "'nightly', expected InfluxDB 1, 2 or 3"),
    ],
)
def test_an_unknown_version_asks_for_the_dialect_to_be_set(stand_in, script, found):
    with InfluxTransport(settings(stand_in(script).url)) as transport, pytest.raises(SourceError) as caught:
        dialect_of(transport)
    assert found in str(caught.value)
    assert "set dialect of the source" in str(caught.value)


def test_a_configured_dialect_asks_the_server_nothing(stand_in):
    server = stand_in(lambda e: e.answer(status=500))
    with InfluxTransport(settings(server.url, dialect="influxql")) as transport:
        assert not dialect_of(transport).flux
    assert server.exchanges == []


def test_https_at_a_server_without_tls_says_what_to_check(influxd):
    text = refused(influxd.url.replace("http:", "https:"))
    assert "TLS failed" in text
    assert "http and https" in text


@pytest.fixture
def tls_server(tmp_path: Path, stand_in: Callable[..., Any]) -> tuple[str, Path]:
    """A stand-in with a certificate of its own making for localhost, and the certificate."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", *_SELF_SIGNED, *_LOCALHOST, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = stand_in(lambda e: e.answer(b"under TLS"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return f"https://localhost:{server.server_address[1]}", certificate


def test_a_certificate_that_nobody_trusts_is_refused_until_ca_file_names_it(tls_server):
    url, certificate = tls_server
    assert "TLS failed" in (text := refused(url, retries=2))
    assert "attempts" not in text
    assert fetched(url, ca_file=certificate) == b"under TLS"
    assert fetched(url, verify_tls=False) == b"under TLS"


def test_a_ca_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SourceError, match="ca_file"):
        fetched("https://localhost:1", ca_file=tmp_path / "none.pem")
