"""The protocol's section `measurement`: what is measured, how often, and how it is read."""

from typing import Annotated, Literal

from pydantic import Field

from autoresearch_mcp.core.document import Natural, Positive, Section

Direction = Literal["minimize", "maximize"]


class MetricExtract(Section):
    """How a number is read from a run's log."""

    kind: Literal["regex", "json_pointer", "junit", "pytest_summary", "custom"]
    pattern: str | None = None
    json_pointer: str | None = None
    example_stdout: str | None = None
    notes: str | None = None


class PrimaryMetric(Section):
    """The number the research is about."""

    name: str
    direction: Direction
    extract: MetricExtract


class SecondaryMetric(Section):
    """A number that is recorded and shown."""

    name: str
    direction: Direction
    extract: MetricExtract | None = None


class Sampling(Section):
    """How often one candidate is run, and how its values become one."""

    warmup_trials: Natural = 1
    measured_trials: Positive = 5
    aggregator: Literal["median", "mean", "min", "max"] = "median"
    max_relative_std_dev: Annotated[float, Field(ge=0)] | None = None


class BaselinePolicy(Section):
    """When a new baseline is demanded."""

    establish_on_hardware: bool
    same_data_snapshot: bool
    baseline_notes: str | None = None


class Measurement(Section):
    """What is measured, how often, and the smallest gain that counts.

    The newer shape's default of 100 basis points for `min_score_improvement_bips` is not filled
    in: a document of the older shape, which has no such field, would get a bar it never asked for.
    None means that the document sets no bar.
    """

    primary_metric: PrimaryMetric
    baseline_policy: BaselinePolicy
    sampling: Sampling | None = None
    min_score_improvement_bips: Natural | None = None
    secondary_metrics: tuple[SecondaryMetric, ...] = ()
