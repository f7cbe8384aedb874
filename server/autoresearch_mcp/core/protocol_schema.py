"""The shape of protocol.json: the ExperimentLoopProtocol, versions 1.0 and 1.1.

Two shapes circulate under the same version numbers; the newer adds `seedDerivation`, `sampling`,
`minScoreImprovementBips` and `githubMirror`. Both are accepted. Every object is closed except those
in `archetypeExtensions`. Where the schema names no default, a field that is left out has the value
that asks for least and allows least. What the fields mean together is checked in `protocol_rules`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from autoresearch_mcp.core.document import (
    Natural,
    NonEmptyTexts,
    OpenSection,
    Positive,
    Section,
    Texts,
    Whole,
    whole,
)
from autoresearch_mcp.core.measurement import Measurement

EditKind = Literal["code_edit", "config_edit"]


class RepoRef(Section):
    """Where the recipe is published."""

    owner: str | None = None
    name: str | None = None
    default_branch: str | None = None
    clone_url: str | None = None


class Meta(Section):
    """What the recipe is for, and whether trials may run at all."""

    archetype: Literal[
        "ml_train",
        "rl_loop",
        "benchmark_opt",
        "build_test",
        "solver_compete",
        "pipeline_job",
        "inference_serving",
        "unknown",
    ]
    eligibility: Literal["eligible", "needs_harness", "ineligible"]
    purpose_statement: str
    repo: RepoRef | None = None
    created_at: str | None = None
    updated_at: str | None = None
    protocol_bundle_id: str | None = None


class SetupStep(Section):
    """A preparation step whose executable comes from a closed list."""

    kind: Literal["pip", "uv", "npm", "pnpm", "yarn", "cargo", "make", "bash", "sh"]
    args: Texts


def _setup_form(value: object) -> str | None:
    """Tell the two forms of a setup command apart, so that only one set of errors is reported."""
    if isinstance(value, str):
        return "line"
    return "step" if isinstance(value, dict | SetupStep) else None


SetupCommand = Annotated[
    Annotated[str, Tag("line")] | Annotated[SetupStep, Tag("step")], Discriminator(_setup_form)
]


class SandboxPreferences(Section):
    """What the author would like; the operator's settings win."""

    image: str | None = None
    cpus: str | None = None
    memory: str | None = None
    pids: Positive | None = None


class Constraints(Section):
    """What a trial may use. An absent network policy means no network."""

    no_new_dependencies: bool = False
    network_policy: Literal["sandbox", "offline", "full", "unknown"] = "unknown"
    network_allowlist: Texts = ()


class Environment(Section):
    """How a machine is made ready for the recipe."""

    setup_commands: tuple[SetupCommand, ...]
    constraints: Constraints
    os_hints: Texts = ()
    package_managers: Texts = ()
    asset_prep: Texts = ()
    sandbox: SandboxPreferences | None = None


class MutableSurface(Section):
    """The files an edit may touch."""

    allowed_globs: NonEmptyTexts
    forbidden_globs: Texts
    allowed_kinds: Annotated[tuple[EditKind, ...], Field(min_length=1)]


class ImmutableHarness(Section):
    """The files that define data and evaluation."""

    paths: Texts
    rationale: str


class StopCondition(Section):
    """When training ends. `training_seconds_budget` is in seconds."""

    type: Literal["wall_clock", "max_steps", "epochs", "until_metric", "fixed_suite"]
    training_seconds_budget: Annotated[float, Field(ge=0)] | None = None
    exclude_compilation_from_budget: bool = False
    max_steps: Positive | None = None
    epochs: Positive | None = None
    notes: str | None = None


class SeedDerivation(Section):
    """How a trial's seed is chosen."""

    mode: Literal["none", "fixed", "fiat_shamir"]
    env_var: str = "ARAH_TRIAL_SEED"
    fixed_seed: Natural | None = None
    seed_bits: Annotated[Literal[32, 64], BeforeValidator(whole)] = 64
    source_paths: Texts = ()
    salt: str | None = None
    notes: str | None = None


class Determinism(Section):
    """Whether the harness must set the seed, and how."""

    seed_policy: Literal["optional", "required"] = "optional"
    seed_derivation: SeedDerivation | None = None
    notes: str | None = None


class Execution(Section):
    """The one command a trial runs. `hard_timeout_seconds` is in seconds, per run."""

    command: str
    cwd: str
    stop_condition: StopCondition
    hard_timeout_seconds: Annotated[float, Field(ge=1)]
    determinism: Determinism = Determinism()


class ResultsLog(Section):
    """The log exported from the ledger: these columns in this order."""

    format: Literal["tsv", "csv", "jsonl"]
    path: str
    columns: NonEmptyTexts


class GitWorkflow(Section):
    """Where commits go."""

    branch_pattern: str | None = None
    commit_scope: str | None = None
    path_prefix: str | None = None
    staging_example: str | None = None


class GithubMirror(Section):
    """Where accepted work is published; shown, never acted on."""

    repo: str
    mode: Literal["project-owned", "upstream-pr"]
    auto_merge_accepted: bool = False


class Provenance(Section):
    """How results are recorded."""

    results_log: ResultsLog
    git_workflow: GitWorkflow = GitWorkflow()
    github_mirror: GithubMirror | None = None
    baseline_artifact_path: str | None = None


class Safety(Section):
    """What an out-of-memory or crashed trial becomes."""

    oom_policy: Literal["reduce_batch", "fail", "unknown"] = "unknown"
    crash_status: Literal["crash", "discard", "retry"] = "crash"


class Autonomy(Section):
    """How far the agent goes without asking."""

    no_ask_human_to_continue: bool = False


class AgentRules(Section):
    """What the agent is told."""

    simplicity_criterion: bool = False
    autonomy: Autonomy = Autonomy()
    experiment_timeout_notes: str | None = None
    log_redirect_example: str | None = None


class MlTrain(OpenSection):
    """Notes on a training recipe."""

    data_snapshot: str | None = None
    eval_tokens: Whole | None = None
    hardware_notes: str | None = None


class BuildTest(OpenSection):
    """Notes on a build-and-test recipe."""

    test_command: str | None = None
    test_subset: str | None = None
    flake_policy: str | None = None


class RlLoop(OpenSection):
    """Notes on a reinforcement-learning recipe."""

    env_id: str | None = None
    episode_horizon: Whole | None = None
    num_seeds: Positive | None = None


class ArchetypeExtensions(Section):
    """Notes that depend on the archetype; shown."""

    ml_train: Annotated[MlTrain | None, Field(alias="ml_train")] = None
    build_test: Annotated[BuildTest | None, Field(alias="build_test")] = None
    rl_loop: Annotated[RlLoop | None, Field(alias="rl_loop")] = None


class MiningLoop(Section):
    """Caps on a session. `max_session_wall_seconds` is in seconds."""

    max_trials: Positive | None = None
    max_session_wall_seconds: Annotated[float, Field(ge=1)] | None = None
    max_consecutive_non_improvements: Positive | None = None
    stop_after_successful_pr: bool = False
    on_chain_project_id: Natural | None = None


class Protocol(Section):
    """The contract between a recipe, the agent and the server."""

    schema_kind: Literal["protocol"]
    protocol_version: Literal["1.0", "1.1"]
    meta: Meta
    environment: Environment
    mutable_surface: MutableSurface
    immutable_harness: ImmutableHarness
    execution: Execution
    measurement: Measurement
    provenance: Provenance
    safety: Safety
    agent_rules: AgentRules
    archetype_extensions: ArchetypeExtensions = ArchetypeExtensions()
    mining_loop: MiningLoop = MiningLoop()
