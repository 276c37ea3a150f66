"""AlphaESS payloads without an envelope: what a user may call them, and what they say."""

from inverterproto.alphaess.frame import REQUEST, VERSION, Frame
from inverterproto.alphaess.messages import TYPES, Message, code_of
from inverterproto.errors import FieldError


def kinds() -> tuple[str, ...]:
    """Return what a payload may be called: a command's number, or a message's name."""
    numbers = sorted(command for direction, command in TYPES if direction == REQUEST)
    return (*map(str, numbers), *dict.fromkeys(entry.name for entry in TYPES.values()))


def message_of(kind: str, payload: bytes) -> tuple[Message, tuple[str, ...], int]:
    """Return what a payload of some kind says, in a frame of nobody.

    Returns:
        The message; what speaks against its being of that kind; and how many bytes it should have:
        any number, so as many as it has.

    Raises:
        FieldError: there is no such kind.
    """
    if kind not in kinds():
        raise FieldError("payload", "no known kind", expected=", ".join(kinds()), found=kind)
    direction, command = (REQUEST, int(kind)) if kind.isdigit() else code_of(kind)
    return Message.parse(Frame(VERSION, direction, command, payload)), (), len(payload)
