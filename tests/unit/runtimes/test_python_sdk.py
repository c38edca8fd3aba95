"""What a template knows of the AWS SDK is what the SDK would have found out."""

import subprocess
import sys
from pathlib import Path

import lampyr.worker

_CLIENTS = Path(lampyr.worker.__file__).parent / "runtime_clients" / "python"
_PROGRAM = """
import inspect, sys
sys.path.insert(0, sys.argv[1])
from botocore import hooks
from botocore.endpoint_provider import EndpointProvider, RuleSet

plain = hooks.EventAliaser(hooks.HierarchicalEmitter())
import lampyr_sdk
lampyr_sdk.load()

import boto3
def late(event, **kwargs): pass
def short(event): pass
asked = []
known = hooks.accepts_kwargs
def seen(func):
    asked.append((func, known(func)))
    return asked[-1][1]
hooks.accepts_kwargs = seen
session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")
client = session.client("s3")
client.meta.events.register("before-call.s3", late)
try:
    client.meta.events.register("before-call.s3", short)
except ValueError:
    print("refused")
assert len(asked) > 100
assert all(bool(told) == bool(inspect.getfullargspec(func)[2]) for func, told in asked)

aliases = session._session.get_component("event_emitter")._alias_name_cache
assert len(aliases) > 100
assert all(plain._alias_event_name(name) == told for name, told in aliases.items())

provider = client._ruleset_resolver._provider
loader = session._session.get_component("data_loader")
rules = loader.load_service_model("s3", "endpoint-rule-set-1")
anew = RuleSet(**rules, partitions=loader.load_data("partitions"))
assert provider.ruleset is session.client("s3")._ruleset_resolver._provider.ruleset
where = {"Bucket": "b", "Region": "eu-west-1", "UseFIPS": False, "UseDualStack": False}
assert anew.evaluate(dict(where)) == provider.ruleset.evaluate(dict(where))
other = dict(rules)
assert EndpointProvider(other, loader.load_data("partitions")).ruleset is not provider.ruleset
"""


def test_a_client_that_is_made_from_what_is_known_is_as_any_other() -> None:
    argv = [sys.executable, "-c", _PROGRAM, str(_CLIENTS)]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert said.stderr == ""
    assert said.stdout.split() == ["refused"]
