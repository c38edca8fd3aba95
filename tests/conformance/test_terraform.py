"""Terraform's AWS provider, unmodified: apply, plan with no change, destroy.

Runs where Terraform is with a mirror of the provider: nothing is downloaded here.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from lampyr.testing.builders import a_zip
from lampyr.testing.server import LampyrServer

SOURCE: Final = Path(__file__).with_name("terraform") / "main.tf"
PROVIDER: Final = "registry.terraform.io/hashicorp/aws"
MIRRORS: Final = (
    os.environ.get("LAMPYR_TEST_TERRAFORM_PLUGINS", ""),
    "~/.terraform.d/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt/tf-plugins",
)
NO_CHANGE: Final = 0
SECONDS: Final = 280

HANDLER: Final = """
import os, words

def handler(event, context):
    return {"said": f"{os.environ['WORD']} {event['name']} {words.MARK}"}
"""


def _mirror() -> Path | None:
    places = (Path(place).expanduser() for place in MIRRORS if place)
    return next((place for place in places if (place / PROVIDER).is_dir()), None)


class Terraform:
    def __init__(self, directory: Path, mirror: Path, variables: dict[str, str]) -> None:
        self._directory = directory
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **{f"TF_VAR_{name}": value for name, value in variables.items()},
        }
        shutil.copy(SOURCE, directory)
        done = self.run("init", f"-plugin-dir={mirror}")
        assert done.returncode == 0, done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", arguments[0], "-no-color", "-input=false", *arguments[1:]],
            cwd=self._directory,
            env=self._environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )

    def output(self, name: str) -> Any:
        done = subprocess.run(
            ["terraform", "output", "-json"],
            cwd=self._directory,
            env=self._environment,
            check=True,
            capture_output=True,
        )
        return json.loads(done.stdout)[name]["value"]


@pytest.fixture
def terraform(tmp_path: Path, lampyr_server: LampyrServer) -> Terraform:
    mirror = _mirror()
    if shutil.which("terraform") is None or mirror is None:
        pytest.skip("there is no Terraform with a mirror of its AWS provider here")
    package, layer = tmp_path / "package.zip", tmp_path / "layer.zip"
    package.write_bytes(a_zip({"app.py": HANDLER}))
    layer.write_bytes(a_zip({"python/words.py": "MARK = '!'\n"}))
    variables = {
        "endpoint": lampyr_server.endpoint_url,
        "package": str(package),
        "layer": str(layer),
    }
    return Terraform(tmp_path, mirror, variables)


@pytest.mark.lampyr_only
@pytest.mark.timeout(900)
def test_terraform_applies_sees_no_change_and_destroys(
    terraform: Terraform, lampyr_server: LampyrServer, lambda_client: Any
) -> None:
    queue = lampyr_server.client("sqs").create_queue(QueueName="tf-orders")["QueueUrl"]
    assert queue
    applied = terraform.run("apply", "-auto-approve")
    assert applied.returncode == 0, applied.stdout
    assert json.loads(terraform.output("answer")) == {"said": "hello terraform !"}
    planned = terraform.run("plan", "-detailed-exitcode")
    assert planned.returncode == NO_CHANGE, planned.stdout
    destroyed = terraform.run("destroy", "-auto-approve")
    assert destroyed.returncode == 0, destroyed.stdout
    left = lambda_client.list_functions()["Functions"]
    assert "tf-hello" not in [function["FunctionName"] for function in left]
    assert lambda_client.list_layer_versions(LayerName="tf-words")["LayerVersions"] == []
    assert lambda_client.list_code_signing_configs()["CodeSigningConfigs"] == []
    mappings = lambda_client.list_event_source_mappings()["EventSourceMappings"]
    assert [m for m in mappings if m["EventSourceArn"].endswith(":tf-orders")] == []
