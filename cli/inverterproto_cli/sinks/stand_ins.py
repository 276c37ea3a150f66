"""Stand-ins for the serials of readings: the same ones in all files of a folder, for ever.

They are those that `sanitize` gives (`inverterproto.redact`): made with a key, and turned back by
who has it. So the key must be kept, or the next start would give others; and it must not stand in
the folder, which is what its owner gives away. It is made of two halves:

- a secret of the user, `stand-ins.key` in the data folder, beside the store and as closed to
  others. Who can read it can read the serials themselves there: it tells nothing new.
- a salt in the folder, `.inverterproto-stand-ins`. It tells nothing without the secret, makes the
  stand-ins of two folders different ones, and goes along where the folder is moved to.

Beside the salt stands a hash of the key, so that a folder is not continued with other stand-ins
when the secret was lost. (A hash of each serial would need no key, and would hide nothing: there
are so few serials that all can be tried.)

A folder has stand-ins in all its files or in none: who shares it relies on that.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from inverterproto.families import FAMILIES
from inverterproto.private import Private, told_by_name
from inverterproto.redact import Redactor
from inverterproto_cli.sinks.sink import Entry, TroubleError
from inverterproto_cli.store import default_path

SALT = ".inverterproto-stand-ins"
_SHORTEST = 4
"""Characters of a serial that is looked for in texts."""


def secret_path() -> Path:
    """Return where the user's secret is."""
    return default_path().parent / "stand-ins.key"


class Sanitizer:
    """Puts stand-ins in the place of serials.

    Args:
        key: makes the stand-ins.
    """

    def __init__(self, key: bytes) -> None:
        self._redactor = Redactor(key)

    def sanitized(self, entry: Entry) -> Entry:
        """Return an entry that names no device of anybody."""
        reading = entry.reading
        serials = [each for each in (reading.device, reading.via) if each]
        values = {
            key: self._text(value, serials) if isinstance(value, str) else value
            for key, value in reading.values.items()
        }
        device, via = self._serial(reading.device), self._serial(reading.via)
        return entry._replace(
            reading=type(reading)(
                reading.family,
                device,
                reading.time,
                reading.time_source,
                reading.historic,
                values,
                reading.kind,
                via,
            ),
            fields=_public(reading.family, entry),
        )

    def _serial(self, serial: str | None) -> str | None:
        if serial is None:
            return None
        return self._redactor.shown(Private.SERIAL, serial.encode()).decode("utf-8", "replace")

    def _text(self, text: str, serials: list[str]) -> str:
        """Return a text of a device without its serials."""
        for serial in serials:
            if len(serial) >= _SHORTEST:
                text = text.replace(serial, self._serial(serial) or "")
        return text


def _public(family: str, entry: Entry) -> dict[str, int | float]:
    """Return the fields of an entry that hold nothing private."""
    private = FAMILIES[family].private_fields if family in FAMILIES and entry.fields else {}
    return {
        name: value
        for name, value in entry.fields.items()
        if name not in private and told_by_name(name) is None
    }


def key_of(folder: Path) -> bytes:
    """Return the key of a folder's stand-ins; a new one for a folder that has none.

    Raises:
        TroubleError: the folder was begun with another secret.
    """
    secret = _secret()
    path = folder / SALT
    try:
        told = json.loads(path.read_text())
        salt, check = bytes.fromhex(told["salt"]), told["check"]
    except FileNotFoundError:
        salt, check = os.urandom(32), None
    except (ValueError, TypeError, KeyError):
        raise TroubleError(f"files: {path} cannot be read; choose a new folder") from None
    key = blake2b(salt, key=secret).digest()
    shown = blake2b(b"check", key=key, digest_size=16).hexdigest()
    if check is None:
        told = json.dumps({"salt": salt.hex(), "check": shown}).encode() + b"\n"
        _write_whole(path, told, os.rename)
    elif check != shown:
        raise TroubleError(
            f"files {folder}: its stand-ins were made with another secret than {secret_path()}; "
            "bring that back, or choose a new folder"
        )
    return key


def _secret() -> bytes:
    """Return the user's secret, made at the first time."""
    path = secret_path()
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_whole(path, os.urandom(32), os.link)
        secret = path.read_bytes()
    if len(secret) < 32:
        raise TroubleError(f"files: {path} is damaged: bring it back, or remove it")
    return secret[:64]


def _write_whole(path: Path, data: bytes, settle: Callable[[Path, Path], object]) -> None:
    """Write a file, whole and closed to others.

    Args:
        path: of the file.
        data: what it shall hold.
        settle: brings it to its place, as `os.rename`; or as `os.link`, which leaves what another
            process put there first.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            settle(making, path)
    finally:
        making.unlink(missing_ok=True)
