"""The files that put the engine on a server: every path, command and option they name exists, and rights are few.

No container engine takes part: what is checked is what can be read.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.cli import _parser
from tests.unit.security.weak import can_be_bound, run_bound

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((ROOT / "deploy").glob("*.service"))
UID = "10001"


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, lines joined."""
    lines = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last_stage() -> list[tuple[str, str]]:
    found = steps()
    return found[max(at for at, (name, _) in enumerate(found) if name == "FROM") :]


def understood(words: list[str]) -> bool:
    """Say whether a command line begins something that exists, with options it knows."""
    program, *rest = words
    assert program == "python" or program.endswith("/bin/python"), words
    if rest[:2] == ["-m", "streamlit"]:
        return rest[2] == "run" and (ROOT / rest[3]).is_file() and rest[4::2] == ["--server.address", "--server.port"]
    if rest[0] == "-c":
        compile(rest[1], "healthcheck", "exec")
        return True
    arguments = rest[2:] if rest[:2] == ["-m", "core"] else ["run", *rest[1:]]
    if rest[:2] != ["-m", "core"]:
        assert 'main(["run", *sys.argv[1:]])' in (ROOT / rest[0]).read_text(encoding="utf-8")
    _parser().parse_args(arguments)
    return True


# --- Dockerfile


def test_the_base_image_is_a_slim_python_the_package_supports_named_to_the_patch() -> None:
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", image)
    assert [rest.split()[0] for name, rest in steps() if name == "FROM"] == ["${PYTHON_IMAGE}"] * 2


def test_the_image_installs_by_hash_and_builds_nothing_but_ta_from_source() -> None:
    (install,) = (rest for name, rest in steps() if name == "RUN" and "pip install" in rest)
    words = shlex.split(install)
    assert "--require-hashes" in words
    assert words[words.index("--only-binary") + 1] == ":all:"
    assert words[words.index("--no-binary") + 1] == "ta"
    assert words[-2:] == ["--requirement", "/tmp/requirements.txt"]


def test_the_image_runs_as_nobody_special_and_starts_without_a_shell() -> None:
    stage = last_stage()
    users = [at for at, (name, _) in enumerate(stage) if name == "USER"]
    assert [stage[at][1] for at in users] == [f"{UID}:{UID}"]
    assert all(name not in ("RUN", "COPY", "ADD") for name, _ in stage[users[0] :])
    commands = [rest for name, rest in stage if name in ("CMD", "ENTRYPOINT")]
    assert len(commands) == 1
    assert understood(json.loads(commands[0]))
    (health,) = (rest for name, rest in stage if name == "HEALTHCHECK")
    assert understood(json.loads(health[health.index("[") :]))
    assert dict(stage)["STOPSIGNAL"] == "SIGTERM"


def test_what_is_copied_exists_and_is_let_in() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert ignored[0] == "*"
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    named: set[str] = set()
    for name, rest in steps():
        words = [word for word in rest.split() if not word.startswith("--")]
        if name == "COPY" and "--from=build" not in rest:
            named |= {word.removeprefix("./") for word in words[:-1]}
    assert named == let_in
    assert all((ROOT / name).exists() for name in named)


@pytest.mark.parametrize("secret", [".env", ".env.local", "core/.env", "data/ohlcv.db", "models/meta/x", ".git/config"])
def test_secrets_and_databases_never_reach_the_image(secret: str) -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    is_out = False
    for line in ignored:  # the last line that matches decides, as Docker reads it
        pattern = line.lstrip("!")
        parts = [secret, *(parent.as_posix() for parent in Path(secret).parents[:-1])]
        patterns = {pattern, pattern.removeprefix("**/")}
        if any(fnmatch.fnmatch(part, each) for part in parts for each in patterns) or (
            pattern.startswith("**/") and any(fnmatch.fnmatch(part, "*/" + pattern[3:]) for part in parts)
        ):
            is_out = not line.startswith("!")
    assert is_out


def test_no_step_names_a_secret() -> None:
    assert not re.search(r"TOKEN|SECRET|PASSWORD|KEY=", "\n".join(rest for _, rest in steps()), re.IGNORECASE)
    assert not [name for name, _ in steps() if name == "ADD"]


