"""What every value of the ledger has in common."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen, closed value that travels to and from the ledger as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")
