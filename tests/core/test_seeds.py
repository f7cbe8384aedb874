"""The seed of a run, in each mode of the protocol."""

from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.protocol_schema import SeedDerivation
from autoresearch_mcp.core.seeds import seed_of

SOURCES = st.dictionaries(st.text(min_size=1, max_size=4), st.binary(max_size=8), max_size=3)


def rule(**fields: object) -> SeedDerivation:
    return SeedDerivation.model_validate(fields)


def test_without_a_derivation_the_repeats_are_counted() -> None:
    assert [seed_of(None, repeat, {}) for repeat in range(3)] == [1, 2, 3]
    assert [seed_of(rule(mode="none"), repeat, {}) for repeat in range(3)] == [1, 2, 3]


def test_a_fixed_seed_is_the_protocols_in_every_run() -> None:
    fixed = rule(mode="fixed", fixedSeed=42)
    assert {seed_of(fixed, repeat, {"a": b"x"}) for repeat in range(3)} == {42}


@given(SOURCES, st.integers(0, 20), st.sampled_from([32, 64]), st.text(max_size=5))
def test_fiat_shamir_is_a_hash_of_sources_salt_and_repeat(
    sources: dict[str, bytes], repeat: int, bits: int, salt: str
) -> None:
    derived = rule(mode="fiat_shamir", seedBits=bits, salt=salt)
    seed = seed_of(derived, repeat, sources)
    assert 0 <= seed < 1 << bits
    assert seed == seed_of(derived, repeat, dict(reversed(sources.items())))
    assert seed != seed_of(derived, repeat + 1, sources)
    assert seed != seed_of(
        rule(mode="fiat_shamir", seedBits=bits, salt=salt + "x"), repeat, sources
    )
    assert seed != seed_of(derived, repeat, sources | {"new": b""})


def test_no_two_ways_to_cut_the_same_bytes_give_one_seed() -> None:
    derived = rule(mode="fiat_shamir")
    assert seed_of(derived, 0, {"a": b"bc"}) != seed_of(derived, 0, {"ab": b"c"})
    assert seed_of(derived, 0, {"a": b"", "b": b"c"}) != seed_of(derived, 0, {"a": b"bc"})
