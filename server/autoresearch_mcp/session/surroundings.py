"""What the protocol says of the machine that it is made for, held against this one.

Advice to whoever sets the recipe up: nothing here keeps a trial from running.
"""

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.oshints import fits
from autoresearch_mcp.core.protocol_schema import Environment
from autoresearch_mcp.effects import installing
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.machine import Check, ok, warning
from autoresearch_mcp.session.views import short


def environment(bench: Bench, root: Path) -> Iterator[Check]:
    """Look at what the protocol's environment names: systems, package managers, assets.

    Args:
        bench: Where the recipe's runs happen.
        root: The repository's top.
    """
    wanted = bench.recipe.protocol.environment
    if wanted.os_hints:
        yield _system(wanted)
    if wanted.package_managers:
        yield _managers(wanted, root)
    if wanted.asset_prep:
        yield _assets(wanted, bench)


def _system(wanted: Environment) -> Check:
    here = f"{platform.system()} {platform.machine()}"
    hints = short("; ".join(wanted.os_hints))
    match fits(wanted.os_hints, sys.platform, platform.machine()):
        case True:
            return ok("osHints", f"{here} is among them: {hints}")
        case False:
            fix = "expect what the recipe was not written for, or use one of those"
            return warning("osHints", f"{here} is not among them: {hints}", fix)
        case None:
            return ok("osHints", f"they name no system known here: {hints}")


def _managers(wanted: Environment, root: Path) -> Check:
    found, missing = list[str](), list[str]()
    for text in wanted.package_managers:
        name = (text.split() or [""])[0]
        try:
            found.append(short(f"{name} at {installing.program(name, root)}"))
        except (Fault, ValueError):  # the latter for what no file can be called
            missing.append(short(text))
    if missing:
        fix = "install it if its steps are still to be run (autoresearch-mcp setup)"
        return warning("packageManagers", f"not on PATH: {', '.join(missing)}", fix)
    return ok("packageManagers", ", ".join(found))


def _assets(wanted: Environment, bench: Bench) -> Check:
    """Tell whether what was to be prepared is there, as far as the server knows where that is."""
    text = short("; ".join(wanted.asset_prep))
    if bench.data is not None:
        return ok("assetPrep", f"done, {bench.data.folder} is there: {text}")
    if bench.assets:
        places = ", ".join(str(path) for path in bench.assets)
        return ok("assetPrep", f"done as far as can be told, {places} is there: {text}")
    return warning("assetPrep", "not done: no prepared data was found", text)
