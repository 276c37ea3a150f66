"""Home Assistant as a program: the folder in which it lives, and its starts and ends."""

import base64
import hmac
import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from signal import SIGTERM, Signals
from time import time
from typing import Any

from home_assistant.api import Api
from home_assistant.programs import Program, free_port

YAML_UNIQUE_ID, YAML_TOPIC = "written_by_hand", "deye/roof/total"
"""Of a sensor that the householder wrote into the configuration, for another tool."""
_CONFIGURATION = """\
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
config:
energy:
history:
recorder:
  commit_interval: 1
mqtt:
  - sensor:
      name: Written by hand
      unique_id: {unique_id}
      state_topic: {topic}
      unit_of_measurement: kWh
      device_class: energy
      state_class: total_increasing
"""
_YEARS = 10 * 365 * 86_400


class Home:
    """A Home Assistant that was set up, with MQTT and an owner.

    Args:
        hass: the command.
        folder: for all of it.
        broker: the port of the MQTT broker.

    Attributes:
        api: asks it.
        log: the file of what it says.
    """

    def __init__(self, hass: Path, folder: Path, broker: int) -> None:
        self._port = free_port()
        self._folder = folder
        token = self._set_up(broker)
        self.api = Api(f"http://127.0.0.1:{self._port}", token)
        self.log = folder / "said.log"
        self._program = Program(
            "Home Assistant",
            # Its environment is not ours: our clone is not to be seen by it.
            [str(hass.absolute()), "--config", str(folder), "--skip-pip"],
            self.log,
            {"PATH": "/usr/bin:/bin", "HOME": str(folder), "TZ": "UTC"},
        )

    def _set_up(self, broker: int) -> str:
        """Write what a householder's clicks would leave behind; return an access token."""
        (self._folder / ".storage").mkdir(parents=True)
        text = _CONFIGURATION.format(port=self._port, unique_id=YAML_UNIQUE_ID, topic=YAML_TOPIC)
        (self._folder / "configuration.yaml").write_text(text)
        mqtt = {
            "entry_id": token_hex(16), "version": 1, "domain": "mqtt", "title": "127.0.0.1",
            "data": {
                "broker": "127.0.0.1", "port": broker,
                "discovery": True, "discovery_prefix": "homeassistant",
            },
            "options": {}, "pref_disable_new_entities": False, "pref_disable_polling": False,
            "source": "user", "unique_id": None, "disabled_by": None,
        }  # fmt: skip
        self._store("core.config_entries", 1, {"entries": [mqtt]})
        self._store("onboarding", 4, {"done": ["user", "core_config", "analytics", "integration"]})
        user, token, key = token_hex(16), token_hex(16), token_hex(64)
        self._store("auth", 1, _owner(user, token, key))
        return _access_token(token, key)

    def _store(self, key: str, version: int, data: dict[str, Any]) -> None:
        path = self._folder / ".storage" / key
        path.write_text(json.dumps({"version": version, "key": key, "data": data}))
        path.chmod(0o600)

    async def start(self) -> None:
        """Start it, wait until it runs, and follow what changes.

        Raises:
            ProgramError: it does not come up.
        """
        await self._program.start(self._port)
        await self.api.open()

    async def stop(self, number: Signals = SIGTERM) -> None:
        """Stop it.

        Raises:
            ProgramError: it does not end.
        """
        await self.api.close()
        await self._program.stop(number)

    async def abandon(self) -> None:
        """End it whatever happened."""
        await self.api.close()
        await self._program.abandon()


def _owner(user: str, token: str, key: str) -> dict[str, Any]:
    """Return what is stored of who owns the house, and of what lets them in."""
    groups = [
        {"id": "system-admin", "name": "Administrators"},
        {"id": "system-users", "name": "Users"},
        {"id": "system-read-only", "name": "Read Only"},
    ]
    owner = {
        "id": user, "group_ids": ["system-admin"], "is_owner": True, "is_active": True,
        "name": "Owner", "system_generated": False, "local_only": False,
    }  # fmt: skip
    entry = {
        "id": token, "user_id": user, "client_id": None, "client_name": "trial",
        "client_icon": None, "token_type": "long_lived_access_token",
        "created_at": datetime.now(UTC).isoformat(), "access_token_expiration": float(_YEARS),
        "token": token_hex(64), "jwt_key": key, "last_used_at": None, "last_used_ip": None,
        "expire_at": None, "credential_id": None, "version": None,
    }  # fmt: skip
    return {"users": [owner], "groups": groups, "credentials": [], "refresh_tokens": [entry]}


def _access_token(token: str, key: str) -> str:
    """Return a JSON web token (RFC 7519, HS256) that stands for a stored one."""
    now = int(time())
    parts = ({"alg": "HS256", "typ": "JWT"}, {"iss": token, "iat": now, "exp": now + _YEARS})
    said = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    sealed = hmac.new(key.encode(), said, sha256).digest()
    return b".".join((said, _base64(sealed))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
