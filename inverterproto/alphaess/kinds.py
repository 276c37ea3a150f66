"""Which AlphaESS payloads are alike, for who compares them; none has a layout to guess."""

from inverterproto.alphaess.messages import Message
from inverterproto.layout import Layout


def detail(message: Message) -> str:
    """Return what else than its name tells what a message is."""
    frame = message.frame
    return f"{frame.direction}, {frame.command}" if message.name == "unknown" else ""


def is_guessable(message: Message) -> bool:  # noqa: ARG001 - as of the other family
    """Return whether a layout could be tried: values have names of their own here."""
    return False


def layouts() -> dict[str, Layout]:
    """Return no layout: payloads are text."""
    return {}
