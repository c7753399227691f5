"""Collect denials and remarkable events of containers from the kernel and the engine, per container.

Runs on the host, for a limited time (``main:listen``, delivered by an action) or permanently (``resident``, a
systemd unit). Python 3.8 and its standard library; it writes nothing but its own record.
"""

VERSION = "1"
