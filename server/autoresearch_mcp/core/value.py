"""What every value of the ledger has in common."""

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """A frozen, closed value that travels to and from the ledger as JSON."""

    # Hashes and times are hardly met twice: a cache of them fills up and gains nothing.
    model_config = ConfigDict(frozen=True, extra="forbid", cache_strings="keys")
