"""`--…-insecure`: the server starts all the same, and says what that means."""

from pathlib import Path

import pytest

from tests.programs import fake_server


@pytest.mark.parametrize("kind", ["splunk", "influx", "webhook"])
def test_a_server_that_trusts_any_certificate_starts_and_warns(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVERTERPROTO_SPLUNK_TOKEN", "a-token-of-the-test")
    options = (f"--{kind}", "https://127.0.0.1:1", f"--{kind}-insecure")
    with fake_server("--store", tmp_path / "store.db", *options) as server:
        warning = server.line("the certificate of https://127.0.0.1:1 is not checked")
        assert f"--{kind}-ca FILE is the better way" in warning
        server.ports()
        assert server.stop() == 0
        assert not [line for line in server.err if "Traceback" in line]
        assert "a-token-of-the-test" not in "\n".join(server.err)
