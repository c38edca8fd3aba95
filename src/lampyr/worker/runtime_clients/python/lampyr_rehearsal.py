"""As small as the module of a function may be: `lampyr_parked` loads it."""  # noqa: INP001 - copied to /var/runtime, a module of no package


def handler(event: object, context: object) -> object:  # noqa: ARG001 - as Lambda calls it
    return event
