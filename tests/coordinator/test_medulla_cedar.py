"""The owner's rules in Cedar at the permit: the worst of them and the policy counts, they survive a restart, and what
cannot be worked out is denied."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.brain.test_review_step import Household
from tests.coordinator.medulla_kit import DAY, HOUR, key
from tests.coordinator.test_medulla_bounds import OUTSIDE

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.cedar_check import starter
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.errors import CertificateRefused, ConfigError, InvalidInput
from kindmesh.protocol.manifest import Effect
from kindmesh.protocol.policy import Policy, Rule, first_policy, sign_policy
from kindmesh.protocol.principal import OWNER, device_principal

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = (Rule("*", int(sum(Effect)), "allow"),)
PERMIT = "permit (principal, action, resource);\n"


class Ruled(Household):
    """What a policy allows, and rules beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.ask(m.Advertise(self.advert(self.phone, OUTSIDE, version=3)))

    def rule(self, cedar: str, *, version: int = 0, rules: Any = EVERYTHING, by: Any = None) -> None:
        version = version or self.beliefs.policy.version + 1
        first = first_policy(self.mesh, self.now_ms)
        policy = Policy(self.mesh, version, self.now_ms, rules, first.roles, first.guards, cedar)
        self.ask(m.Install(sign_policy(policy, by or self.owner)))

    def wants(self, operation: str, args: Any, **changes: Any) -> m.Verdict:
        wish = {"args": encode_value(args), "principal": OWNER, **changes}
        verdict = self.ask(self.request(operation, **wish))
        assert isinstance(verdict, m.Verdict)
        return verdict

    def tell(self, **changes: Any) -> m.Verdict:
        return self.wants("shop.tell", {"text": "dinner is ready"}, **changes)

    def order(self, price: float, **changes: Any) -> m.Verdict:
        return self.wants("shop.order", {"item": "milk", "price": price}, **changes)


@pytest.fixture
def home() -> Ruled:
    return Ruled()


