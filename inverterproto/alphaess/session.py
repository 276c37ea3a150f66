"""The sessions of this family: both sides of a connection, and what watches it.

`Watcher` makes records of what a battery says; `CloudSession` also answers it; `BatterySession` is
the battery's side. `BatteryState` is what is remembered of a battery from one connection to the
next by whoever listens to it, `Battery` what a battery itself is.
"""

from inverterproto.alphaess.battery import Battery
from inverterproto.alphaess.battery_session import BatterySession
from inverterproto.alphaess.cloud import CloudSession
from inverterproto.alphaess.masking import masked
from inverterproto.alphaess.state import BatteryState
from inverterproto.alphaess.watching import Watcher

DeviceState = BatteryState
"""What the registry asks of every family."""

__all__ = [
    "Battery",
    "BatterySession",
    "BatteryState",
    "CloudSession",
    "DeviceState",
    "Watcher",
    "masked",
]
