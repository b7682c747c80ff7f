"""The container set's files: what every role has, and what none may have."""

from __future__ import annotations

import re
import runpy
import stat
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from local import airflow
from local.home import AIRFLOW_SECRETS, MLFLOW_SECRETS
from perennial.bootstrap import ROLES, SUPERUSER
from perennial.settings import PII_KEY, REPOSITORY, SERVE_TOKEN, Settings

COMPOSE = yaml.safe_load((REPOSITORY / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"init", "tools"}
PASSWORDS = {SUPERUSER, *ROLES, *AIRFLOW_SECRETS, *MLFLOW_SECRETS, PII_KEY, SERVE_TOKEN}
PASSWORDS |= {"redis"}
KUBERNETES = "1.34"
NOT_OURS = {"PERENNIAL_WORKER_SLOTS"}  # Celery's


def test_the_set_is_whole() -> None:
    assert set(SERVICES) == {
        *("postgres", "redis", "init", "reader-limit", "mlflow", "serve", "worker", "tools"),
        *("api-server", "scheduler", "dag-processor", "triggerer"),
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["mem_limit"]
    assert service["cpus"]


@pytest.mark.parametrize("name", SERVICES)
def test_one_image_serves_every_role(name: str) -> None:
    assert SERVICES[name]["image"] == SERVICES["postgres"]["image"]
    if name != "tools":
        start = (REPOSITORY / "docker" / "start.py").read_text()
        assert SERVICES[name]["command"] == [name]
        assert f'"{name}": ' in start


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_what_stays_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    checks = runpy.run_path(str(REPOSITORY / "docker" / "health.py"))["CHECKS"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"] == ["CMD", "python", "docker/health.py", name]
    assert name in checks


def test_what_makes_the_rest_is_tried_again() -> None:
    assert SERVICES["init"]["restart"] == "on-failure"


def test_ports_are_this_machine_s_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_an_environment(name: str) -> None:
    environment = SERVICES[name]["environment"]
    fields = {f"PERENNIAL_{field.upper()}" for field in Settings.model_fields}
    assert environment.keys() <= fields | NOT_OURS
    assert not {"PERENNIAL_ALERT_URLS"} & environment.keys()  # has passwords in it
    assert not re.search("password|token|_key", str(environment), re.IGNORECASE)
    assert environment["PERENNIAL_SECRETS"] == "/run/secrets"


def test_every_password_is_a_file_and_few_roles_have_it() -> None:
    assert COMPOSE["secrets"].keys() == PASSWORDS | {"settings.env"}
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"${{PERENNIAL_SECRETS:-./.secrets}}/{name}"}
    having = {
        password: {name for name, service in SERVICES.items() if password in service["secrets"]}
        for password in PASSWORDS
    }
    assert all(having.values())
    assert having[SUPERUSER] == {"postgres", "init"}
    assert having[PII_KEY] == {"worker", "tools"}
    assert having["scorer"] == {"init", "worker", "tools", "serve"}
    assert having[SERVE_TOKEN] == {"serve"}
    assert "airflow_admin" not in SERVICES["worker"]["secrets"]


def test_passwords_are_made_once_and_nobody_else_passes_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = [REPOSITORY / "docker" / "secrets.sh", folder]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert made.pop("settings.env") == ""
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", password) for password in made.values())
    subprocess.run(script, check=True, capture_output=True)
    assert all((folder / name).read_text() == password for name, password in made.items())


def test_nothing_unnamed_gets_into_the_image() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if line and line[0] not in "#!") == "*"
    named = {line[1:] for line in lines if line.startswith("!")}
    assert not {"tests", "docker", ".git", ".perennial", ".venv"} & named
    assert all((REPOSITORY / name).exists() for name in named)
    assert {*airflow.PACKAGES, "local", "dbt_project"} <= named


HELM = REPOSITORY / "docker" / "helm"
VALUES: dict[str, Any] = yaml.safe_load((HELM / "values.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((HELM / "perennial.yaml").read_text()))
PARTS = [
    *(VALUES[part] for part in ("apiServer", "scheduler", "dagProcessor", "triggerer")),
    VALUES["workers"]["celery"],
]


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda one: f"{one['kind']} of {one['metadata']['name']}"
)
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part["args"][0])
def test_a_pod_of_the_chart_s_is_what_kubernetes_takes(part: dict[str, Any]) -> None:
    """The pods that the chart builds from our values, as far as the values are Kubernetes' own."""
    probes = {name: part[name] for name in ("startupProbe", "livenessProbe") if name in part}
    checks = {
        name: {
            ("exec" if key == "command" else key): ({key: value} if key == "command" else value)
            for key, value in probe.items()
        }
        for name, probe in probes.items()
    }
    container = {
        "name": "ours",
        "args": part["args"],
        "resources": part["resources"],
        "env": VALUES["env"],
        "volumeMounts": VALUES["volumeMounts"],
        "securityContext": VALUES["securityContexts"]["containers"],
        **checks,
    }
    pod = {
        "securityContext": VALUES["securityContexts"]["pod"],
        "volumes": VALUES["volumes"],
        "containers": [container],
    }
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ours"}, "spec": pod}
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_helm_s_files_name_our_roles_and_agree_on_the_settings() -> None:
    of_the_chart = {part["args"][0] for part in PARTS}
    pods = [
        one["spec"]["template"]["spec"] for one in MANIFESTS if "template" in one.get("spec", {})
    ]
    (settings,) = (one["data"] for one in MANIFESTS if one["kind"] == "ConfigMap")
    assert of_the_chart | {pod["containers"][0]["args"][0] for pod in pods} == (
        SERVICES.keys() - {"tools", "postgres"}
    )
    assert {entry["name"]: entry["value"] for entry in VALUES["env"]} == settings
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods)
    assert all(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] for pod in pods)


def test_a_pod_is_given_the_passwords_that_its_role_has_in_the_set() -> None:
    roles = {part["args"][0] for part in PARTS}
    assert passwords(VALUES) == {name for role in roles for name in SERVICES[role]["secrets"]}
    for manifest in MANIFESTS:
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
            assert passwords(pod) == set(SERVICES[manifest["metadata"]["name"]]["secrets"])


def passwords(pod: dict[str, Any]) -> set[str]:
    """Keys of the Secret that the pod mounts."""
    (volume,) = (one for one in pod["volumes"] if one["name"] == "passwords")
    assert all(item["key"] == item["path"] for item in volume["secret"]["items"])
    return {item["key"] for item in volume["secret"]["items"]}
