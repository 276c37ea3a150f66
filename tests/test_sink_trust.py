"""Whose certificates a sink trusts: with a real one, and Splunk's stand-in behind it."""

# ruff: noqa: F811 - a fixture that is imported

from typing import Any

import pytest

from inverterproto_cli.sinks.sink import TroubleError
from inverterproto_cli.sinks.splunk import SPLUNK
from tests.counterparts import needs
from tests.posts import Around, Trust, entry, opened, served, trust  # noqa: F401 - a fixture
from tests.splunk_stub import TOKEN, SplunkStub

pytestmark = [pytest.mark.asyncio, needs("openssl")]


async def test_a_certificate_of_nobody_is_not_trusted_and_the_option_is_named(trust: Trust) -> None:
    stub = SplunkStub()
    async with (
        served(stub, trust.context) as place,
        opened(SPLUNK, url=f"https://{place}", token=TOKEN) as sink,
    ):
        with pytest.raises(TroubleError, match=r"not trusted \(.*--splunk-ca") as trouble:
            await sink.deliver([entry()])
    assert "--splunk-insecure" in str(trouble.value)
    assert stub.sent == []


async def test_the_authority_of_a_file_is_trusted(trust: Trust) -> None:
    stub, around = SplunkStub(), Around()
    async with served(stub, trust.context) as place:
        url = f"https://{place.replace('127.0.0.1', 'localhost')}"
        given: dict[str, Any] = {"url": url, "token": TOKEN, "ca": str(trust.ca)}
        async with opened(SPLUNK, around, **given) as sink:
            assert await sink.deliver([entry()]) == 1
    assert around.told == []


async def test_another_host_than_the_certificates_is_not_trusted(trust: Trust) -> None:
    async with served(SplunkStub(), trust.context) as place:
        url = f"https://{place}"
        async with opened(SPLUNK, url=url, token=TOKEN, ca=str(trust.ca)) as sink:
            with pytest.raises(TroubleError, match="not trusted"):
                await sink.deliver([entry()])


async def test_any_certificate_is_trusted_only_where_the_user_chooses_so(trust: Trust) -> None:
    stub, around = SplunkStub(), Around()
    async with served(stub, trust.context) as place:
        given: dict[str, Any] = {"url": place, "token": TOKEN, "insecure": True}
        async with opened(SPLUNK, around, **given) as sink:
            assert await sink.deliver([entry()]) == 1
    [(_, said)] = around.told
    assert said.startswith(f"sink here: the certificate of https://{place} is not checked")


async def test_https_where_http_is_spoken_is_told() -> None:
    async with (
        served(SplunkStub()) as place,
        opened(SPLUNK, url=f"https://{place}", token=TOKEN) as sink,
    ):
        with pytest.raises(TroubleError, match="no TLS is spoken there: http://"):
            await sink.deliver([entry()])


async def test_http_where_https_is_spoken_is_trouble(trust: Trust) -> None:
    async with (
        served(SplunkStub(), trust.context) as place,
        opened(SPLUNK, url=f"http://{place}", token=TOKEN) as sink,
    ):
        with pytest.raises(TroubleError):
            await sink.deliver([entry()])
