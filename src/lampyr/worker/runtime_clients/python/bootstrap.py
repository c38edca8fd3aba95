"""What the interpreter is started with; all else is in modules, whose bytecode is kept."""  # noqa: INP001 - a script in /var/runtime

import lampyr_runtime  # type: ignore[import-not-found]

lampyr_runtime.main()
