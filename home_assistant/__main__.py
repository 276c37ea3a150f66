"""Try our MQTT discovery on a real Home Assistant; a line a check, exit 1 if something is wrong."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

from home_assistant.energy import check_dashboard, check_sums
from home_assistant.former import begin_history, check_history
from home_assistant.place import Place, abandon, place_in
from home_assistant.present import (
    begin_present,
    check_backlog,
    check_burst,
    check_day,
    check_night,
    check_old,
    end_present,
)
from home_assistant.programs import ProgramError
from home_assistant.recovery import (
    check_availability,
    check_both_restart,
    check_broker_restart,
    check_home_restart,
    check_switched_on,
)
from home_assistant.registry import check_registry, check_values
from home_assistant.said import check_logs

_LONGEST = 15 * 60.0
"""Seconds for all of it."""
_LIVE, _AGAIN = 25.0, 10.0
"""Seconds for which the devices live, first and again: a battery has a status every ten."""


async def _try(place: Place) -> None:
    """Do everything."""
    say = place.report.say
    say("a broker and a Home Assistant are started")
    await place.broker.start()
    await place.home.start()
    await begin_history(place)
    say(f"our proxy is started, and devices live for {_LIVE:g} s")
    await place.house.start()
    await begin_present(place)
    place.report.check("all devices are content", await place.house.live(_LIVE))
    await check_registry(place)
    await check_values(place, "the devices have spoken")
    await check_history(place)
    await check_night(place)
    await check_burst(place)
    await check_backlog(place)
    await check_day(place)
    await check_availability(place)
    place.report.check("the devices go on", await place.house.live(_AGAIN))
    for number in (SIGTERM, SIGKILL):
        await check_broker_restart(place, number)
    await check_home_restart(place)
    await check_both_restart(place)
    await check_switched_on(place)
    await check_old(place)
    await end_present(place)
    await check_dashboard(place)
    await check_sums(place)
    await place.house.stop()
    check_logs(place)


async def _until_stopped(work: Coroutine[Any, Any, None], place: Place) -> None:
    """Do some work for so long, or until Ctrl-C or SIGTERM; nothing outlives it."""
    task = asyncio.ensure_future(work)
    for number in (SIGINT, SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        async with asyncio.timeout(_LONGEST):
            await task
    finally:
        await abandon(place)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test-homeassistant", description=__doc__)
    parser.add_argument("--hass", type=Path, required=True, help="the command of Home Assistant")
    parser.add_argument("--keep", type=Path, help="copy all files, with the logs, to this folder")
    return parser.parse_args()


def main() -> int:
    """Run the trial."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = place_in(Path(folder), options.hass)
            wrong = place.report.wrong
            asyncio.run(_until_stopped(_try(place), place))
        except asyncio.CancelledError:
            sys.stderr.write("stopped\n")
            return 1
        except TimeoutError:
            wrong.append(f"it is not done after {_LONGEST / 60:g} minutes")
        except (ProgramError, OSError) as error:
            sys.stderr.write(f"it cannot go on: {error}\n")
            return 1
        finally:
            if options.keep is not None:
                shutil.copytree(folder, options.keep, dirs_exist_ok=True)
    for what in wrong:
        sys.stderr.write(f"wrong: {what}\n")
    sys.stdout.write(f"{place.report.right} checks were right, {len(wrong)} wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
