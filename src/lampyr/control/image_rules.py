"""What a function of package type Image may have that one of type Zip may not, and vice versa.

Pure decisions. https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
"""

import re
from typing import Final

from lampyr.control.requests import ConfigurationChange, ImageUri, Source
from lampyr.errors import InvalidParameterValueException
from lampyr.model.image import ImageConfig

IMAGE: Final = "Image"
ZIP: Final = "Zip"
_REFERENCE: Final = re.compile(
    r"(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9-]+(?=:\d))(?::\d{1,5})?"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+"
    r"(?=[:@])(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:(?P<digest>[0-9a-f]{64}))?",
    re.ASCII,
)
"""`registry[:port]/repository`, with a tag, a digest or both. AWS takes those of ECR alone."""


def check_members(change: ConfigurationChange, package_type: str) -> None:
    """Refuse what belongs to the other package type."""
    if package_type == IMAGE and (change.handler or change.runtime or change.layers):
        raise InvalidParameterValueException(
            "Please don't provide Handler or Runtime or Layer when the intended function "
            "PackageType is Image."
        )
    if package_type == ZIP and change.image_config not in (None, ImageConfig()):
        raise InvalidParameterValueException(
            "Please don't provide ImageConfig when the intended function PackageType is Zip."
        )


def check_complete(change: ConfigurationChange, package_type: str) -> None:
    """Of a new function."""
    check_members(change, package_type)
    if package_type == ZIP and not (change.runtime and change.handler):
        raise InvalidParameterValueException(
            "Runtime and Handler are mandatory parameters for functions created with "
            "deployment packages."
        )


def check_new_source(source: Source, package_type: str) -> None:
    """Of a new function's code."""
    if package_type == IMAGE and not isinstance(source, ImageUri):
        raise InvalidParameterValueException(
            "Please provide ImageUri when creating a function with packageType Image."
        )
    if package_type == ZIP and (source is None or isinstance(source, ImageUri)):
        raise InvalidParameterValueException("Please provide a source for function code.")


def check_update_source(source: Source, package_type: str) -> None:
    """Of an update: a function's package type never changes."""
    if package_type == IMAGE and not isinstance(source, ImageUri):
        raise InvalidParameterValueException(
            "Please provide ImageUri when updating a function with packageType Image."
        )
    if package_type == ZIP and isinstance(source, ImageUri):
        raise InvalidParameterValueException(
            "Please don't provide ImageUri when updating a function with packageType Zip."
        )
    if source is None:
        raise InvalidParameterValueException("Please provide a source for function code.")


def digest(uri: str) -> str:
    """The digest that a URI names, as a function's CodeSha256; empty where it names a tag alone."""
    found = _REFERENCE.fullmatch(uri)
    if found is None:
        raise InvalidParameterValueException(
            f"Source image {uri} is not valid. Provide a valid source image."
        )
    return found["digest"] or ""
