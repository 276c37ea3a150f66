"""One connection to an MQTT broker: messages go out many at once, each is answered for itself.

Theory of operation
-------------------
paho makes and reads the packets; its socket is watched by our event loop, by the callbacks that it
has for that. aiomqtt, which does the same, keeps to itself what the broker says of a message
(MQTT 5: it was not taken, and why) and how much it takes (so many at once, so large); a reading
that a broker refuses would count as delivered. So it is done here.

`put` hands a message over and returns a future: the broker's answer to it, or None if the
connection ended without one. No future ever raises, so none need be looked at. Who has handed over
much waits (`room`): what is not yet answered is bounded.

A connection ends once, with a reason for people (`ended`), and is not used again. MQTT 5 is tried
first, since only that says what became of a message; a broker that does not know it says so, or
hangs up, and is asked again with MQTT 3.1.1 (`open_connection`).

No session is kept: what was not answered comes again from the store, by who delivers.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from inverterproto_cli.sinks.mqtt_broker import (
    FOR_A_PACKET,
    REFUSED,
    TOO_LARGE,
    Answer,
    Broker,
    Message,
    not_let_in_text,
    unreachable_text,
)
from inverterproto_cli.sinks.mqtt_socket import SocketWatch
from inverterproto_cli.sinks.sink import TroubleError

VERSIONS = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
"""The versions of MQTT, in the order in which they are tried."""
CONNECTING = 5.0
"""Seconds for each of: an address of the broker, its TLS, its CONNACK."""
PATIENCE = 20.0
"""Seconds without an answer after which a connection is of no use any more."""
KEEP_ALIVE = 30
"""Seconds of silence after which the broker is asked whether it is still there."""
MOST = 1000
"""Messages that may wait for their answers; more are not put."""
AT_ONCE = 100
"""Messages that are on their way to a broker that does not say how many it takes at once."""
LARGEST_IN = 64 * 1024
"""Bytes of a message that a broker may send us (MQTT 5 only: it is told)."""
_SILENT = logging.getLogger("inverterproto.mqtt.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
Hear = Callable[[str, bytes, bool], object]
"""Is given the topic and the payload of what comes in, and whether it was retained."""


class _EndedBeforeAnswerError(Exception):
    """The broker hung up without an answer to CONNECT."""


class _UnknownVersionError(Exception):
    """The broker does not know this version of MQTT."""


_TAKEN = Answer(0, "Success")


class Connection:
    """A connection to a broker. Make it with `open_connection`.

    Attributes:
        address: of the broker.
        ended: done when it has ended; the result says why.
        hung_up: whether the other side, or the line, ended it, perhaps for what we sent.
        largest: bytes of a packet that the broker takes, None if it does not say.
        version: of the protocol, for people.
    """

    def __init__(
        self,
        broker: Broker,
        version: MQTTProtocolVersion,
        client_id: str,
        will: Message | None,
        hear: Hear | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.address = broker.address
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.hung_up = False
        self.largest: int | None = None
        self.version = "5" if version is MQTTProtocolVersion.MQTTv5 else "3.1.1"
        self._version = version
        self._hear = hear
        self._at_once = AT_ONCE
        self._waiting: deque[tuple[Message, asyncio.Future[Answer | None]]] = deque()
        self._answers: dict[int, asyncio.Future[Answer | None]] = {}
        self._subscribed: dict[int, asyncio.Future[Sequence[ReasonCode] | None]] = {}
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._greeting: asyncio.Future[tuple[ReasonCode, Properties | None]]
        self._greeting = self._loop.create_future()
        self._client = self._made(broker, client_id, will)
        self._watch = SocketWatch(self._client, self._break)

    def _made(self, broker: Broker, client_id: str, will: Message | None) -> paho.Client:
        five = self._version is MQTTProtocolVersion.MQTTv5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if five else True,
            protocol=self._version,
            reconnect_on_failure=False,
        )
        client.enable_logger(_SILENT)  # all that matters is told by what is raised here
        client.connect_timeout = CONNECTING
        client.max_inflight_messages = 0  # we count: only the broker's greeting tells how many
        if broker.user is not None:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        if will is not None:
            client.will_set(will.topic, will.payload, 1, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    # Beginning and end

    async def begin(self) -> None:
        """Connect.

        Raises:
            TroubleError: it cannot be done now.
            _UnknownVersionError, _EndedBeforeAnswerError: perhaps with another version.
        """
        try:
            await asyncio.to_thread(self._call)
        except (OSError, ValueError) as error:
            raise TroubleError(unreachable_text(self.address, error)) from error
        self._watch.take_over()
        try:
            async with asyncio.timeout(CONNECTING):
                await asyncio.wait(
                    (self._greeting, self.ended), return_when=asyncio.FIRST_COMPLETED
                )
        except TimeoutError:
            text = f"{self.address} took the connection and says nothing: is it an MQTT broker?"
            raise TroubleError(text) from None
        finally:
            if not self._greeting.done() or self._greeting.result()[0].is_failure:
                self.drop("not taken")
        if not self._greeting.done():
            raise _EndedBeforeAnswerError
        self._take_greeting(*self._greeting.result())

    def _call(self) -> None:
        """Make the socket, in a thread: names are looked up, and TLS begins."""
        five = self._version is MQTTProtocolVersion.MQTTv5
        properties = Properties(PacketTypes.CONNECT) if five else None  # type: ignore[no-untyped-call]
        if properties is not None:
            properties.MaximumPacketSize = LARGEST_IN
        self._client.connect(
            self.address.host,
            self.address.port,
            KEEP_ALIVE,
            clean_start=True if five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )

    def _take_greeting(self, code: ReasonCode, properties: Properties | None) -> None:
        """Do as the broker wants it.

        Raises:
            TroubleError: it refuses us, or is none for us.
        """
        if code.is_failure:
            if code.getName() == "Unsupported protocol version":
                raise _UnknownVersionError
            raise TroubleError(not_let_in_text(self.address, code.getName()))
        said: dict[str, Any] = {} if properties is None else properties.json()  # type: ignore[no-untyped-call]
        if said.get("MaximumQoS", 1) < 1 or not said.get("RetainAvailable", 1):
            self.drop("it is no broker for us")
            raise TroubleError(
                f"the broker {self.address} takes no messages of QoS 1, or retains none: "
                "states need both; use another broker"
            )
        self.largest = said.get("MaximumPacketSize")
        self._at_once = min(AT_ONCE, said.get("ReceiveMaximum", AT_ONCE))

    async def close(self, last: Message | None = None, patience: float = 1.0) -> None:
        """Say good-bye, as far as the broker listens.

        Args:
            last: a message that is published before.
            patience: seconds that it may take.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if last is not None and not self.ended.done():
                    await self.put(last)
                if not self.ended.done():
                    self._client.disconnect()
                    await asyncio.wait((self.ended,))
        self.drop("closed")

    def drop(self, why: str) -> None:
        """End it at once: the broker publishes the last will."""
        self._end(why)
        self._watch.end()

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)
        self._watch.rest()
        self._has_room.set()
        for answer in (*self._answers.values(), *(answer for _, answer in self._waiting)):
            if not answer.done():
                answer.set_result(None)
        for granted in self._subscribed.values():
            if not granted.done():
                granted.set_result(None)
        self._answers.clear()
        self._waiting.clear()
        self._subscribed.clear()

    # What is published and subscribed to

    async def room(self) -> None:
        """Wait until not too many messages wait for their answers; not for ever."""
        if not self._has_room.is_set():
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._has_room.wait()
            except TimeoutError:
                self.drop(f"the broker {self.address} does not answer")

    async def answer(self, answer: "asyncio.Future[Answer | None]") -> Answer | None:
        """Wait for the answer to a message; not for ever."""
        if not answer.done():
            await asyncio.wait((answer,), timeout=PATIENCE)
        if not answer.done():
            self.drop(f"the broker {self.address} does not answer")
        return answer.result()

    def put(self, message: Message) -> "asyncio.Future[Answer | None]":
        """Hand a message over, if the broker takes so much at once: else it would hang up.

        Returns:
            The broker's answer, once it comes; None if the connection ended before.
        """
        answer: asyncio.Future[Answer | None] = self._loop.create_future()
        if self.ended.done():
            answer.set_result(None)
            return answer
        if self.too_large(message):
            answer.set_result(TOO_LARGE)
            return answer
        self._waiting.append((message, answer))
        self._send()
        if len(self._answers) + len(self._waiting) >= MOST:
            self._has_room.clear()
        return answer

    def _send(self) -> None:
        """Let go what waits, as far as the broker takes it."""
        while self._waiting and len(self._answers) < self._at_once and not self.ended.done():
            (topic, payload, retain), answer = self._waiting.popleft()
            info = self._client.publish(topic, payload, 1, retain)
            if info.rc == paho.MQTT_ERR_SUCCESS:
                self._answers[info.mid] = answer
            else:
                answer.set_result(None)
                self._break("it cannot be written to")

    def too_large(self, message: Message) -> bool:
        """Return whether the broker has said that it does not take so much at once."""
        return self.largest is not None and message.size > self.largest

    async def subscribe(self, *topics: str) -> None:
        """Subscribe to topics, at QoS 0.

        Raises:
            TroubleError: the broker does not let us.
        """
        code, number = self._client.subscribe([(topic, 0) for topic in topics])
        granted: asyncio.Future[Sequence[ReasonCode] | None] = self._loop.create_future()
        if code != paho.MQTT_ERR_SUCCESS or number is None or self.ended.done():
            raise TroubleError(f"the connection to the broker {self.address} broke")
        self._subscribed[number] = granted
        try:
            async with asyncio.timeout(CONNECTING):
                codes = await granted
        except TimeoutError:
            raise TroubleError(f"the broker {self.address} does not answer") from None
        if codes is None:
            raise TroubleError(self.ended.result())
        for topic, each in zip(topics, codes, strict=False):
            if each.is_failure:
                raise TroubleError(
                    f"the broker {self.address} does not let us read {topic}: {each.getName()}"
                )

    # What paho calls

    def _on_connect(
        self,
        _client: object,
        _data: object,
        _flags: object,
        code: ReasonCode,
        said: Any,  # noqa: ANN401
    ) -> None:
        if not self._greeting.done():
            self._greeting.set_result((code, said))

    def _on_disconnect(
        self,
        _client: object,
        _data: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        _said: object,
    ) -> None:
        why = f"the connection to the broker {self.address} broke"
        ours = code.getName() != "Keep alive timeout"
        if flags.is_disconnect_packet_from_server:
            why = f"the broker {self.address} ended the connection: {code.getName()}"
            ours = code.getName() in FOR_A_PACKET
        self.hung_up = self.hung_up or (ours and not self.ended.done())
        self._end(why)

    def _break(self, fault: str) -> None:
        """End it for a fault; paho may be at work with it, so not at once."""
        text = f"the connection to the broker {self.address} broke ({fault})"
        self._end(text)
        self._loop.call_soon(self.drop, text)

    def _on_publish(
        self, _client: object, _data: object, number: int, code: ReasonCode, _said: object
    ) -> None:
        answer = self._answers.pop(number, None)
        if answer is not None and not answer.done():
            taken = code.value < REFUSED
            answer.set_result(_TAKEN if taken else Answer(code.value, code.getName()))
        self._send()
        if len(self._answers) + len(self._waiting) < MOST // 2:
            self._has_room.set()

    def _on_subscribe(
        self, _client: object, _data: object, number: int, codes: list[ReasonCode], _said: object
    ) -> None:
        granted = self._subscribed.pop(number, None)
        if granted is not None and not granted.done():
            granted.set_result(codes)

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if self._hear is not None:
            self._hear(message.topic, bytes(message.payload), message.retain)


async def open_connection(
    broker: Broker, client_id: str, will: Message | None = None, hear: Hear | None = None
) -> Connection:
    """Connect to a broker, with the newest version of MQTT that it knows.

    Args:
        broker: which, and as whom.
        client_id: our name there.
        will: what the broker publishes if we die.
        hear: takes what is subscribed to.

    Raises:
        TroubleError: it cannot be done now.
    """
    for version in VERSIONS:
        connection = Connection(broker, version, client_id, will, hear)
        try:
            await connection.begin()
        except (_UnknownVersionError, _EndedBeforeAnswerError):
            continue
        except BaseException:
            connection.drop("given up")
            raise
        return connection
    raise TroubleError(f"{broker.address} hangs up: is it an MQTT broker, and has it TLS?")
