"""What the user says of an MQTT broker and of the topics there, looked at before it is used."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inverterproto.quantity import lookup
from inverterproto_cli.address import Address
from inverterproto_cli.sinks.discovery import LAST_SEEN, Alias, Wishes
from inverterproto_cli.sinks.mqtt_broker import Broker
from inverterproto_cli.sinks.topics import Topics

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_WHAT_A_BROKER_IS = "broker is mqtt://HOST:PORT or mqtts://HOST:PORT (for TLS)"
_LONGEST = 200
"""Bytes of a prefix, name, area, unique id or topic of the user's."""
_is_object_id = re.compile(r"[a-z0-9_]+").fullmatch
_wildcard = re.compile(r"[+#\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user wants.

    Attributes:
        broker: whom to connect to.
        topics: where states go.
        wishes: of discovery.
        discovery: whether there is any.
        client_id: our name at the broker, None for one that is made.
    """

    broker: Broker
    topics: Topics
    wishes: Wishes
    discovery: bool
    client_id: str | None


def options_of(values: Mapping[str, Any]) -> Options:
    """Return what the settings say.

    Raises:
        ValueError: something is of no use; the text is for people.
        OSError: a file cannot be read.
    """
    topics = Topics(_topic(values["prefix"], "prefix"))
    wishes = Wishes(
        topics,
        _topic(values["discovery-prefix"], "discovery-prefix"),
        _texts(values["names"], "names"),
        _texts(values["areas"], "areas"),
        _aliases(values["alias"] or {}),
        _version(),
    )
    return Options(
        broker_of(values), topics, wishes, bool(values["discovery"]), values["client-id"] or None
    )


def _version() -> str | None:
    try:
        return version("inverterproto")
    except PackageNotFoundError:  # it runs out of a clone that is not installed
        return None


# The broker


def broker_of(values: Mapping[str, Any]) -> Broker:
    """Return whom the settings say to connect to.

    Raises:
        ValueError: they are of no use.
        OSError: a file cannot be read.
    """
    scheme, address = _address(str(values["broker"]))
    files = {key: values[key] for key in ("ca", "certificate", "key") if values[key]}
    if scheme == "mqtt" and files:
        named = ", ".join(files)
        raise ValueError(f"{named}: only a broker mqtts://… has TLS, and this is mqtt://…")
    if values["password"] and not values["user"]:
        raise ValueError("there is a password, but no user: set both")
    tls = _tls(files) if scheme == "mqtts" else None
    return Broker(address, tls, values["user"] or None, values["password"] or None)


def _address(text: str) -> tuple[str, Address]:
    """Return scheme and address; errors do not show the text, which may hold a secret."""
    url = text if "://" in text else f"mqtt://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_WHAT_A_BROKER_IS) from None
    if "@" in parts.netloc:
        raise ValueError("broker holds a user or password: set user and password instead")
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query:
        raise ValueError(_WHAT_A_BROKER_IS)
    return parts.scheme, Address(host, port or _PORTS[parts.scheme])


def _tls(files: Mapping[str, str]) -> ssl.SSLContext:
    """Return what checks the broker, and tells who we are."""
    paths = {key: Path(name).expanduser() for key, name in files.items()}
    for path in paths.values():
        path.open("rb").close()  # its error names the file, that of the library does not
    if "key" in paths and "certificate" not in paths:
        raise ValueError("there is a key, but no certificate: set both")
    try:
        context = ssl.create_default_context(cafile=paths.get("ca"))
    except ssl.SSLError as error:
        raise ValueError(f"ca {files['ca']}: it holds no certificate in PEM form") from error
    if "certificate" in paths:
        try:
            # A key with a passphrase would ask for it at the terminal.
            context.load_cert_chain(paths["certificate"], paths.get("key"), password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                f"certificate {files['certificate']}: it, and the key without a passphrase that "
                "belongs to it, are wanted in PEM form"
            ) from error
    return context


# Topics, names, aliases


def _topic(text: str, where: str) -> str:
    """Return a topic that one may publish to."""
    if not text or text != text.strip("/") or text.startswith("$") or _wildcard.search(text):
        raise ValueError(
            f"{where} {text!r} is no topic: it has no + or #, and no / at its beginning or end"
        )
    if len(text.encode("utf-8", "replace")) > _LONGEST:
        raise ValueError(f"{where} is longer than {_LONGEST} bytes")
    return text


def _texts(table: Mapping[str, Any] | None, where: str) -> dict[str, str]:
    """Return a table serial → text."""
    found = dict(table or {})
    for serial, text in found.items():
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise ValueError(f"{where}: {serial} is a text of up to {_LONGEST} characters")
    return found


def _aliases(tables: Mapping[str, Any]) -> dict[str, dict[str, Alias]]:
    """Return serial → key → alias."""
    found: dict[str, dict[str, Alias]] = {}
    taken: dict[tuple[str, str], str] = {}
    for serial, table in tables.items():
        where = f'alias."{serial}"'
        if not isinstance(table, dict):
            raise ValueError(f"{where} is a table of quantities")
        found[serial] = {key: _alias(entry, f"{where}.{key}", key) for key, entry in table.items()}
        for key, alias in found[serial].items():
            place = f"{where}.{key}"
            for name, text in alias._asdict().items():
                if text and taken.setdefault((name, text), place) != place:
                    raise ValueError(f"{place}: {name} {text!r} is taken by {taken[name, text]}")
    return found


def _alias(entry: object, where: str, key: str) -> Alias:
    if key != LAST_SEEN:
        try:
            lookup(key)
        except KeyError:
            raise ValueError(f"{where}: there is no quantity {key!r}") from None
    if not isinstance(entry, dict) or not entry or set(entry) - set(Alias._fields):
        raise ValueError(f"{where} is a table with {', '.join(Alias._fields)}, or some of them")
    for name, text in entry.items():
        if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
            raise ValueError(f"{where}: {name} is a text of up to {_LONGEST} characters")
    alias = Alias(**entry)
    if alias.topic is not None:
        _topic(alias.topic, f"{where}: topic")
        if key == LAST_SEEN:
            raise ValueError(f"{where}: it has no plain value, so no topic")
    if alias.object_id is not None and not _is_object_id(alias.object_id):
        raise ValueError(f"{where}: object_id is made of a to z, 0 to 9 and _")
    return alias
