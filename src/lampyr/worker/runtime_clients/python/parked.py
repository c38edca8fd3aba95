"""What the interpreter of a process that waits is started with, where nothing could be forked."""  # noqa: INP001 - a script in /var/runtime

import lampyr_template  # type: ignore[import-not-found]

lampyr_template.park()
