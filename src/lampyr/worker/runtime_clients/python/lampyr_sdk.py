"""What a template knows of the AWS SDK, so that a function's first client is made in half the time.

Nothing of it is a choice of a function's: models as they are in the package, and answers that are
the same for everybody because they follow from such models and from the SDK's own code. A function
that brings another SDK, or models of its own, gets none of it.

Works on Python 3.10 to 3.14.
"""  # noqa: INP001 - copied to /var/runtime, a module of no package

# ruff: noqa: PLC0415 - what is imported, and when, is what this module is about

import types
from typing import Any

SERVICES = ("s3", "dynamodb", "sqs", "sns", "lambda", "events", "ssm", "secretsmanager", "sts")
"""Whose models are in memory; those of others are read when they are asked for."""
_NO_RULES: dict[str, Any] = {"version": "1.0", "parameters": {}, "rules": []}


class _Learning:
    """Is over once the SDK is loaded: functions add nothing to what is known."""

    def __init__(self) -> None:
        self.on = True


def load() -> None:
    """Import all that a first client imports, read what it would read, and keep the answers."""
    import boto3

    learning = _Learning()
    _keep_signatures(learning)
    _keep_event_names(learning)
    _keep_endpoint_rules(learning)
    nobody = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    session: Any = boto3.Session(**nobody)
    for service in SERVICES:
        session.client(service)
    _keep_models(session._session.get_component("data_loader"))
    learning.on = False


def _keep_models(loader: Any) -> None:
    import botocore.session

    known = {key: value for key, value in loader._cache.items() if "resources-1" not in key}
    module: Any = botocore.session
    create_loader = module.create_loader

    def create(search_path_string: str | None = None) -> object:
        """Where nobody has added models of their own, a loader begins with what is known."""
        made = create_loader(search_path_string)
        if search_path_string is None:
            made._cache.update(known)
        return made

    module.create_loader = create


def _keep_signatures(learning: _Learning) -> None:
    """Of event handlers: whether each takes keywords, which `inspect` takes long to tell."""
    import botocore.hooks

    hooks: Any = botocore.hooks
    ask = hooks.accepts_kwargs
    answers: dict[types.FunctionType, object] = {}

    def accepts_kwargs(func: object) -> object:
        function = getattr(func, "__func__", func)
        if type(function) is not types.FunctionType:
            return ask(func)
        if function in answers:
            return answers[function]
        answer = ask(func)
        if learning.on and function.__closure__ is None:
            answers[function] = answer
        return answer

    hooks.accepts_kwargs = accepts_kwargs


def _keep_event_names(learning: _Learning) -> None:
    """Each event's name of today, which is found by trying the old names one by one."""
    import botocore.hooks

    hooks: Any = botocore.hooks
    begin = hooks.EventAliaser.__init__
    names: dict[str, str] = {}

    def init(self: Any, *args: object, **kwargs: object) -> None:
        begin(self, *args, **kwargs)
        if self._event_aliases == hooks.EVENT_ALIASES:
            self._alias_name_cache = names if learning.on else dict(names)

    hooks.EventAliaser.__init__ = init


def _keep_endpoint_rules(learning: _Learning) -> None:
    """As objects: they are only read, and follow from the models alone."""
    import botocore.endpoint_provider

    provider: Any = botocore.endpoint_provider.EndpointProvider
    begin = provider.__init__
    known: dict[int, tuple[object, object, object]] = {}
    """By the identity of a model that stays in memory: itself, the partitions, the rules."""

    def init(
        self: Any, ruleset_data: Any, partition_data: Any, *args: object, **kwargs: object
    ) -> None:
        model, partitions, rules = known.get(id(ruleset_data), (None, None, None))
        if model is ruleset_data and partitions is partition_data:
            begin(self, _NO_RULES, partition_data, *args, **kwargs)
            self.ruleset = rules
            return
        begin(self, ruleset_data, partition_data, *args, **kwargs)
        if learning.on:
            known[id(ruleset_data)] = (ruleset_data, partition_data, self.ruleset)

    provider.__init__ = init
