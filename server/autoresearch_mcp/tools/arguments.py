"""The arguments that several tools share, and the hints a client shows about a tool.

Some clients drop ranges and defaults from the schema that the model sees, so both stand in the
descriptions too.
"""

from typing import Annotated

from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

MOST = 2**31
"""More trials than anybody will run; SQLite takes no larger number than 2**63."""


class EditItem(BaseModel):
    """One replacement."""

    model_config = ConfigDict(extra="forbid")

    old: str = Field(description="Text to replace; must occur exactly once in the file.")
    new: str = Field(description="Text to put there.")


TrialId = Annotated[
    int, Field(ge=1, le=MOST, description="The trial's number, as run_trial gave it; from 1.")
]
FilePath = Annotated[
    str | None, Field(description="File, relative to the repository; may be left out if only one.")
]
WaitSeconds = Annotated[
    float | None,
    Field(
        ge=0,
        description="Seconds to wait for the verdict, 0 to 3600; left out: what this client bears.",
    ),
]


def hints(*, read_only: bool = False, idempotent: bool = False) -> ToolAnnotations:
    """Return a tool's four annotations.

    Nothing here is destructive: every candidate and every discarded change stays reachable.

    Args:
        read_only: It changes nothing at all; `serve --read-only` offers these alone.
        idempotent: Calling it again changes nothing more.
    """
    return ToolAnnotations(
        read_only_hint=read_only,
        destructive_hint=False,
        idempotent_hint=idempotent or read_only,
        open_world_hint=False,
    )
