"""A device's conversation with its cloud, passed on through us.

`wire` passes bytes between two sockets; `observing` hears them, and makes records; `cloud` is where
a family's cloud is, and whether it is away; `loops` finds out when the cloud's name leads to us.
"""
