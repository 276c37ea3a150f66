"""What stands behind a port that devices call: connections, sessions, the store, people's eyes.

`options` makes of a command's options a `Serving`; `running` runs it until a signal; `listener`
takes the connections, which `access` lets in; `keeper` carries out what sessions ask for; `live`
shows readings, `logs` says what happens, `capturing` writes what passes.
"""
