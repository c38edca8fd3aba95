"""What the interpreter of a template is started with; see `lampyr_template`."""  # noqa: INP001 - a script in /var/runtime

import lampyr_template  # type: ignore[import-not-found]

lampyr_template.main()
