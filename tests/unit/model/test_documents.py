"""What is configured beside code survives as a document, whole."""

from lampyr.model.code_signing import CodeSigningConfig, UntrustedArtifact
from lampyr.model.event_invoke import EventInvokeConfig
from lampyr.model.function_url import Cors, FunctionUrlConfig
from lampyr.model.mapping import (
    DocumentDatabase,
    EventSource,
    EventSourceMapping,
    MappingSettings,
    MappingState,
    SourceAccess,
    SourceKind,
)
from lampyr.model.resource import ResourceKey
from lampyr.store.codec import dump, dump_function, load, load_function
from lampyr.testing.builders import a_function, a_key

KEY = ResourceKey("123456789012", "us-east-1", "id")


def test_an_event_source_mapping() -> None:
    mapping = EventSourceMapping(
        key=KEY,
        source=EventSource(
            kind=SourceKind.KAFKA,
            endpoints=("a:1", "b:2"),
            topic="t",
            consumer_group="g",
            starting_position="AT_TIMESTAMP",
            starting_timestamp=5.5,
        ),
        function=a_key(),
        qualifier="live",
        settings=MappingSettings(
            batch_size=5,
            filters=("{}",),
            response_types=(),
            on_failure="",
            bisect_on_error=False,
            access=(SourceAccess(type="BASIC_AUTH", uri="a"), SourceAccess(type="IAM_AUTH")),
            document_database=DocumentDatabase(database="d"),
        ),
        enabled=False,
        state=MappingState.DISABLING,
        state_reason="User action",
        last_modified=1.5,
        tags={"a": "b"},
    )
    found = load(EventSourceMapping, dump(mapping))
    assert found == mapping
    assert isinstance(found.state, MappingState)


def test_a_code_signing_config() -> None:
    config = CodeSigningConfig(
        key=KEY, publishers=("a", "b"), untrusted=UntrustedArtifact.ENFORCE, last_modified=1.5
    )
    assert load(CodeSigningConfig, dump(config)) == config


def test_a_function_with_its_configurations() -> None:
    cors = Cors(allow_credentials=False, allow_methods=("GET",), max_age_seconds=0)
    url = FunctionUrlConfig(id="u", auth_type="NONE", cors=cors, created=1.5, last_modified=2.5)
    function = a_function(
        event_invoke={"$LATEST": EventInvokeConfig(last_modified=1.5, retry_attempts=0)},
        urls={"live": url},
        recursive_loop="Allow",
        signing_config="csc-1",
    )
    assert load_function(function.key, dump_function(function), {}) == function
