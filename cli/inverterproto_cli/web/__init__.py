"""What a server shows over HTTP: metrics for Prometheus, its health, devices and readings as JSON.

Theory of operation
-------------------
*It lives in the thread and the loop that look outward* (`sinks/outward.py`), so that devices wait
for nobody who looks. `Page` (`page.py`) has the sockets, and for each path what answers it.

*What the main thread knows* it is asked for, in its own loop and with a deadline (`asking.py`): its
counters, the store's trouble, whether it listens. Whether it turns at all (`/healthz`) is a number
that it writes down once a second, so that can be told while it stands.

*What was measured last* is a small view in memory (`newest.py`), which takes readings behind the
store's writer as a sink does. So a scrape reads no record but, of each sink that is behind, the
first one that it has not had.

*What is in the store* is read in a thread (`working.py`), a short piece at a time, each with a
connection of its own (`readings.py`): no sink waits for it, no old state of the file is held on to,
and while devices keep the machine busy it rests between pieces. An answer is written piece by
piece, and its end tells where to go on.

*All is bounded*: connections, the time that a request may take and that a connection may be silent,
the length of a request, answers that are being read from the store, devices that are shown, values
of a label (`metrics.py`).

*Who may look*: on loopback anybody on the machine, by a name that is the machine's own, so that no
page in a browser reads it by another name (DNS rebinding); elsewhere who has the token. Health is
for all, and tells details only to those. Nothing is changed by any request.
"""
