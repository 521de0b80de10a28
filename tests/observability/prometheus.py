"""A Prometheus that scrapes the service, and promtool."""

import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

READY_SECONDS_MAX = 20
STOP_SECONDS_MAX = 10


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """Runs promtool and returns its output; fails if promtool reports errors."""
    done = subprocess.run(
        [os.environ["PROMTOOL"], *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode()
    if done.returncode != 0:
        raise AssertionError(f"promtool {' '.join(arguments)} says:\n{said}")
    return said


class Prometheus:
    """Scrapes targets and evaluates rules every second."""

    def __init__(self, rules: str, namespace: str, targets: dict[str, str]) -> None:
        """`targets` are addresses with the part of the service that each represents."""
        self._folder = tempfile.TemporaryDirectory(prefix="prometheus-")
        folder = Path(self._folder.name)
        (folder / "rules.yaml").write_text(rules)
        job = {
            "job_name": "data-storage",
            "static_configs": [
                {"targets": [address], "labels": {"namespace": namespace, "part": part}}
                for address, part in targets.items()
            ],
        }
        (folder / "prometheus.yaml").write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": ["rules.yaml"],
                    "scrape_configs": [job],
                }
            )
        )
        listen = f"127.0.0.1:{free_port()}"
        self._url = f"http://{listen}"
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [
                os.environ["PROMETHEUS"],
                f"--config.file={folder}/prometheus.yaml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={listen}",
                "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> "Prometheus":
        give_up = time.monotonic() + READY_SECONDS_MAX
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self._log.seek(0)
                said = self._log.read()
                self.__exit__(None, None, None)
                raise AssertionError(f"Prometheus did not start:\n{said}")
            time.sleep(0.1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._folder.cleanup()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, what: str, **parameters: str) -> Any:
        """Returns the data of `/api/v1/{what}`."""
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what} {parameters}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Evaluates an expression and returns its series with `metric` and `value`."""
        result: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return result

    def total(self, expression: str) -> float:
        """Returns the only value of an expression, or 0 without one."""
        found = self.query(expression)
        return sum(float(series["value"][1]) for series in found)


def free_port() -> int:
    """Returns an unused loopback port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
