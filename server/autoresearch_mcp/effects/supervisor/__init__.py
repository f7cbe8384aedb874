"""Execute one run: its process, its clocks, its log, and the end of everything it started.

executing.py   the process from start to end, and nothing of it left
channel.py     what the harness inside the run tells: first batch, hand-over, the model
descendants.py the processes below this one
pump.py        output into a log with a cap
"""

from autoresearch_mcp.effects.supervisor.channel import Channel, HandedOver, Store
from autoresearch_mcp.effects.supervisor.descendants import descendants
from autoresearch_mcp.effects.supervisor.executing import Execution, RunSpec, attended, execute

__all__ = [
    "Channel",
    "Execution",
    "HandedOver",
    "RunSpec",
    "Store",
    "attended",
    "descendants",
    "execute",
]
