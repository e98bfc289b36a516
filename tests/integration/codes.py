"""All code that makes rows, by name: of every table made by Python, of every computation, adapter and provider.

python -m tests.integration.codes
    writes what each code covers to source.txt, and prints which codes are not declared to make what cd80978 made
python -m tests.integration.codes --since HEAD
    prints which codes are not declared to make what they made at another commit: the tables that an edit makes again
python -m tests.integration.codes [--since HEAD] --because "files moved" CODE ...
    declares that codes make the same rows in every warehouse (with --all: every code that would be printed)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from laionet_assets.assets.pipeline import build_pipeline
from laionet_assets.assets.same_rows import BEFORE_DIGESTS, SameRows, ship, shipped_list
from laionet_assets.assets.source_code import this_package
from laionet_assets.assets.steps import Computation
from laionet_assets.models.spec import IMAGE_ENCODER, PREDICTOR, RECOGNIZER, TEXT_ENCODER
from laionet_assets.settings import load_settings
from laionet_assets.sources import adapter_module, adapters

ROOT = Path(__file__).parents[2]
PROVIDERS = {role.name: role.providers for role in (TEXT_ENCODER, IMAGE_ENCODER, PREDICTOR, RECOGNIZER)}


def every_code() -> dict[str, tuple[str, list[str]]]:
    """Digest and modules of every code, by name; of SQL no modules."""
    source = this_package()
    found: dict[str, tuple[str, list[str]]] = {}
    computations = [Computation(f"adapter {name}", adapter_module(name)) for name in adapters()]
    for step in build_pipeline(load_settings(ROOT / "laionet.yaml")).steps:
        left_out = [each.root for each in step.computations]
        modules = [] if step.sql_code is not None else source.modules(*step.roots, without=left_out)
        found[step.name] = step.code, modules
        for each in step.computations:
            role = each.name.removesuffix(f" {each.provider}")
            computations += [
                Computation(f"{role} {provider}" if provider else each.name, each.root, provider)
                for provider in PROVIDERS.get(role, (None,))
            ]
    for each in computations:
        found[each.name] = each.digest, source.modules(each.root, provider=each.provider)
    return found


def describe(codes: Mapping[str, tuple[str, list[str]]]) -> str:
    """What each code covers, as source.txt has it."""
    lines = []
    for name, (_, modules) in sorted(codes.items()):
        lines += [name, *(f"    {module.removeprefix('laionet_assets.')}" for module in modules)] if modules else []
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", metavar="COMMIT", help="what the codes are compared with (default: cd80978)")
    parser.add_argument("--because", help="why the rows stay the same")
    parser.add_argument("--all", action="store_true", help="every code that is not declared")
    parser.add_argument("codes", nargs="*", help="names of codes")
    arguments = parser.parse_args()
    codes = every_code()
    (ROOT / "tests/integration/source.txt").write_text(describe(codes))
    before = digests_at(arguments.since) if arguments.since else None
    undeclared = [name for name in codes if is_undeclared(name, codes[name][0], before)]
    if arguments.because:
        names = undeclared if arguments.all else arguments.codes
        ship({name: codes[name][0] for name in names}, because=arguments.because, like=before)
    else:
        print("\n".join(undeclared))


def is_undeclared(name: str, digest: str, before: Mapping[str, str] | None) -> bool:
    """Whether a code is not declared to make the same rows as before: at a commit with these digests, or at cd80978.

    A code that there was not makes no rows again.
    """
    old = before.get(name) if before is not None else _before_digests(name)
    return old is not None and not SameRows(shipped_list(), ()).holds(name, name, digest, old)


def _before_digests(name: str) -> str | None:
    shipped = shipped_list().get(name)
    return BEFORE_DIGESTS if shipped is not None and shipped.was else None


def digests_at(commit: str) -> dict[str, str]:
    """The digest of every code at a commit, by name, as its own tree says."""
    script = "import json; from tests.integration.codes import every_code as e; "
    script += "print(json.dumps({name: found[0] for name, found in e().items()}))"
    with tempfile.TemporaryDirectory() as folder:
        tree = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=tree, check=True)
        environment = {**os.environ, "PYTHONPATH": folder}
        told = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE
        )
    found: dict[str, str] = json.loads(told.stdout)
    return found


if __name__ == "__main__":
    main()
