"""A worker starts without what only pages need: that would double the time in which nothing is judged after a restart."""

from __future__ import annotations

import json
import subprocess
import sys

from deploy.local.wiring import SERVICES

FOR_PAGES = {"fastapi", "starlette"}


def test_workers_and_commands_carry_no_web_framework() -> None:
    modules = ["deploy.local.processes", "deploy.local.up", "deploy.local.audit", *(f"services.{name}.work" for name in SERVICES)]
    carried = "import sys, json, {}; print(json.dumps([name for name in sys.modules if '.' not in name]))"
    said = subprocess.run([sys.executable, "-c", carried.format(", ".join(modules))], capture_output=True, text=True, check=True)
    assert not FOR_PAGES & set(json.loads(said.stdout))
