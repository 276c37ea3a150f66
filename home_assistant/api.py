"""Asks Home Assistant: over its WebSocket what it knows and does, over REST what was.

All that changes is followed from the moment at which it runs: `changes` is every state that an
entity has had since.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp

_PATIENCE = 60.0
_LARGEST = 64 << 20

Json = dict[str, Any]


class ApiError(OSError):
    """It did not answer, or not what was asked."""


class Change(NamedTuple):
    """A state that an entity has got; None when it went."""

    entity_id: str
    state: str | None


class Api:
    """Asks a Home Assistant.

    Args:
        url: where it is.
        token: lets us in.

    Attributes:
        changes: all states since the beginning, over all of its lives.
    """

    def __init__(self, url: str, token: str) -> None:
        self.changes: list[Change] = []
        self._url = url
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._number = 0

    async def open(self) -> None:
        """Connect, wait until it runs, and follow what changes.

        Raises:
            ApiError: it does not let us in, or does not come to run.
        """
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=aiohttp.ClientTimeout(total=_PATIENCE),
        )
        async with asyncio.timeout(_PATIENCE):
            self._socket = await self._session.ws_connect(
                f"{self._url}/api/websocket", max_msg_size=_LARGEST
            )
            await self._socket.receive_json()
            await self._socket.send_json({"type": "auth", "access_token": self._token})
            told = await self._socket.receive_json()
            if told["type"] != "auth_ok":
                raise ApiError(f"Home Assistant does not let us in: {told}")
            self._number = 0
            self._reading = asyncio.create_task(self._read(self._socket))
            await self.ask("subscribe_events", event_type="state_changed")
            while (await self.ask("get_config"))["state"] != "RUNNING":  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    async def close(self) -> None:
        """Ask no more."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                self._take(message.json())
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ApiError("Home Assistant has gone"))
            self._answers.clear()

    def _take(self, told: Json) -> None:
        if told["type"] == "event":
            data = told["event"]["data"]
            state = data["new_state"]
            self.changes.append(Change(data["entity_id"], state and state["state"]))
        elif (answer := self._answers.pop(told.get("id", 0), None)) is None or answer.done():
            pass
        elif told.get("success"):
            answer.set_result(told["result"])
        else:
            answer.set_exception(ApiError(f"{told.get('error')}"))

    async def ask(self, type_: str, **said: object) -> Any:  # noqa: ANN401 - whatever is answered
        """Ask it something.

        Raises:
            ApiError: it refuses, or is gone.
        """
        if self._socket is None or self._reading is None or self._reading.done():
            raise ApiError("Home Assistant is not there")
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "type": type_, **said})
        async with asyncio.timeout(_PATIENCE):
            return await answer

    async def entities(self) -> dict[str, Json]:
        """Return the entities of MQTT in the registry, by their unique ids."""
        found = await self.ask("config/entity_registry/list")
        return {one["unique_id"]: one for one in found if one["platform"] == "mqtt"}

    async def entity(self, entity_id: str) -> Json:
        """Return all that the registry knows of an entity."""
        found: Json = await self.ask("config/entity_registry/get", entity_id=entity_id)
        return found

    async def devices(self) -> dict[str, Json]:
        """Return the devices of MQTT, by their identifiers."""
        found = await self.ask("config/device_registry/list")
        return {
            identifier: one
            for one in found
            for domain, identifier in one["identifiers"]
            if domain == "mqtt"
        }

    async def areas(self) -> dict[str, str]:
        """Return the names of the areas, by their ids."""
        found = await self.ask("config/area_registry/list")
        return {one["area_id"]: one["name"] for one in found}

    async def states(self) -> dict[str, Json]:
        """Return all states, by their entities' ids, as REST tells them."""
        found = await self._get("/api/states", {})
        return {one["entity_id"]: one for one in found}

    async def history(self, entity_id: str, since: str) -> list[str]:
        """Return the states that an entity has had since a time, as they were recorded.

        That it was removed is recorded, too, and left out here.
        """
        found = await self._get(
            f"/api/history/period/{since}", {"filter_entity_id": entity_id, "minimal_response": ""}
        )
        return [one["state"] for states in found for one in states if one["state"] is not None]

    async def _get(self, path: str, query: Mapping[str, str]) -> Any:  # noqa: ANN401
        if self._session is None:
            raise ApiError("Home Assistant is not there")
        try:
            async with self._session.get(self._url + path, params=query) as response:
                if response.status != HTTPStatus.OK:
                    raise ApiError(f"{path}: {response.status}")
                return await response.json()
        except aiohttp.ClientError as error:
            raise ApiError(f"{path}: {error}") from error
