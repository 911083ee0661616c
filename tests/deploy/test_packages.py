"""What the tests need of the system is installed by the project's own files, or named."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "packages.sh"
APT = """#!/bin/sh
echo "$DEBIAN_FRONTEND apt-get $*" >> "$RAN"
cat "$SYSTEM"/etc/postgresql-common/createcluster.d/* >> "$RAN"
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


def test_what_is_missing_is_installed_and_no_cluster_made(system: Path) -> None:
    done = run(system)
    assert (done.returncode, done.stdout, done.stderr) == (0, "installing postgresql\n", "")
    assert (system / "ran").read_text().splitlines() == [
        " apt-get update -qq",
        "create_main_cluster = false",
        "noninteractive apt-get install -qq -y --no-install-recommends postgresql",
        "create_main_cluster = false",
    ]
    assert not list((system / "etc").rglob("*.conf")), "whoever wants a cluster later gets one"


def test_nothing_is_done_when_all_is_there(system: Path) -> None:
    server = system / "usr" / "lib" / "postgresql" / "15" / "bin" / "postgres"
    server.parent.mkdir(parents=True)
    server.touch()
    assert (run(system).returncode, (system / "ran").exists()) == (0, False)


def test_who_may_not_install_is_told_what_to_install(system: Path) -> None:
    (system / "bin" / "id").write_text("#!/bin/sh\necho 1000\n")
    done = run(system)
    assert (done.returncode, (system / "ran").exists()) == (1, False)
    assert "sudo apt-get install --no-install-recommends postgresql" in done.stderr
