"""The container set for tests: a separate project, removed completely at the end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perennial.settings import REPOSITORY, Settings

FILES = [REPOSITORY / "docker" / "compose.yaml", Path(__file__).parent / "private_homes.yaml"]
TIMEOUT_SECONDS = 600
WORKERS = 2
LABEL = "com.docker.compose.project"


@dataclass(frozen=True)
class Container:
    """One container: its id, its service, the engine's description."""

    id: str
    service: str
    inspected: dict[str, Any]

    def is_at(self, address: str) -> bool:
        """Whether this container has the address in the set's network."""
        networks = self.inspected["NetworkSettings"]["Networks"].values()
        return address in {network["IPAddress"] for network in networks}


@dataclass(frozen=True)
class TheSet:
    """The set of one project.

    Attributes:
        project: Prefix of the names of containers, volumes and network.
        settings: The test's settings: ports on loopback, and the folder of the passwords.
        variables: Environment variables for compose.yaml.
    """

    project: str
    settings: Settings
    variables: dict[str, str]

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose ...` or `podman-compose ...`; return its output."""
        files = [word for path in FILES for word in ("-f", str(path))]
        command = [*shlex.split(os.environ["COMPOSE"]), *files, "-p", self.project, *arguments]
        return self._run(command, check)

    def engine(self, *arguments: str, check: bool = True) -> str:
        """Run `docker ...` or `podman ...`; return its output."""
        return self._run([os.environ["ENGINE"], *arguments], check)

    def up(self) -> None:
        """Start the missing containers, in the background."""
        self.compose("up", "-d")

    def down(self, *, with_volumes: bool = False) -> None:
        """Stop and remove the containers, and their volumes with `with_volumes`."""
        self.compose("down", "--remove-orphans", *(["--volumes"] if with_volumes else []))

    def tool(self, *command: str, check: bool = True) -> str:
        """Run a command in a new container."""
        run = ("--profile", "tools", "run", "--rm", "--no-deps", "-T", "tools")
        return self.compose(*run, *command, check=check)

    def containers(self, service: str | None = None) -> list[Container]:
        """Running containers of the set."""
        ids = self.engine("ps", "-q", "--filter", f"label={LABEL}={self.project}").split()
        inspected = json.loads(self.engine("inspect", *ids)) if ids else []
        found = [
            Container(one["Id"], one["Config"]["Labels"]["com.docker.compose.service"], one)
            for one in inspected
        ]
        return [one for one in found if service in (None, one.service)]

    def left(self) -> list[str]:
        """Remaining containers, volumes and networks with the project's name."""
        names = [
            self.engine("ps", "-a", "--format", "{{.Names}}"),
            self.engine("volume", "ls", "--format", "{{.Name}}"),
            self.engine("network", "ls", "--format", "{{.Name}}"),
        ]
        return [name for text in names for name in text.split() if self.project in name]

    def is_well(self, container: Container) -> bool:
        """Whether the container's health check passes now; an ended container has no check."""
        check = container.inspected["Config"].get("Healthcheck", {}).get("Test", ["CMD", "true"])
        done = subprocess.run(
            [os.environ["ENGINE"], "exec", container.id, *check[1:]],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _run(self, command: list[str], check: bool) -> str:
        done = subprocess.run(
            command,
            env=os.environ | self.variables,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
