"""The manifest of a prepared data set: which data, which profile, made by which harness.

`prepare.py` writes it; the server reads it and never trusts a run to choose it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autoresearch_mcp.core.errors import Fault


class Profile(BaseModel):
    """The constants of the harness for a kind of machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    max_seq_len: int = Field(gt=0)
    """Context length, tokens."""
    time_budget: float = Field(gt=0)
    """Training budget, seconds."""
    hard_timeout: float = Field(gt=0)
    """Seconds after which the run is killed."""
    eval_tokens: int = Field(gt=0)
    vocab_size: int = Field(gt=0)
    eval_micro_batch: int = Field(gt=0)
    """Rows per forward pass of the evaluation."""
    startup_allowance: float = Field(ge=0)
    """Seconds of compilation that the budget does not count."""


class PreparedFile(BaseModel):
    """One file of the data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class EvaluationFiles(BaseModel):
    """Which files of the data set say what is scored; both in NumPy's format."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: str
    """Token ids, uint16, (rows, max_seq_len + 1): inputs, and the target of the last one."""
    holdout: str | None = None
    """The same of rows that only a certificate is scored on; None where there are none."""
    token_bytes: str
    """Bytes of each token, int32, (vocab_size,): 0 for tokens that are not scored."""


class Manifest(BaseModel):
    """What `prepare.py` made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    data_id: str
    source: str
    created_at: str
    profile: Profile
    harness_sha256: str
    corpus: str
    tokenizer_sha256: str
    masked: tuple[str, ...]
    """Files of this machine that hold validation or holdout text."""
    rankable: bool
    """False for a smoke test: its results are never ranked."""
    files: dict[str, PreparedFile]
    evaluation: EvaluationFiles | None = None
    """What the server evaluates on; None where the harness evaluates in the run itself."""


def parse_manifest(text: str, where: str) -> Manifest:
    """Read a manifest.

    Raises:
        Fault: It is not one that this version understands.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise Fault(
            f"{where}: {place}: {first['msg']}; prepare the data again: autoresearch-mcp prepare"
        ) from error
