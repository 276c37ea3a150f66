"""Devices that are made up, to try a server with.

`simulated` is what they measure in a `household`; `driving` lets a session talk over a socket, in
time that may run faster; `payload_files` and `sending` send what files hold; `exchange` counts.
"""