@pytest.mark.skipif(not can_be_bound(), reason="rights of files bind nobody here")
def test_what_is_copied_is_all_the_engine_and_its_check_need_on_a_read_only_disk(tmp_path: Path) -> None:
    app, home, cache = tmp_path / "app", tmp_path / "home", tmp_path / "cache"
    for folder in (app, home, cache):
        folder.mkdir()
    shutil.copytree(ROOT / "core", app / "core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dashboard.py", "scheduler_run.py"):
        shutil.copy(ROOT / name, app)
    shutil.copy(ROOT / "config.yaml", home)
    for path in [app, *app.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    environ = {
        "PYTHONPATH": str(app),
        "XDG_CACHE_HOME": str(cache),
        "HOME": str(cache),
        "TRADER__EXCHANGE__ID": "synthetic",
        "TRADER__EXCHANGE__SYNTHETIC": "{days: 3, step: 4h, start: 2024-01-01}",
        "TRADER__SYMBOLS": "[BTC/USDT:USDT]",
        "TRADER__TIMEFRAMES": "[1h]",
    }
    try:
        config = str(home / "config.yaml")
        code = "import core.cli, sys; print(core.cli.__file__); sys.exit(core.cli.main(sys.argv[1:]))"
        ran = run_bound(code, "run", "--once", "--config", config, cwd=app, **environ)
        asked = run_bound(code, "health", "--config", config, cwd=app, **environ)
    finally:
        for path in [app, *app.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(str(app))
    assert (home / "data" / "ohlcv.db").is_file()
    assert "engine:" in asked.stdout, asked.stderr
    assert not list(app.rglob("*.nbc")), "compiled kernels went to the cache"


# --- compose.yaml


@pytest.mark.parametrize("name", ["scheduler", "viewer"])
def test_both_services_have_few_rights_and_end_in_time(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["user"] == f"{UID}:{UID}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"] == "15s"
    assert any(mount.startswith("/tmp:") for mount in service["tmpfs"])
    assert service["logging"]["options"]["max-size"]
    assert "privileged" not in service
    test = service["healthcheck"]["test"]
    assert test[0] == "CMD"
    assert understood(test[1:])


def test_only_the_viewer_is_published_and_on_this_machine_alone() -> None:
    services = COMPOSE["services"]
    assert "ports" not in services["scheduler"]
    assert services["viewer"]["ports"] == ["127.0.0.1:8501:8501"]
    assert understood(services["viewer"]["command"])


def test_one_volume_which_the_viewer_may_only_read() -> None:
    services = COMPOSE["services"]
    assert list(COMPOSE["volumes"]) == ["trader"]
    (home,) = (rest for name, rest in last_stage() if name == "VOLUME")
    assert services["scheduler"]["volumes"] == [f"trader:{home}"]
    assert services["viewer"]["volumes"] == [f"trader:{home}:ro"]
    assert services["viewer"]["environment"]["TRADER_CONFIG"] == f"{home}/config.yaml"


def test_the_token_goes_to_the_engine_alone() -> None:
    assert COMPOSE["services"]["scheduler"]["env_file"] == ".env"
    assert "env_file" not in COMPOSE["services"]["viewer"]
    assert "TOKEN" not in (ROOT / "compose.yaml").read_text(encoding="utf-8").upper().replace("THE TOKEN", "")
    assert (ROOT / ".env.example").is_file()


def test_the_image_is_named_after_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert {service["image"] for service in COMPOSE["services"].values()} == {f"trader-ai:{version}"}


# --- systemd


def unit(path: Path) -> dict[str, list[str]]:
    """Return the settings of [Service], each with all its lines."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_there_are_two_units() -> None:
    assert [path.name for path in UNITS] == ["trader-viewer.service", "trader.service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_something_that_exists_with_few_rights(path: Path) -> None:
    settings = unit(path)
    assert understood(shlex.split(settings["ExecStart"][0]))
    assert settings["User"] == ["trader"]
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictSUIDSGID"):
        assert settings[name] == ["yes"], name
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["CapabilityBoundingSet"] == [""]
    assert settings["UMask"] == ["0077"]
    assert settings["Restart"] == ["on-failure"]
    assert "WatchdogSec" not in settings
    assert int(settings["TimeoutStopSec"][0]) == 15


def test_the_engine_is_not_started_again_over_what_a_start_cannot_mend() -> None:
    from core.errors import AlreadyRunning, ConfigError, CredentialsError

    codes = [str(error.exit_code) for error in (ConfigError, AlreadyRunning, CredentialsError)]
    assert unit(ROOT / "deploy" / "trader.service")["RestartPreventExitStatus"] == [" ".join(codes)]


def test_the_viewers_unit_can_write_nothing_and_is_reached_from_here_alone() -> None:
    settings = unit(ROOT / "deploy" / "trader-viewer.service")
    assert "StateDirectory" not in settings
    assert "ReadWritePaths" not in settings
    assert settings["ReadOnlyPaths"] == ["/var/lib/trader"]
    assert settings["IPAddressDeny"] == ["any"]
    assert settings["IPAddressAllow"] == ["localhost"]
    assert "--server.address 127.0.0.1" in settings["ExecStart"][0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_itself_finds_nothing_wrong_with_a_unit(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("/opt/trader/.venv/bin/python", sys.executable)
    copy = tmp_path / path.name
    copy.write_text(text, encoding="utf-8")
    asked = ["systemd-analyze", "verify", str(copy)]
    ran = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    about_us = [line for line in ran.stderr.splitlines() if line.startswith((path.name, str(copy)))]
    assert about_us == []
