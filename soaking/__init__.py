"""A soak of the servers: `scripts/soak [minutes]`. Many devices, for long, all on loopback.

Theory of operation
-------------------
*What is soaked* is a server, a process of its own with a store in a temporary folder
(`server.py`). The devices are those of `fake-inverter` and `fake-battery`, in this process
(`devices.py`): each says something every few seconds, cut and coalesced, one frame in fifty with a
fault. With `--kill` the server is killed and started again, again and again.

*What is accepted is kept.* Each device tells which of its frames the server said that it has. The
`Ledger` (`ledger.py`) makes of its bytes, by the library's own watcher, the key of the record that
it is: the same data, sent live and again as a historic record, has the same. In the end the store
is read, each row's bytes get their key in the same way, not that of the row, and so it shows that
every accepted record is there, with its bytes, once. A rule that does not know of keys stands
beside it: no device measures twice in a second of its clock.

*Nothing is left behind.* All devices live twice: shortly, until everything that grows once has
grown, and then for the rest of the time. After both, when all connections are closed, the server's
descriptors, threads, memory and connections are counted, and this process's own tasks and
descriptors: the second figures are to be the first ones, but for some memory (`checks.py`).

*With `--proxy`* the proxy is soaked instead (`proxied.py`), between the devices and a fake server
that is the cloud, with the way to the cloud reset, half-closed, black-holed and refused at random
(`path.py`), and brought back. What the cloud gets is held against what the devices sent
(`matching.py`), and what devices were told is accepted, by the cloud or by the proxy, is to be in
the proxy's store. There a kill may cost the last moments, which are told; not with `--durable`.

*With `--sinks`* the server has sinks, each by a line that breaks (`sinking.py`): to a broker and a
database that are real, to two that take what is POSTed (`counterparts.py`), and to files. Broker
and server are killed now and then, one sink is dead nearly all the time. Each reading of each
record in the store is to arrive at each sink, in order (`arrivals.py`).

What is soaked can be another: `__main__.py` needs of it what `FakeServer` has, and that the end of
the way is a store that the ledger can be held against.
"""