def test_without_rules_nothing_is_different_and_cedarpy_is_not_loaded(home: Ruled) -> None:
    home.rule("")
    assert home.beliefs.rules == ()
    assert home.tell().answer == "allow"
    program = (
        "import sys; from tests.coordinator.test_medulla_cedar import Ruled; home = Ruled(); home.rule('');"
        " home.tell(); before = 'cedarpy' in sys.modules; home.rule('permit (principal, action, resource);');"
        " print(before, 'cedarpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["False", "True"]


def test_what_no_rule_permits_is_denied_and_a_forbid_beats_every_permit(home: Ruled) -> None:
    home.rule('permit (principal, action == Action::"shop.tell", resource);')
    assert home.tell().answer == "allow"
    refused = home.order(3)
    assert (refused.answer, refused.rules) == ("deny", ("cedar",))
    assert "no rule of the owner's permits shop.order on phone" in refused.reasons[0]
    home.rule(PERMIT + '@id("quiet") @says("not now") forbid (principal, action, resource);')
    refused = home.tell()
    assert (refused.answer, refused.reasons) == ("deny", ("not now (rule quiet)",))


def test_a_rule_allows_nothing_that_the_policy_asks_about_or_forbids(home: Ruled) -> None:
    home.rule(PERMIT, rules=(Rule("shop.tell", 255, "deny"),))
    assert home.tell().answer == "deny"
    assert home.order(3).answer == "ask"


def test_a_rule_that_asks_is_settled_by_a_yes_to_exactly_this(home: Ruled) -> None:
    home.rule(
        PERMIT
        + '@id("dear") @answer("ask") forbid (principal, action, resource) when { context.amount > 20 };'
    )
    assert home.order(20).answer == "allow"
    asked = home.order(20.5)
    assert (asked.answer, asked.rules) == ("ask", ("cedar",))
    assert "rule dear" in asked.reasons[0]
    assert home.ask(home.approval(asked.request)).answer == "allow"
    # What is forbidden meanwhile is not done, whatever was answered.
    asked = home.order(30)
    home.rule(PERMIT + 'forbid (principal, action in Action::"effect.spend", resource);')
    assert home.ask(home.approval(asked.request)).answer == "deny"


def test_rules_go_by_the_time_of_the_household(home: Ruled) -> None:
    minute, weekday = home.now_ms // 60_000 % 1_440, 5
    home.rule(PERMIT + f"forbid (principal, action, resource) when {{ context.minute == {minute} }};")
    assert home.tell().answer == "deny"
    home.now_ms += 60_000
    assert home.tell().answer == "allow"
    home.beliefs.offset_ms = -60_000
    assert home.tell().answer == "deny"
    home.beliefs.offset_ms = 0
    # 15 January 2027 is a Friday.
    home.rule(PERMIT + f"forbid (principal, action, resource) when {{ context.weekday == {weekday} }};")
    assert home.tell().answer == "deny"
    home.now_ms += DAY
    assert home.tell().answer == "allow"


def test_no_rule_holds_up_an_emergency(home: Ruled) -> None:
    home.rule("forbid (principal, action, resource);")
    assert home.tell(priority="emergency").answer == "allow"
    # What does more than read or notify is none, whatever the coordinator calls it.
    assert home.order(3, priority="emergency").answer == "deny"


def test_a_device_that_asks_by_itself_is_no_owner(home: Ruled) -> None:
    home.rule('permit (principal in Role::"owner", action, resource);')
    assert home.tell().answer == "allow"
    assert home.tell(principal=device_principal(home.device, "phone")).answer == "deny"
    home.rule('permit (principal in Role::"device", action, resource) when { principal.kind == "device" };')
    assert home.tell(principal=device_principal(home.device, "phone")).answer == "allow"


def test_rules_can_be_about_where_values_come_from(home: Ruled) -> None:
    home.rule(PERMIT + 'forbid (principal, action, resource) unless { context.source == "user" };')
    # Nothing proves where they come from.
    assert home.tell().answer == "deny"


def test_rules_survive_a_restart_and_only_a_newer_policy_of_the_owner_ends_them(home: Ruled) -> None:
    home.rule(PERMIT + "forbid (principal, action, resource);")
    home.beliefs = home.restored()
    assert home.tell().answer == "deny"
    with pytest.raises(InvalidInput, match="not newer"):
        home.rule("", version=home.beliefs.policy.version)
    with pytest.raises(InvalidInput, match="not newer"):
        home.rule("", version=1)
    with pytest.raises(CertificateRefused):
        home.rule("", by=key("permit"))
    assert home.tell().answer == "deny"
    home.rule("")
    assert home.tell().answer == "allow"


def test_rules_that_cannot_be_meant_are_refused_with_their_line_and_nothing_changes(home: Ruled) -> None:
    home.rule(PERMIT)
    version = home.beliefs.policy.version
    with pytest.raises(InvalidInput, match="line 2, column 28") as refused:
        home.rule(PERMIT + 'forbid (principal in Role::"gest", action, resource);')
    assert refused.value.hint == 'Did you mean Role::"guest"?'
    assert (home.beliefs.policy.version, home.tell().answer) == (version, "allow")


def test_a_rule_that_cannot_be_worked_out_denies(home: Ruled) -> None:
    home.rule(
        PERMIT
        + '@id("big") forbid (principal, action, resource) when { context.minute * 9223372036854775807 > 1 };'
    )
    refused = home.tell()
    assert (refused.answer, refused.rules) == ("deny", ("cedar",))
    assert refused.reasons == ("a rule of the owner's cannot be worked out here: big",)


def test_without_cedarpy_everything_but_emergencies_is_denied_with_what_to_do(
    home: Ruled, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.rule(PERMIT)
    monkeypatch.setitem(sys.modules, "cedarpy", None)
    home.beliefs = home.restored()
    refused = home.tell()
    assert (refused.answer, refused.rules) == ("deny", ("cedar",))
    assert "pip install 'kindmesh[brain]'" in refused.reasons[0]
    assert home.tell(priority="emergency").answer == "allow"
    with pytest.raises(ConfigError) as missing:
        home.rule(PERMIT + PERMIT)
    assert missing.value.hint == "pip install 'kindmesh[brain]'"
    # Without rules it is not needed.
    home.rule("")
    assert home.tell().answer == "allow"


def test_the_starter_set_answers_as_the_first_policy_does(home: Ruled) -> None:
    first = first_policy(home.mesh, home.now_ms).rules
    for rules in (first, EVERYTHING):
        home.rule(starter(), rules=rules)
        assert home.tell().answer == "allow"
        assert home.order(3).answer == "ask"
    assert home.ask(home.approval(home.order(3).request)).answer == "allow"
    home.now_ms += HOUR
