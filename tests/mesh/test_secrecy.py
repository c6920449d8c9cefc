"""What others can see of a process: arguments written over, no core dump, no passphrase handed on."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

from kindmesh.mesh.confine import _prctl  # the flag is read back, not assumed
from kindmesh.mesh.secrecy import hide_arguments

SECRET = "KM1:ABCDEFGHIJKLMNOP"
SHOW = """
import json
import sys
from pathlib import Path
from kindmesh.mesh.secrecy import guard_process, hide_arguments
before = Path("/proc/self/cmdline").read_bytes()
assert hide_arguments([sys.argv[2], "--text"]) and guard_process()
after = Path("/proc/self/cmdline").read_bytes()
print(json.dumps([before.decode(), after.decode(), str(sys.orig_argv)]))
"""


def test_an_argument_is_hidden_and_the_command_is_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOW, "join", SECRET, f"--name={SECRET}", "kitchen"],
        capture_output=True,
        check=True,
    )
    before, after, ours = json.loads(done.stdout)
    assert before.count(SECRET) == 2
    assert SECRET not in after
    assert SECRET not in ours
    words = after.rstrip("\0").split("\0")
    assert words[3:] == ["join", "*" * len(SECRET), "--name=" + "*" * len(SECRET), "kitchen"]


def test_nothing_to_hide_is_said() -> None:
    assert hide_arguments([]) is False
    assert hide_arguments([""]) is False


def test_a_guarded_process_leaves_no_core_and_cannot_be_looked_into() -> None:
    code = (
        "from kindmesh.mesh.secrecy import guard_process; import resource, tests.mesh.test_secrecy as t\n"
        "print(guard_process(), resource.getrlimit(resource.RLIMIT_CORE), t.dumpable())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=os.getcwd()
    )
    assert done.stdout.split("\n")[0] == "True (0, 0) 0"
    assert resource.RLIMIT_CORE >= 0


def dumpable() -> int:
    return _prctl(3)


LOOKS = """
import os, sys
for number in sys.argv[1:]:
    try:
        os.fstat(int(number))
        print("open")
    except OSError:
        print("closed")
"""
BECOMES = """
import os, sys
from kindmesh.mesh.secrecy import hand_on_only
looks, kept, other = sys.argv[1:]
hand_on_only({int(kept)})
os.execv(sys.executable, [sys.executable, "-c", looks, "0", "1", "2", kept, other])
"""


def test_a_program_that_takes_its_place_gets_what_is_kept_and_nothing_else() -> None:
    kept, other = os.pipe()
    try:
        said = subprocess.run(
            [sys.executable, "-c", BECOMES, LOOKS, str(kept), str(other)],
            pass_fds=(kept, other), capture_output=True, text=True, check=True,
        )  # fmt: skip
    finally:
        os.close(kept)
        os.close(other)
    assert said.stdout.split() == ["open", "open", "open", "open", "closed"]
