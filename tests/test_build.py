"""How the package is put together: what is built without a compiler, and who touches the native core."""

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def build_wheel(folder: Path, *, require_native: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel on a machine whose C++ compiler does not work."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "wheels"]
    command += ["--config-settings", f"build-dir={folder / 'build'}", ROOT]
    environment = os.environ | {"CXX": "/bin/false", "ELMAN_REQUIRE_NATIVE": require_native}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    if "Could not find a version" in done.stderr:
        pytest.skip("pip cannot fetch the build requirements here")
    return done


def test_without_a_compiler_the_package_is_python_only(tmp_path):
    done = build_wheel(tmp_path, require_native="0")
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "elman/ops/reference.py" in names and not [name for name in names if name.endswith(".so")]


def test_requiring_the_native_core_forbids_that(tmp_path):
    assert build_wheel(tmp_path, require_native="1").returncode != 0


def test_only_ops_import_the_native_core():
    importers = set()
    for path in (ROOT / "src" / "elman").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:  # importlib.import_module("elman._native")
                names = [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
            if any(name.endswith("._native") or "._native." in name for name in names):
                importers.add(path.parent.name)
    assert importers == {"ops"}
