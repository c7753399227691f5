"""A narrowed profile against the engine's own: judged rule by rule, for calls and arguments.

The defaults are those that Docker 26.1.5 resolved for four sets of capabilities, as runc got them.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.workload.seccomp import Default, Seccomp, narrowed
from hardener.workload.syscalls import NEWER
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS

CALLS = sorted(
    {name for kind in ("default", "all") for rule in DEFAULTS[kind]["syscalls"] for name in rule["names"]}
)
UNKNOWN = ["keyctl_of_tomorrow", "#467"]
HIGH = 1 << 32
INTERESTING = (0, 1, 8, 16, 38, 39, 40, 41, 45, 64, 0x20000, 0x20008, 0x10000000, 0x7E020000, 0xFFFFFFFF)

Answer = str | int


Rules = Mapping[str, list[Mapping[str, Any]]]


def by_call(profile: Mapping[str, Any]) -> Rules:
    """The rules of a profile by the call that they are about."""
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    found: dict[str, list[Mapping[str, Any]]] = {}
    for rule in profile["syscalls"]:
        for call in rule["names"]:
            found.setdefault(call, []).append(rule)
    return found


def answer(rules: Rules, call: str, arguments: tuple[int, ...]) -> Answer:
    """What a filter says: ``allow``, or the error. A rule without conditions holds always."""
    answers: set[Answer] = set()
    for rule in rules.get(call, ()):
        conditions = rule.get("args") or []
        indexes = [each["index"] for each in conditions]
        together = all if len(set(indexes)) == len(indexes) else any  # as runc reads one argument named twice
        if not conditions or together(holds(each, arguments[each["index"]]) for each in conditions):
            answers.add("allow" if rule["action"] == "SCMP_ACT_ALLOW" else rule.get("errnoRet", 1))
    assert len(answers) <= 1, f"{call} is both permitted and refused"
    return answers.pop() if answers else 1


def holds(condition: Mapping[str, Any], value: int) -> bool:
    wanted = condition.get("value", 0)
    match condition["op"].removeprefix("SCMP_CMP_"):
        case "EQ":
            return bool(value == wanted)
        case "NE":
            return bool(value != wanted)
        case "LT":
            return bool(value < wanted)
        case "GT":
            return bool(value > wanted)
        case "MASKED_EQ":
            return bool(value & wanted == condition.get("valueTwo", 0))
    raise AssertionError(condition)


def make(wanted: Collection[str], capabilities: Collection[str] = (), **options: Any) -> Seccomp:
    default = Default(
        common=DEFAULTS["default"],
        capabilities=CAPABILITIES,
        own=options.pop("own", DEFAULTS["all"]),
        chosen=options.pop("chosen", ()),
    )
    return narrowed(default, wanted=wanted, capabilities=capabilities, architectures=["x86_64"], **options)


def engines(capabilities: Collection[str]) -> Rules:
    """The engine's own profile with these capabilities."""
    kind = "default" if "CAP_SYS_CHROOT" in capabilities else "none"
    if "CAP_SYS_ADMIN" in capabilities:
        assert kind == "default"
        kind = "admin"
    return by_call(DEFAULTS[kind])


SOME_CAPABILITIES = st.frozensets(st.sampled_from(sorted(CAPABILITIES))) | st.just(
    CAPABILITIES | {"CAP_SYS_ADMIN"}
)
SOME_CALLS = st.frozensets(st.sampled_from([*CALLS, *UNKNOWN]), max_size=120)


def arguments(seed: int) -> list[tuple[int, ...]]:
    chosen = random.Random(seed)
    first = [*INTERESTING, *(value | HIGH for value in INTERESTING), chosen.getrandbits(64)]
    return [(value, *(chosen.getrandbits(64) for _ in range(5))) for value in first]


@given(SOME_CALLS, SOME_CAPABILITIES, st.integers(0, 99))
def test_no_call_is_permitted_that_the_default_refuses(
    wanted: frozenset[str], capabilities: frozenset[str], seed: int
) -> None:
    ours, theirs = by_call(make(wanted, capabilities).document), engines(capabilities)
    for call in ["socket", "clone", "clone3", "personality", "chroot", "mount", *wanted]:
        for each in arguments(seed):
            if answer(ours, call, each) == "allow":
                assert call in wanted
                assert answer(theirs, call, each) == "allow", (call, each)


