"""Our own programs: the proxy, a fake server that is the cloud behind it, and devices.

The devices are those of `fake-inverter`, one of each model, and of `fake-battery`; what these
cannot be brought to do, a `Stick` does (`stick.py`). A configuration file says what a householder
would: names, areas, and what another tool called a quantity before.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM, Signals
from typing import Any

from home_assistant.home import YAML_TOPIC
from home_assistant.programs import PATIENCE, Program, ProgramError, free_port
from home_assistant.stick import INVERTER
from inverterproto.families import FAMILIES
from inverterproto_cli.address import Address

_MAIN = "from inverterproto_cli.main import main; main()"
_SEEDS = {"micro": 1, "hybrid": 2, "string": 3, "battery": 4}
OLD_UNIQUE_ID = "old_tool_7_ac_power"
"""Of an entity that another tool made before."""
CHOSEN_OBJECT_ID = "roof_grid_frequency"
NAMES = {INVERTER: "Roof", "SIM000000000001": "Cellar battery"}
AREAS = {INVERTER: "Attic", "SIM000000000001": "Cellar"}
_CONFIGURATION = """\
[sink.mqtt]
broker = "mqtt://127.0.0.1:{port}"
include-simulated = true

[sink.mqtt.names]
{names}

[sink.mqtt.areas]
{areas}

[sink.mqtt.alias."{inverter}"]
active_power = {{ unique_id = "{unique_id}" }}
energy_total = {{ topic = "{topic}" }}
grid_frequency = {{ object_id = "{object_id}" }}
"""


class House:
    """A house with inverters, a battery, and our proxy.

    Args:
        folder: for all files.
        broker: the port of the MQTT broker.
    """

    def __init__(self, folder: Path, broker: int) -> None:
        self.store = folder / "readings.db"
        self.log = folder / "proxy.log"
        self._folder = folder
        self._calls = {family: Address("127.0.0.1", free_port()) for family in FAMILIES}
        self._cloud_port = free_port()
        self._environment = {
            name: value for name, value in os.environ.items() if "INVERTERPROTO" not in name
        } | {"XDG_CONFIG_HOME": str(folder)}
        configuration = folder / "house.toml"
        configuration.write_text(_configuration(broker))
        cloud = f"127.0.0.1:{self._cloud_port}"
        ways = []
        for family, address in self._calls.items():
            ways += ["--listen", f"{family}={address}", "--upstream", f"{family}={cloud}"]
        self._cloud = self._program(
            "cloud", "fake-server", "--listen", cloud, "--no-store", "--quiet"
        )
        self._proxy = self._program(
            "proxy", "--config", str(configuration), "proxy", *ways,
            "--store", str(self.store), "--log-format", "json", "--quiet",
        )  # fmt: skip
        self._devices: list[Program] = []

    def _program(self, name: str, *arguments: str) -> Program:
        command = [sys.executable, "-c", _MAIN, *arguments]
        return Program(name, command, self._folder / f"{name}.log", self._environment)

    @property
    def loggers_call(self) -> Address:
        """Where loggers call."""
        return self._calls["deye"]

    async def start(self) -> None:
        """Start the proxy, and the cloud if it is not there.

        Raises:
            ProgramError: one does not come up.
        """
        if not self._cloud.runs:
            await self._cloud.start(self._cloud_port)
        await self._proxy.start(self.loggers_call.port)

    async def stop(self, number: Signals = SIGTERM) -> None:
        """Stop the proxy; the cloud stays.

        Raises:
            ProgramError: it does not end.
        """
        await self._proxy.stop(number)

    def hold(self) -> None:
        """Let the proxy do nothing, as on a machine that is too busy."""
        self._proxy.tell(SIGSTOP)

    def go_on(self) -> None:
        """Let the proxy go on."""
        self._proxy.tell(SIGCONT)

    async def abandon(self) -> None:
        """End all whatever happened."""
        for program in (*self._devices, self._proxy, self._cloud):
            await program.abandon()

    async def live(self, seconds: float) -> list[str]:
        """Let all devices live for so long at noon; return what was wrong with it."""
        server = {
            family: ("--server", str(address), "--for", f"{seconds:g}")
            for family, address in self._calls.items()
        }
        self._devices = [
            self._program(
                f"inverter-{model}", "fake-inverter", *server["deye"], "--model", model,
                "--begin", "12:00", "--interval", "4", "--seed", str(seed),
            )
            for model, seed in _SEEDS.items()
        ]  # fmt: skip
        self._devices.append(self._program("battery", "fake-battery", *server["alphaess"]))
        for device in self._devices:
            await device.start()
        async with asyncio.timeout(seconds + PATIENCE):
            codes = [await device.end() for device in self._devices]
        return [
            f"a device ended with {code}: see {device.log}"
            for device, code in zip(self._devices, codes, strict=True)
            if code
        ]

    async def readings(self) -> list[dict[str, Any]]:
        """Return all readings that are kept, the oldest first, as the command tells them.

        Raises:
            ProgramError: it does not tell them.
        """
        command = ("readings", "--json", "--oldest-first", "--store", str(self.store))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _MAIN, *command, env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        said, _ = await process.communicate()
        if process.returncode:
            raise ProgramError(f"inverterproto readings ended with {process.returncode}")
        return [json.loads(line) for line in said.splitlines()]

    def events(self) -> list[dict[str, Any]]:
        """Return what the proxy has said in its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def _configuration(broker: int) -> str:
    def table(texts: dict[str, str]) -> str:
        return "\n".join(f'"{serial}" = "{text}"' for serial, text in texts.items())

    return _CONFIGURATION.format(
        port=broker, names=table(NAMES), areas=table(AREAS), inverter=INVERTER,
        unique_id=OLD_UNIQUE_ID, topic=YAML_TOPIC, object_id=CHOSEN_OBJECT_ID,
    )  # fmt: skip
