"""Lambda's model in full, with its documentation, as botocore's own classes want it."""

import gzip
import json
from functools import cache
from typing import Any

from lampyr.api.spec import model_file


@cache
def raw_model() -> Any:
    return json.loads(gzip.decompress(model_file().read_bytes()))