@given(SOME_CALLS, SOME_CAPABILITIES, st.integers(0, 99))
def test_recorded_calls_are_permitted_as_far_as_the_default_profile_permits_them(
    wanted: frozenset[str], capabilities: frozenset[str], seed: int
) -> None:
    found, theirs = make(wanted, capabilities, crypto_sockets=True), engines(capabilities)
    ours = by_call(found.document)
    for call in wanted:
        permitted = False
        for each in arguments(seed):
            if answer(theirs, call, each) != "allow":
                continue
            permitted = True
            # No family is that large: the kernel knows 46, and looks at the lower 32 bits.
            if call != "socket" or each[0] < 64:
                assert answer(ours, call, each) == "allow", (call, each)
        assert (call in found.permitted) == permitted
        assert (call in found.refused) != permitted


def condition(value: int) -> st.SearchStrategy[dict[str, Any]]:
    compared = st.sampled_from(["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_GT"])
    masked = {"index": 0, "value": 0x7E020000, "valueTwo": value & 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}
    plain = st.builds(
        lambda index, op: {"index": index, "value": value, "op": op}, st.integers(0, 1), compared
    )
    return plain | st.just(masked)


RESTRICTED = ("read", "socket", "clone", "personality", "chroot", "clone3")
CONDITIONS = st.lists(
    st.sampled_from(INTERESTING).flatmap(condition), max_size=2, unique_by=lambda c: c["index"]
)
# A rule for each call, so that no call is both permitted and refused.
OWN_RULES = st.fixed_dictionaries(
    {},
    optional={
        call: st.tuples(
            st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_NOTIFY"]),
            st.lists(CONDITIONS, min_size=1, max_size=3),
        )
        for call in RESTRICTED
    },
)


@given(OWN_RULES, st.booleans(), SOME_CAPABILITIES, st.integers(0, 99))
def test_no_call_is_permitted_that_the_containers_own_profile_refuses(
    own: Mapping[str, tuple[str, list[list[dict[str, Any]]]]],
    open_by_default: bool,
    capabilities: frozenset[str],
    seed: int,
) -> None:
    rules = [
        {"names": [call], "action": action, "args": args}
        for call, (action, alternatives) in own.items()
        for args in alternatives
    ]
    chosen = {
        "defaultAction": "SCMP_ACT_ALLOW" if open_by_default else "SCMP_ACT_KILL_PROCESS",
        "syscalls": rules,
    }
    ours = by_call(make(RESTRICTED, capabilities, chosen=(chosen,)).document)
    without = by_call(make(RESTRICTED, capabilities).document)
    for call in RESTRICTED:
        for each in arguments(seed):
            if answer(ours, call, each) != "allow":
                continue
            assert answer(without, call, each) == "allow", (call, each)
            if call not in own:
                assert open_by_default, (call, each)
                continue
            action, alternatives = own[call]
            read = (each[0] & 0xFFFFFFFF, *each[1:]) if call == "socket" else each  # as the kernel does
            matches = any(all(holds(one, read[one["index"]]) for one in args) for args in alternatives)
            permits = action == "SCMP_ACT_ALLOW"
            assert (permits and (matches or open_by_default)) or (not permits and not matches), (call, each)


@given(SOME_CALLS, st.sampled_from(["default", "none"]))
def test_an_own_profile_that_is_the_default_changes_nothing(wanted: frozenset[str], kind: str) -> None:
    capabilities = CAPABILITIES if kind == "default" else CAPABILITIES - {"CAP_SYS_CHROOT"}
    with_it = make(wanted, capabilities, chosen=(DEFAULTS[kind],))
    assert by_call(with_it.document) == by_call(make(wanted, capabilities).document)


def test_a_call_that_the_containers_own_profile_refuses_is_named_and_can_be_permitted() -> None:
    own = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        ],
    }
    found = make({"read", "chmod", "chown"}, chosen=(own,))
    assert (found.permitted, found.refused) == (("read",), ("chmod", "chown"))
    assert answer(by_call(found.document), "chmod", (0,) * 6) == 38
    assert make({"read", "chmod"}, chosen=(own,), extra=["chmod"]).extra == ("chmod",)


def own_profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ERRNO") -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": [{"action": "SCMP_ACT_ALLOW", **rule} for rule in rules]}


