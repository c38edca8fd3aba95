"""Layers: how long their archives are kept, and what a function may have with its code."""

import asyncio
from dataclasses import replace

import pytest

from lampyr.arn import LayerReference, layer_version_arn
from lampyr.control import functions, layers
from lampyr.control.requests import PublishLayer
from lampyr.errors import CodeStorageExceededException, InvalidParameterValueException
from lampyr.limits import DEFAULT_LIMITS
from lampyr.model.image import ImageConfig
from lampyr.model.layer import Layer, LayerUse, LayerVersion
from lampyr.model.policy import Policy, Statement
from lampyr.model.resource import ResourceKey
from lampyr.store.codec import dump, dump_function, load, load_function
from lampyr.testing.builders import ACCOUNT, REGION, a_function, a_key, a_version, a_zip
from lampyr.testing.control import Control, running_control
from tests.unit.control.calls import configure, create, look, packages, publish, refer, update

KEY = ResourceKey(ACCOUNT, REGION, "shared")
ONE = a_zip({"python/shared.py": "X = 1\n"})
TWO = a_zip({"python/shared.py": "X = 22\n"})


async def publish_layer(control: Control, package: bytes = ONE, name: str = "shared") -> str:
    key = KEY._replace(id=name)
    version = await layers.publish(control.plane, PublishLayer(key=key, package=package))
    return layer_version_arn(key, version.number)


async def delete_layer(control: Control, number: int = 1) -> None:
    await layers.delete_version(control.plane, LayerReference(key=KEY, number=number))


async def test_an_archive_is_kept_until_no_version_and_no_function_has_it(
    control: Control,
) -> None:
    await create(control)
    arns = [await publish_layer(control), await publish_layer(control, TWO)]
    await configure(control, layers=(arns[0],))
    await publish(control)
    for number in (1, 2):
        await delete_layer(control, number)
    assert packages(control) == {a_zip(), ONE}
    await update(control, package=TWO)
    await control.settle(a_key())
    await configure(control, layers=())
    assert packages(control) == {a_zip(), ONE, TWO}  # Version 1 still has it.
    await functions.delete(control.plane, refer(qualifier="1"))
    assert packages(control) == {TWO}
    assert (await look(control)).latest.layers == ()


async def test_an_update_that_leaves_layers_alone_leaves_them(control: Control) -> None:
    arn = await publish_layer(control)
    await create(control)
    await configure(control, layers=(arn,))
    await delete_layer(control)
    await configure(control, description="new")
    assert [layer.arn for layer in (await look(control)).latest.layers] == [arn]
    with pytest.raises(InvalidParameterValueException, match="does not exist"):
        await configure(control, layers=(arn,))


async def test_a_layer_may_be_deleted_while_a_function_takes_it(control: Control) -> None:
    arn = await publish_layer(control)
    await create(control)
    async with layers.taken(control.plane, a_key(), (arn,)) as uses:
        await delete_layer(control)
        assert packages(control) == {a_zip(), ONE}
    assert uses is not None
    # Nothing came of it, and nobody needs it any more.
    await control.plane.packages.sweep()
    assert packages(control) == {a_zip()}


async def test_versions_published_at_once_are_numbered_apart(control: Control) -> None:
    arns = await asyncio.gather(*(publish_layer(control) for _ in range(5)))
    assert {arn.rpartition(":")[2] for arn in arns} == {"1", "2", "3", "4", "5"}


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
async def test_code_and_layers_unpack_to_250_megabytes_together() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_unzipped=1_000)
    async with running_control(limits=limits) as control:
        arn = await publish_layer(control, a_zip({"data": b"x" * 900}))
        await create(control, package=a_zip({"app.py": b"x" * 100}))
        await configure(control, layers=(arn,))
        message = (
            "Function code combined with layers exceeds the maximum allowed size of 1000 bytes. "
            "The actual size is 1001 bytes."
        )
        for refused in (
            update(control, package=a_zip({"app.py": b"x" * 101})),
            create(control, "other", package=a_zip({"app.py": b"x" * 101}), layers=(arn,)),
        ):
            with pytest.raises(InvalidParameterValueException) as error:
                await refused
            assert error.value.message == message


async def test_layers_count_as_code_of_the_account() -> None:
    limits = replace(DEFAULT_LIMITS, code_bytes_total=len(ONE) * 2)
    async with running_control(limits=limits) as control:
        await publish_layer(control)
        await publish_layer(control)
        with pytest.raises(CodeStorageExceededException):
            await publish_layer(control)


def test_a_layer_and_the_function_that_has_it_are_documents_and_back() -> None:
    policy = Policy(statements=(Statement(sid="a", document="{}"),), revision_id="r")
    version = LayerVersion(
        number=3,
        created=1.5,
        code_sha256="hash",
        code_bytes=1,
        unzipped_bytes=2,
        runtimes=("python3.12",),
        policy=policy,
    )
    layer = Layer(key=KEY, versions=(version,), last_version=4)
    assert load(Layer, dump(layer)) == layer
    use = LayerUse(arn="arn", code_sha256="hash", code_bytes=1, unzipped_bytes=2)
    image = ImageConfig(command=("a", "b"), working_directory="/app")
    latest = a_version(layers=(use, use), image_config=image, image_uri="a.b/c:d")
    function = a_function(latest=latest)
    assert load_function(function.key, dump_function(function), {}) == function
