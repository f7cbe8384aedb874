"""Seatbelt, the sandbox of macOS: a policy as the text that sandbox-exec reads.

Written from documentation and from what others report to work, and tested as text alone: no
Mac was at hand. `doctor` runs it before it is trusted, as every sandbox, and falls back visibly.
Others have seen Metal compute in a sandbox that may open AGXDeviceUserClient and ask the Metal
compiler service; these two are granted. What Seatbelt cannot do: cap memory and the sum of the
scratch files (the supervisor watches both), and keep a readable file from being linked into the
scratch folder and written there (the harness is verified after each run).
"""

import json
import sys
from collections.abc import Mapping

from autoresearch_mcp.effects.sandbox import enter, masks
from autoresearch_mcp.effects.sandbox.policy import Policy, Wrapped

PROGRAM = "/usr/bin/sandbox-exec"
_SYSTEM = ("/System", "/usr/lib", "/usr/share", "/Library/Apple", "/private/var/db/timezone")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_HEAD = """\
(version 1)
(deny default)
(allow signal (target self))
(allow sysctl-read)
(allow mach-host*)
(allow file-read-metadata)
(allow file-read* (literal "/"))
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
"""
_METAL = """\
(allow iokit-open (iokit-user-client-class "AGXDeviceUserClient"))
(allow iokit-get-properties)
(allow mach-lookup (global-name "com.apple.MTLCompilerService"))
"""
_ONE_PROCESS = "(deny process-fork)\n"
_MANY_PROCESSES = "(allow process-fork)\n(allow signal (target same-sandbox))\n"
_NETWORK = """\
(allow network-outbound)
(allow system-socket)
(allow mach-lookup (global-name "com.apple.mDNSResponder") (global-name "com.apple.trustd"))
"""
_NO_NETWORK = "(deny network*)\n"


class Seatbelt:
    """The system's own sandbox, entered by way of sandbox-exec."""

    name = "seatbelt"

    def wrap(
        self, argv: tuple[str, ...], environment: Mapping[str, str], policy: Policy
    ) -> Wrapped:
        """Return the command that runs under the policy's profile."""
        orders: enter.Orders = {
            "landlock": False,
            "seccomp": False,
            "read": [],
            "write": [],
            "masked": [],
            "devices": [],
            "network": policy.network,
            "subprocesses": policy.subprocesses,
            "accelerator": True,
            "memory": None,
            "file_size": policy.scratch_bytes,
            "tasks": None,
            "environment": dict(environment),
        }
        first = (sys.executable, "-I", "-S", "-B", enter.__file__, json.dumps(orders))
        return Wrapped(argv=(*first, PROGRAM, "-p", profile(policy), *argv), environment={})


def profile(policy: Policy) -> str:
    """Return the profile; where rules meet, the last one that fits decides.

    Inner paths come after outer ones, so that the longest path decides.
    """
    hidden = set(masks.hidden(map(str, policy.masked)))
    readable = set(masks.resolved([*_SYSTEM, *map(str, policy.read)]))
    rules = {path: f"(deny file-read* {_within(path)})\n" for path in hidden}
    rules |= {path: f"(allow file-read* process-exec {_within(path)})\n" for path in readable}
    maps = {path: f"(allow file-map-executable {_within(path)})\n" for path in readable}
    writable = masks.resolved(map(str, policy.write))
    return "".join(
        (
            _HEAD,
            _MANY_PROCESSES if policy.subprocesses else _ONE_PROCESS,
            *(rules[path] + maps.get(path, "") for path in sorted(rules)),
            *(f"(allow file-read* file-write* {_within(path)})\n" for path in writable),
            *(f"(allow file-read* file-write-data (literal {_text(path)}))\n" for path in _DEVICES),
            _METAL if policy.devices == "metal" else "",
            _NETWORK if policy.network else _NO_NETWORK,
        )
    )


def _within(path: str) -> str:
    return f"(subpath {_text(path)})"


def _text(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
