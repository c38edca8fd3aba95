"""Terraform with AWS's own provider, unmodified: made, found as it was made, and taken away.

Neither comes with Lampyr or its tests. The provider has to lie in a directory of plugins, as
`terraform providers mirror` makes one: nothing is downloaded.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lampyr.testing.builders import a_zip
from lampyr.testing.server import LampyrServer

CONFIGURATION: Final = Path(__file__).with_name("terraform") / "main.tf"
SETTINGS: Final = """
disable_checkpoint = true
provider_installation {{
  filesystem_mirror {{
    path    = "{plugins}"
    include = ["*/*/*"]
  }}
}}
"""
NO_CHANGES: Final = 0
"""What `plan -detailed-exitcode` ends with, where nothing has to be done."""

Terraform = Callable[..., subprocess.CompletedProcess[str]]


def plugins() -> Path | None:
    """A directory of plugins with the AWS provider: one is named, or lies where they do."""
    named = os.environ.get("LAMPYR_TEST_TERRAFORM_PLUGINS")
    places = [
        *([Path(named)] if named else []),
        Path.home() / ".terraform.d" / "plugins",
        *(Path(share, "terraform", "plugins") for share in ("/usr/local/share", "/usr/share")),
        *Path("/opt").glob("*plugins*"),
    ]
    return next((place for place in places if any(place.glob("*/hashicorp/aws/*/*"))), None)


@pytest.fixture
def terraform(lampyr_server: LampyrServer, tmp_path: Path) -> Terraform:
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not on this host")
    found = plugins()
    if found is None:
        pytest.skip("Terraform is here, its AWS provider is not: LAMPYR_TEST_TERRAFORM_PLUGINS")
    (tmp_path / "settings").write_text(SETTINGS.format(plugins=found))
    (tmp_path / "package.zip").write_bytes(a_zip())
    shutil.copy(CONFIGURATION, tmp_path)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TF_")},
        "TF_CLI_CONFIG_FILE": str(tmp_path / "settings"),
        "TF_VAR_endpoint": lampyr_server.endpoint_url,
        "TF_VAR_package": str(tmp_path / "package.zip"),
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *words, "-no-color", "-input=false"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return run


# The provider is a program of 600 MB, which every command starts anew.
@pytest.mark.timeout(1800)
@pytest.mark.lampyr_only
def test_terraform_makes_finds_and_takes_away(
    terraform: Terraform, lampyr_server: LampyrServer
) -> None:
    begun = terraform("init")
    assert begun.returncode == 0, begun.stderr
    try:
        made = terraform("apply", "-auto-approve")
        assert made.returncode == 0, made.stderr
        planned = terraform("plan", "-detailed-exitcode")
        assert planned.returncode == NO_CHANGES, f"{planned.stdout}{planned.stderr}"
    finally:
        gone = terraform("destroy", "-auto-approve", "-refresh=false")
    assert gone.returncode == 0, gone.stderr
    names = [f["FunctionName"] for f in lampyr_server.client().list_functions()["Functions"]]
    assert "terraform" not in names
