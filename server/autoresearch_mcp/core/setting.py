"""What must stay the same for two results to be ranked together."""

from autoresearch_mcp.core.trial import Value


class Setting(Value):
    """What must stay the same for two results to be ranked together."""

    profile: str | None
    """Profile of the prepared data; None for a recipe that prepares its own."""
    data: str | None
    """Id of the prepared data."""
    device: str
    """The accelerator or processor that MLX reports, or the machine's processor."""
    mlx: str | None
    python: str
    blas: str
    """Route of the CPU's BLAS, "none" where the wheel's own is used."""
    rankable: bool = True
    """False for a smoke test, whose results mean nothing."""
    machine: str | None = None
    """Processor, cores and memory."""
    assets: str | None = None
    """State of the data outside the repository that runs may read."""

    def differences(self, other: "Setting") -> tuple[str, ...]:
        """List what differs, as "name: before -> after".

        What was not recorded then is not compared: an older version of the server began it.
        """
        mine, theirs = self.model_dump(), other.model_dump()
        recorded = self.model_fields_set
        return tuple(
            f"{k}: {mine[k]} -> {theirs[k]}" for k in mine if k in recorded and mine[k] != theirs[k]
        )
