"""What the tests need of the system is installed by the project's own files, or named."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "packages.sh"
APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND apt-get $*" >> "$RAN"
cat "$SYSTEM"/etc/postgresql-common/createcluster.d/* >> "$RAN"
"$SYSTEM"/usr/sbin/policy-rc.d || echo "services: $?" >> "$RAN"
"""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A root directory without packages, and the programs of one who is root there."""
    (tmp_path / "bin").mkdir()
    for name, code in {"apt-get": APT, "id": "#!/bin/sh\necho 0\n", "sudo": "#!/bin/sh\nexit 1\n"}.items():
        program = tmp_path / "bin" / name
        program.write_text(code)
        program.chmod(0o755)
    return tmp_path


def run(system: Path) -> subprocess.CompletedProcess[str]:
    named = {"PATH": f"{system}/bin:{os.environ['PATH']}", "SYSTEM": str(system), "RAN": f"{system}/ran"}
    return subprocess.run(["bash", SCRIPT, system], env=named, capture_output=True, text=True, check=False)


def test_what_is_missing_is_installed_and_no_server_started(system: Path) -> None:
    done = run(system)
    assert (done.returncode, done.stdout, done.stderr) == (0, "installing postgresql prometheus redis-server\n", "")
    assert (system / "ran").read_text().splitlines() == [
        " apt-get update -qq",
        "create_main_cluster = false",
        "services: 101",
        "noninteractive apt-get install -qq -y --no-install-recommends postgresql prometheus redis-server",
        "create_main_cluster = false",
        "services: 101",
    ]
    left = [*(system / "etc").rglob("*.conf"), *(system / "usr").rglob("policy-rc.d")]
    assert left == [], "whoever wants a server later gets one"


def test_a_machine_that_starts_no_services_keeps_its_rule(system: Path) -> None:
    rule = system / "usr" / "sbin" / "policy-rc.d"
    rule.parent.mkdir(parents=True)
    rule.write_text("#!/bin/sh\nexit 42\n")
    rule.chmod(0o755)
    assert run(system).returncode == 0
    assert "services: 42" in (system / "ran").read_text()
    assert rule.exists()


def test_nothing_is_done_when_all_is_there(system: Path) -> None:
    for program in ("lib/postgresql/15/bin/postgres", "bin/promtool", "bin/redis-server"):
        (system / "usr" / program).parent.mkdir(parents=True, exist_ok=True)
        (system / "usr" / program).touch()
    assert (run(system).returncode, (system / "ran").exists()) == (0, False)


def test_who_may_not_install_is_told_what_to_install(system: Path) -> None:
    (system / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    done = run(system)
    assert (done.returncode, (system / "ran").exists()) == (1, False)
    assert "sudo apt-get install --no-install-recommends postgresql prometheus redis-server" in done.stderr
