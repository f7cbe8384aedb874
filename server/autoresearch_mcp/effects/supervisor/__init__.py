"""Execute one run: its process, its clocks, its log, and the end of everything it started.

executing.py   the process from start to end, and nothing of it left
channel.py     what the harness inside the run tells: first batch, hand-over
pump.py        output into a log with a cap
"""

from autoresearch_mcp.effects.supervisor.channel import Channel
from autoresearch_mcp.effects.supervisor.executing import Execution, RunSpec, execute

__all__ = ["Channel", "Execution", "RunSpec", "execute"]
