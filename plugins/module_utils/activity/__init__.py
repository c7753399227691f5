"""What the kernel and the engine say of containers: denials and remarkable events, counted by container.

Runs on the host, for a while (``main:listen``, delivered by an action) or for ever (``resident``, a unit of
systemd's). Python 3.8 and its standard library; it changes nothing but its own record.
"""

VERSION = "1"
