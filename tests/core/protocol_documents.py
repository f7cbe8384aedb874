"""Valid protocol documents at random: every field, both shapes, both versions.

What test_protocol_roundtrip.py holds them to: each property of the JSON Schema is drawn.
"""

from typing import Any

from hypothesis import strategies as st

Drawn = st.SearchStrategy[Any]

TEXT = st.text(st.characters(codec="utf-8"), max_size=9)
TEXTS = st.lists(TEXT, max_size=3)
POSITIVE = st.integers(1, 10**9)
NATURAL = st.integers(0, 10**9)
DIRECTION = st.sampled_from(["minimize", "maximize"])


def closed(required: dict[str, Drawn], **optional: Drawn) -> Drawn:
    """Draw an object with all of these fields and any of those that are not among them."""
    more = {name: field for name, field in optional.items() if name not in required}
    return st.fixed_dictionaries(required, optional=more)


def extract(kind: str, **fields: Drawn) -> Drawn:
    return closed({"kind": st.just(kind), **fields}, notes=TEXT)


PATTERN, SUMMARY = st.just(r"^x:\s+([0-9.]+)$"), st.just("3 failed, 2 passed in 0.05s")
RULES = st.one_of(
    extract("regex", pattern=PATTERN),
    extract("regex", pattern=PATTERN, exampleStdout=st.just("begun\nx: 1.5\n")),
    extract("json_pointer", jsonPointer=st.sampled_from(["", "/x", "/a~1b/0"])),
    extract("junit", jsonPointer=TEXT, pattern=TEXT),
    extract("pytest_summary", exampleStdout=SUMMARY),
)
META = closed(
    {
        "archetype": st.sampled_from(["ml_train", "rl_loop", "benchmark_opt", "build_test"])
        | st.sampled_from(["solver_compete", "pipeline_job", "inference_serving", "unknown"]),
        "eligibility": st.just("eligible"),
        "purposeStatement": TEXT,
    },
    repo=closed({}, owner=TEXT, name=TEXT, defaultBranch=TEXT, cloneUrl=TEXT),
    createdAt=TEXT,
    updatedAt=TEXT,
    protocolBundleId=TEXT,
)
STEP = closed(
    {
        "kind": st.sampled_from(
            ["pip", "uv", "npm", "pnpm", "yarn", "cargo", "make", "bash", "sh"]
        ),
        "args": st.lists(st.sampled_from(["sync", "install", "setup.sh"]), max_size=2),
    }
)
ENVIRONMENT = closed(
    {
        "setupCommands": st.lists(st.sampled_from(["uv sync", "python prepare.py"]) | STEP),
        "constraints": closed(
            {},
            noNewDependencies=st.booleans(),
            networkPolicy=st.sampled_from(["sandbox", "offline", "full", "unknown"]),
            networkAllowlist=TEXTS,
        ),
    },
    osHints=TEXTS,
    packageManagers=TEXTS,
    assetPrep=TEXTS,
    sandbox=closed({}, image=TEXT, cpus=TEXT, memory=TEXT, pids=POSITIVE),
)
SURFACE = closed(
    {
        "allowedGlobs": st.sampled_from([["train.py"], ["train.py", "src/**/*.py"], ["lib/*"]]),
        "forbiddenGlobs": st.sampled_from([[], ["prepare.py", "data/**"]]),
        "allowedKinds": st.sampled_from([["code_edit"], ["config_edit", "code_edit"]]),
    }
)
HARNESS = closed({"paths": st.sampled_from([[], ["prepare.py", "eval"]]), "rationale": TEXT})
SECONDS, BOOLEANS = st.floats(1e-3, 900), st.booleans()
STOP = st.one_of(
    *(
        closed(
            {"type": st.just(kind), **needed},
            trainingSecondsBudget=st.floats(0, 900),
            excludeCompilationFromBudget=BOOLEANS,
            maxSteps=POSITIVE,
            epochs=POSITIVE,
            notes=TEXT,
        )
        for kind, needed in {
            "wall_clock": {"trainingSecondsBudget": SECONDS},
            "max_steps": {"maxSteps": POSITIVE},
            "epochs": {"epochs": POSITIVE},
            "until_metric": dict[str, Drawn](),
            "fixed_suite": dict[str, Drawn](),
        }.items()
    )
)


def seeded(required: dict[str, Drawn], policy: list[str], **optional: Drawn) -> Drawn:
    """Draw a section `determinism` with one way to derive seeds."""
    derivation = closed(
        required,
        envVar=st.sampled_from(["ARAH_TRIAL_SEED", "MY_SEED"]),
        sourcePaths=st.sampled_from([[], ["train.py", "src/*.py"]]),
        salt=TEXT,
        notes=TEXT,
        **optional,
    )
    wanted = st.sampled_from(policy)
    return closed({}, seedPolicy=wanted, seedDerivation=derivation, notes=TEXT)


