"""Devices that are made up, to try a server with.

`household` makes up sun, load, battery and grid, `totals` counts on from day to day, `simulated`
is a battery in it. `driving` lets that live over a socket, in time that may run faster;
`payload_files` and `sending` send what files hold; `connecting` does either many times at once;
`shown` shows what came back, `exchange` counts it.
"""
