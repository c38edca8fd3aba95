"""AWS's client for Node.js, whose text is made that of a CommonJS module."""

import pytest

from lampyr.worker.runtimes.node import as_common_js

MODULE = """\
#!/usr/bin/env node
import { createRequire } from "module";
const require = createRequire(import.meta.url);
const loaded = await import(path);
export {
  run
};
"""


def test_every_line_stays_where_it_was() -> None:
    assert as_common_js(MODULE).splitlines() == [
        '"use strict"; ',
        'const { createRequire } = require("module");',
        "",
        "const loaded = await import(path);",
        "module.exports = {",
        "  run",
        "};",
    ]


@pytest.mark.parametrize(
    "line", ['import fs from "fs";', "export default run;", "const here = import.meta.dirname;"]
)
def test_what_is_not_known_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="a new way"):
        as_common_js(f"{MODULE}{line}\n")
