"""`just fuzz [SECONDS]`: libFuzzer (through atheris) over every decoder of `targets`, 60 seconds if nothing is said.

What it finds is kept in `.fuzz/` and reproduced by `just fuzz --replay FILE`; so is what it has learned, for the next
time. Ends with 1 when there is a finding. Bounded: time, memory, and the size of an input.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".fuzz"
LENGTH_MAX = 8_192
MEMORY_MIB = 2_048
INPUT_S = 10


def main(words: Sequence[str]) -> int:
    """Run, or replay; 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="just fuzz", description="Look for bytes that break a decoder.")
    parser.add_argument("seconds", nargs="?", type=int, default=60, help="how long (default 60)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try one kept input again")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.replay is not None:
        return replay(options.replay)
    if options.work:
        work(options.seconds, options.folder)
    return supervise(options.seconds, options.folder)


def replay(path: Path) -> int:
    """One input again; what it breaks is raised."""
    from tests.fuzz.targets import TARGETS, run

    data = path.read_bytes()
    name = TARGETS[data[0] % len(TARGETS)].__name__ if data else "nothing"
    say(f"{name} with {path}")
    run(data)
    say("nothing is broken by it")
    return 0


def say(line: str) -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def supervise(seconds: int, folder: Path) -> int:
    """The fuzzer in a process of its own, since it ends the process it runs in."""
    before = set(findings(folder))
    command = [sys.executable, "-m", "tests.fuzz", str(seconds), "--work", "--folder", str(folder)]
    begun = time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, check=False)
    found = sorted(set(findings(folder)) - before)
    for path in found:
        say(f"finding: just fuzz --replay {path}")
    say(f"{time.monotonic() - begun:.0f} s, {len(found)} findings, kept in {folder}")
    return 1 if found or ended.returncode else 0


def findings(folder: Path) -> list[Path]:
    """What was kept."""
    return [path for kind in ("crash", "timeout", "oom", "leak") for path in folder.glob(f"{kind}-*")]


def work(seconds: int, folder: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    try:
        import atheris
    except ImportError:
        sys.stderr.write("atheris is not installed here; it needs Linux on x86_64: pip install atheris\n")
        sys.exit(2)
    with atheris.instrument_imports(include=["kindmesh", "tests.fuzz"]):
        from tests.fuzz.targets import run, seeds
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        path = corpus / sha256(seed).hexdigest()[:32]
        if not path.exists():
            path.write_bytes(seed)
    limits = [
        f"-max_total_time={max(1, seconds)}", f"-max_len={LENGTH_MAX}", f"-rss_limit_mb={MEMORY_MIB}",
        f"-timeout={INPUT_S}", f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *limits, str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
