"""The sessions of the V5 protocol: the cloud's side, the device's side, and who only watches."""

from inverterproto.deye.cloud import CloudSession
from inverterproto.deye.logger import LoggerSession
from inverterproto.deye.masking import mask_frame as masked
from inverterproto.deye.responding import CommandResponder
from inverterproto.deye.stick import Stick
from inverterproto.deye.watching import LoggerState, Watcher

DeviceState = LoggerState
"""What the registry asks of every family."""

__all__ = [
    "CloudSession",
    "CommandResponder",
    "DeviceState",
    "LoggerSession",
    "LoggerState",
    "Stick",
    "Watcher",
    "masked",
]
