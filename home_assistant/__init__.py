"""A trial of MQTT discovery on a real Home Assistant: `scripts/test-homeassistant`.

Theory of operation
-------------------
*What is tried* is what a householder has: a broker (`broker.py`; mosquitto, which keeps nothing on
disk), a Home Assistant (`home.py`, in an environment of its own), and our proxy with its MQTT sink,
a cloud and devices (`house.py`), all on loopback, each a process of its own. Most devices are those
of `fake-inverter` and `fake-battery`; a `Stick` says what these do not: a total of 0 at night, a
burst of kept records, a day's backlog (`stick.py`).

*What should be seen* is made of what `inverterproto readings --json` tells, and of the vocabulary
(`expected.py`); nothing of it comes from the sink. *What is seen* is asked of Home Assistant over
its own API (`api.py`): its registries, its states, every change of a state, its history, its
statistics, and what it finds wrong with the energy dashboard.

*The checks*: `registry.py` what discovery made; `former.py` what another tool has begun;
`present.py` that nothing old becomes a state; `recovery.py` what happens when a part goes and comes
back; `energy.py` the dashboard; `said.py` the logs. Each is tried until it is right or its time is
over, for everything takes a moment to come through; what must never have been is looked up among
all changes.

The package has not the name of Home Assistant's own, which would be hidden by it.
"""
