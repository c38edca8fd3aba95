"""What Lampyr and its network keeper say to each other; one packet each, descriptors beside it.

    Lampyr → keeper    make INDEX          close
                       connect INDEX       a namespace that somebody else has made
    keeper → Lampyr    ready               the router's namespace, the sockets owning its rules
                       broken TEXT         it cannot be; the keeper ends
                       slot INDEX          the namespace, listeners: Runtime API twice[, endpoint]
                       failed INDEX TEXT
                       connected INDEX TEXT    why not, or nothing

Descriptors come in the order in which they are listed here.
"""

from typing import Final

MAKE: Final = "make"
CLOSE: Final = "close"
CONNECT: Final = "connect"
CONNECTED: Final = "connected"
READY: Final = "ready"
BROKEN: Final = "broken"
SLOT: Final = "slot"
FAILED: Final = "failed"
MESSAGE_BYTES: Final = 4096
DESCRIPTORS_MAX: Final = 16
RUNTIME_API_PORT: Final = 9001
LOCAL_RUNTIME_API: Final = "\0lampyr-runtime-api".ljust(108, "\0")
"""Where the Runtime API listens as well, inside the same network namespace: an abstract address
of AF_UNIX, which costs each message half of what TCP does. Lampyr's own clients know of it. As long
as such an address can be: Node.js 20 knows of no other length."""
