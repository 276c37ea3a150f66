"""Where readings go: one file a sink, and what brings readings to all of them.

Theory of operation
-------------------
*A sink is small* (`sink.py`): it takes a batch of entries in delivery order, delivers them, and
says how far it came. It keeps no position, knows no store, and tries nothing again: that is done
once, for all sinks, by a `Delivery` (`delivery.py`).

*Readings are read from the store*, by the number that a record gets when it is dated, and decoded
then. So what was measured while a sink was away waits on disk, not in memory, however long it is.
Sinks that are equally far share what was decoded (`pages.py`).

*A thread of its own* (`outward.py`) has all that looks outward: the sinks and the HTTP page, in an
event loop that devices do not wait for. While devices keep the machine busy it takes a small share
of its time, and what it does not get done waits (`pace.py`).

*A position is written behind the delivery*, so each entry comes at least once; what was delivered
in the second before a crash comes twice. The server's writer writes it (`store/sinks.py`), as it
writes everything.

*Trouble* of a sink is its own: it is tried again, later each time, for ever. What the other side
*refuses for good* is tried a few times, then set aside with the reason, and what follows goes on.

*What can be set* of a sink stands once, in its `SinkType`: the flags, the environment, the keys of
its table in the configuration file and the documentation are made of it (`settings.py`).
"""