BITS, EITHER = st.sampled_from([32, 64]), ["optional", "required"]
DETERMINISM = st.one_of(
    seeded({"mode": st.just("none")}, ["optional"], fixedSeed=NATURAL, seedBits=BITS),
    seeded({"mode": st.just("fiat_shamir"), "seedBits": BITS}, EITHER),
    seeded({"mode": st.just("fixed"), "fixedSeed": st.integers(0, 2**64 - 1)}, EITHER),
)
EXECUTION = closed(
    {
        "command": st.sampled_from(["uv run train.py", "python -m pytest -q", "make score"]),
        "cwd": st.sampled_from([".", "src", "a/b/"]),
        "stopCondition": STOP,
        "hardTimeoutSeconds": st.integers(900, 10**6) | st.floats(900, 1e6),
    },
    determinism=DETERMINISM,
)
MEASUREMENT = closed(
    {
        "primaryMetric": closed(
            {"name": st.just("tests_failed"), "direction": DIRECTION, "extract": RULES}
        ),
        "baselinePolicy": closed(
            {"establishOnHardware": BOOLEANS, "sameDataSnapshot": BOOLEANS}, baselineNotes=TEXT
        ),
    },
    sampling=closed(
        {},
        warmupTrials=NATURAL,
        measuredTrials=POSITIVE,
        aggregator=st.sampled_from(["median", "mean", "min", "max"]),
        maxRelativeStdDev=st.floats(0, 10),
    ),
    minScoreImprovementBips=NATURAL,
    secondaryMetrics=st.lists(
        closed(
            {"name": st.sampled_from(["passed", "suite_seconds"]), "direction": DIRECTION},
            extract=RULES,
        ),
        max_size=2,
        unique_by=lambda metric: metric["name"],
    ),
)
PROVENANCE = closed(
    {
        "resultsLog": closed(
            {
                "format": st.sampled_from(["tsv", "csv", "jsonl"]),
                "path": st.sampled_from(["results.tsv", "logs/night"]),
                "columns": st.sampled_from([["commit"], ["status", "tests_failed", "n"]]),
            }
        )
    },
    gitWorkflow=closed(
        {},
        branchPattern=st.sampled_from(["a", "a/", "x-", "a/<tag>", "*/b", "{tag}"]),
        commitScope=TEXT,
        pathPrefix=st.sampled_from([".", "games/chess", "lab/"]),
        stagingExample=TEXT,
    ),
    githubMirror=closed(
        {"repo": TEXT, "mode": st.sampled_from(["project-owned", "upstream-pr"])},
        autoMergeAccepted=BOOLEANS,
    ),
    baselineArtifactPath=st.sampled_from(["baseline.log", "logs/baseline.log"]),
)
OWN = st.dictionaries(st.just("their own"), TEXT | st.lists(NATURAL, max_size=2))


def opened(**fields: Drawn) -> Drawn:
    """Draw an object of any of these fields, and fields of its author's own."""
    return st.tuples(closed({}, **fields), OWN).map(lambda parts: parts[1] | parts[0])


DOCUMENTS = closed(
    {
        "schemaKind": st.just("protocol"),
        "protocolVersion": st.sampled_from(["1.0", "1.1"]),
        "meta": META,
        "environment": ENVIRONMENT,
        "mutableSurface": SURFACE,
        "immutableHarness": HARNESS,
        "execution": EXECUTION,
        "measurement": MEASUREMENT,
        "provenance": PROVENANCE,
        "safety": closed(
            {},
            oomPolicy=st.sampled_from(["reduce_batch", "fail", "unknown"]),
            crashStatus=st.sampled_from(["crash", "discard", "retry"]),
        ),
        "agentRules": closed(
            {},
            simplicityCriterion=BOOLEANS,
            autonomy=closed({}, noAskHumanToContinue=BOOLEANS),
            experimentTimeoutNotes=TEXT,
            logRedirectExample=TEXT,
        ),
    },
    archetypeExtensions=closed(
        {},
        ml_train=opened(
            dataSnapshot=TEXT, evalTokens=st.integers(-(10**9), 10**9), hardwareNotes=TEXT
        ),
        build_test=opened(testCommand=TEXT, testSubset=TEXT, flakePolicy=TEXT),
        rl_loop=opened(envId=TEXT, episodeHorizon=NATURAL, numSeeds=POSITIVE),
    ),
    miningLoop=closed(
        {},
        maxTrials=POSITIVE,
        maxSessionWallSeconds=st.floats(1, 1e9),
        maxConsecutiveNonImprovements=POSITIVE,
        stopAfterSuccessfulPr=BOOLEANS,
        onChainProjectId=NATURAL,
    ),
)
"""Documents that `parse_protocol` takes."""
