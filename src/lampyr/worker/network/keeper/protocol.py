"""What Lampyr and its network keeper say to each other; one packet each, descriptors beside it.

Lampyr → keeper    make INDEX          close
keeper → Lampyr    ready                     the router's namespace, the sockets that own its rules
                   broken TEXT               it cannot be; the keeper ends
                   slot INDEX                the namespace, the Runtime API's listener[, the endpoint's]
                   failed INDEX TEXT
"""

from typing import Final

MAKE: Final = "make"
CLOSE: Final = "close"
READY: Final = "ready"
BROKEN: Final = "broken"
SLOT: Final = "slot"
FAILED: Final = "failed"
MESSAGE_BYTES: Final = 4096
DESCRIPTORS_MAX: Final = 16
RUNTIME_API_PORT: Final = 9001