def masked(mask: int, value: int = 0) -> list[dict[str, Any]]:
    return [{"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}]


def test_a_call_with_too_many_rules_in_the_containers_own_profile_is_refused() -> None:
    found = make({"read", "write"}, chosen=(own_profile({"names": ["read"] * 65}, {"names": ["write"]}),))
    assert (found.permitted, found.refused) == (("write",), ("read",))


@pytest.mark.parametrize(
    "own",
    [
        own_profile({"names": ["clone"], "args": masked(0x7C020000)}),
        own_profile(
            {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": masked(0x10000000, 0x10000000)},
            default="SCMP_ACT_ALLOW",
        ),
    ],
)
def test_masks_of_the_default_and_of_the_containers_own_profile_are_combined(own: dict[str, Any]) -> None:
    found = make({"clone"}, chosen=(own,))
    assert found.permitted == ("clone",)
    rules = by_call(found.document)
    assert answer(rules, "clone", (0x11, 0, 0, 0, 0, 0)) == "allow"
    for flag in (0x10000000, 0x02000000, 0x40000000):
        assert answer(rules, "clone", (flag, 0, 0, 0, 0, 0)) == 1


def test_a_mask_that_never_holds_permits_nothing() -> None:
    own = own_profile({"names": ["clone"], "args": masked(0x40000000, 0x02000000)})
    assert make({"clone"}, chosen=(own,)).refused == ("clone",)


def test_an_extra_call_has_the_conditions_of_the_default() -> None:
    found = make({"clone", "read"}, chosen=(own_profile({"names": ["read"]}),), extra=["clone"])
    assert (found.permitted, found.extra) == (("clone", "read"), ("clone",))
    assert answer(by_call(found.document), "clone", (0x11, 0, 0, 0, 0, 0)) == "allow"
    assert answer(by_call(found.document), "clone", (0x10000000, 0, 0, 0, 0, 0)) == 1
    found = make({"socket"}, chosen=(own_profile({"names": ["read"]}),), extra=["socket"])
    assert answer(by_call(found.document), "socket", (2, 1, 0, 0, 0, 0)) == "allow"
    assert answer(by_call(found.document), "socket", (40, 1, 0, 0, 0, 0)) == 1


def test_sockets_whose_conditions_cannot_be_expressed_are_refused() -> None:
    condition = {"index": 1, "value": 3, "op": "SCMP_CMP_NE"}
    found = make({"socket", "read"}, chosen=(own_profile({"names": ["socket"], "args": [condition]}),))
    assert (found.permitted, found.refused) == ((), ("read", "socket"))


def test_refused_socket_families_are_refused_with_any_upper_bits() -> None:
    found = make({"socket"})
    assert found.families_refused == (38,)
    for family in range(64):
        for upper in (0, HIGH, 0xFFFFFFFF << 32):
            expected: Answer = 1 if family in (38, 40) else "allow"
            assert answer(by_call(found.document), "socket", (family | upper, 1, 0, 0, 0, 0)) == expected
    # The engine's own rule compares 64 bits, and the kernel reads 32: this opens AF_VSOCK.
    assert answer(by_call(DEFAULTS["default"]), "socket", (40 | HIGH, 1, 0, 0, 0, 0)) == "allow"


def test_used_crypto_sockets_are_permitted() -> None:
    found = make({"socket"}, crypto_sockets=True)
    assert found.families_refused == ()
    assert answer(by_call(found.document), "socket", (38, 5, 0, 0, 0, 0)) == "allow"


def test_conditions_on_arguments_are_kept() -> None:
    found = by_call(make({"clone", "personality"}).document)
    new_user_namespace = 0x10000000
    assert answer(found, "clone", (new_user_namespace, 0, 0, 0, 0, 0)) == 1
    assert answer(found, "clone", (0x11, 0, 0, 0, 0, 0)) == "allow"
    assert answer(found, "personality", (0x0040000, 0, 0, 0, 0, 0)) == 1
    assert answer(found, "personality", (0xFFFFFFFF, 0, 0, 0, 0, 0)) == "allow"


@pytest.mark.parametrize("wanted", [set(), {"clone3"}, {"clone3", "openat2", "read"}])
def test_calls_of_newer_kernels_fail_with_enosys_unless_they_are_permitted(wanted: set[str]) -> None:
    found = make(wanted)
    assert answer(by_call(found.document), "clone3", (0,) * 6) == 38
    assert set(found.not_known) == set(NEWER) - (wanted & {"openat2"})
    for call in NEWER:
        assert answer(by_call(found.document), call, (0,) * 6) == ("allow" if call in found.permitted else 38)


def test_a_call_beyond_the_default_is_permitted_only_by_name() -> None:
    assert make({"keyctl", "read"}).refused == ("keyctl",)
    found = make({"keyctl", "clone3", "read"}, extra=["keyctl", "clone3"])
    assert found.refused == ()
    assert found.extra == ("clone3", "keyctl")
    assert answer(by_call(found.document), "keyctl", (0,) * 6) == "allow"
    assert answer(by_call(found.document), "clone3", (0,) * 6) == "allow"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("read", "the engine's default already permits this call"),
        ("bpf", "no recording has this call"),
        ("\x1b[2J", "no recording"),
    ],
)
def test_an_extra_call_that_is_permitted_already_or_was_never_recorded_is_refused(
    extra: str, message: str
) -> None:
    with pytest.raises(HardenerError, match=message) as error:
        make({"read"}, extra=[extra])
    assert "\x1b" not in str(error.value)


def test_calls_of_a_dropped_capability_are_refused() -> None:
    wanted = {"chroot", "mount", "bpf", "ptrace", "reboot"}
    assert make(wanted, ["CAP_SYS_CHROOT"]).permitted == ("chroot", "ptrace")
    assert make(wanted, ["CAP_BPF"]).permitted == ("bpf", "ptrace")
    assert make(wanted, ["CAP_SYS_ADMIN"]).permitted == ("bpf", "mount", "ptrace")
    # Without the profile for further capabilities none of their calls is known to be permitted.
    assert make(wanted, ["CAP_SYS_ADMIN"], own=None).permitted == ("ptrace",)


def test_flags_of_clone_are_unrestricted_only_with_the_capability() -> None:
    new_namespaces = (0x7E020000, 0, 0, 0, 0, 0)
    assert answer(by_call(make({"clone"}, ["CAP_SYS_ADMIN"]).document), "clone", new_namespaces) == "allow"
    assert answer(by_call(make({"clone"}, ["CAP_NET_ADMIN"]).document), "clone", new_namespaces) == 1


def test_only_used_architectures_are_listed() -> None:
    default = Default(common=DEFAULTS["default"], capabilities=CAPABILITIES)
    found = narrowed(default, wanted=["read"], capabilities=[], architectures=["x86_64", "i386"])
    assert found.document["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert make(["read"]).document["architectures"] == ["SCMP_ARCH_X86_64"]
    with pytest.raises(HardenerError, match="architecture m68k"):
        narrowed(default, wanted=["read"], capabilities=[], architectures=["m68k"])


ALLOW = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize(
    "spoiled",
    [
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [ALLOW]},
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []},
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**ALLOW, "names": None}]},
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**ALLOW, "names": [7]}]},
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**ALLOW, "action": "SCMP_ACT_NOTIFY"}]},
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{**ALLOW, "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}],
        },
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{**ALLOW, "args": [{"index": 0, "op": "SCMP_CMP_XX"}]}],
        },
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{**ALLOW, "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": -1}]}],
        },
    ],
)
def test_an_unknown_default_profile_is_refused(spoiled: dict[str, Any]) -> None:
    default = Default(common={"defaultErrnoRet": 1, **spoiled}, capabilities=CAPABILITIES)
    with pytest.raises(HardenerError, match="cannot be narrowed"):
        narrowed(default, wanted=["read"], capabilities=[], architectures=["x86_64"])


def test_many_own_profiles_do_not_multiply_the_rules_of_a_call() -> None:
    rules = [
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": value, "op": "SCMP_CMP_NE"}],
        }
        for value in range(60)
    ]
    common = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    default = Default(common=common, capabilities=frozenset(), chosen=(common,) * 5)
    with pytest.raises(HardenerError, match=r"own seccomp profile cannot be narrowed: .* more than 64 rules"):
        default.resolved([])


def test_two_conditions_on_one_argument_become_two_rules() -> None:
    """As runc reads it: ``NE 38`` beside ``NE 40`` on one argument refuses nothing."""
    twice = [{"index": 0, "value": value, "op": "SCMP_CMP_NE"} for value in (38, 40)]
    rule = {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": twice}
    common = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [rule]}
    found = narrowed(
        Default(common=common, capabilities=frozenset()),
        wanted=["socket"],
        capabilities=[],
        architectures=["x86_64"],
        crypto_sockets=True,
    )
    assert answer(by_call(common), "socket", (40,) * 6) == "allow"
    assert answer(by_call(found.document), "socket", (40,) * 6) == "allow"
