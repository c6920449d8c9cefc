"""The bounds that the owner sets beside the rules, at the permit: quiet hours, rates, spending, places count, whatever
the rules of the policy say, survive a restart, and one yes settles them for one thing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.brain.test_review_step import Household
from tests.coordinator.medulla_kit import DAY, HOUR, fresh

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.counts import COUNTED_MAX, Counted, Counts, count_key
from kindmesh.coordinator.brain.medulla.review_facts import Done
from kindmesh.protocol.codec import encode, encode_value
from kindmesh.protocol.errors import KindmeshError
from kindmesh.protocol.guards import FIRST_GUARDS, Guards, Quiet, Rate
from kindmesh.protocol.manifest import Effect, Field, Manifest, Operation
from kindmesh.protocol.plan_labels import Label
from kindmesh.protocol.policy import Policy, Rule, sign_policy
from kindmesh.protocol.principal import OWNER, device_principal
from kindmesh.protocol.utterance_evidence import ArgumentLabel, Evidence

TEXT = "dinner is ready"


def operation(name: str, effect: Effect, *given: Field) -> Operation:
    return Operation(f"shop.{name}", name, given, (), int(effect), idempotent=False)


OUTSIDE = Manifest(
    "shop",
    "1",
    "Orders, messages and pages",
    operations=(
        operation("order", Effect.SPEND, Field("item", "text", "What"), Field("price", "number", "How much")),
        operation("tell", Effect.NOTIFY, Field("text", "text", "What")),
        operation("post", Effect.WRITE, Field("url", "text", "Where to")),
    ),
)


class Bounded(Household):
    """Everything is allowed by the rules; what asks are the bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.ask(m.Advertise(self.advert(self.phone, OUTSIDE, version=3)))

    def bound(self, **bounds: Any) -> None:
        version = self.beliefs.policy.version + 1
        allow = (Rule("*", int(sum(Effect)), "allow"),)
        policy = Policy(self.mesh, version, self.now_ms, allow, self.beliefs.policy.roles, Guards(**bounds))
        self.ask(m.Install(sign_policy(policy, self.owner)))

    def wants(self, operation: str, args: Any, **changes: Any) -> m.Verdict:
        verdict = self.ask(self.request(operation, args=encode_value(args), principal=OWNER, **changes))
        assert isinstance(verdict, m.Verdict)
        return verdict

    def tell(self, text: str = TEXT, **changes: Any) -> m.Verdict:
        return self.wants("shop.tell", {"text": text}, **changes)

    def order(self, price: float, **changes: Any) -> m.Verdict:
        return self.wants("shop.order", {"item": "milk", "price": price}, **changes)

    def post(self, said: Evidence, **changes: Any) -> m.Verdict:
        url = "https://example.org/a"
        labels = (ArgumentLabel("url", Label("user", words=(url,))),)
        return self.wants("shop.post", {"url": url}, evidence=said, labels=labels, **changes)

    def restart(self) -> None:
        self.beliefs = self.restored()


@pytest.fixture
def home() -> Bounded:
    return Bounded()


def test_what_the_policy_allows_asks_in_quiet_hours_and_one_yes_settles_it(home: Bounded) -> None:
    minute = home.now_ms // 60_000 % 1_440
    home.bound(quiet=(Quiet(minute, (minute + 60) % 1_440, int(Effect.NOTIFY)),))
    asked = home.tell()
    assert (asked.answer, asked.rules) == ("ask", ("quiet-hours",))
    assert "quiet time" in asked.reasons[0]
    assert home.ask(home.approval(asked.request)).answer == "allow"
    assert home.tell(priority="emergency").answer == "allow"
    home.now_ms += HOUR
    assert home.tell().answer == "allow"


def test_more_often_than_the_owner_said_asks_until_time_has_passed(home: Bounded) -> None:
    home.bound(rates=(Rate("shop.tell", 2, HOUR),))
    assert [home.tell(str(number)).answer for number in range(3)] == ["allow", "allow", "ask"]
    home.restart()
    asked = home.tell("after a restart")
    assert (asked.answer, asked.rules) == ("ask", ("rate",))
    assert home.tell("fire", priority="emergency").answer == "allow"
    home.now_ms += HOUR
    assert home.tell("an hour later").answer == "allow"


def test_it_counts_for_the_household_whoever_asks(home: Bounded) -> None:
    home.bound(rates=(Rate("shop.*", 1, HOUR),))
    assert home.tell().answer == "allow"
    asked = home.ask(
        home.request(
            "shop.tell", args=encode_value({"text": "x"}), principal=device_principal(home.device, "phone")
        )
    )
    assert asked.answer == "ask"


def test_the_same_job_again_counts_once_and_with_other_values_anew(home: Bounded) -> None:
    home.bound(rates=(Rate("shop.tell", 1, HOUR),))
    job = fresh(999)
    assert home.tell(job_id=job).answer == "allow"
    assert home.tell(job_id=job, epoch=2).answer == "allow"
    assert home.tell("something else", job_id=job, epoch=3).answer == "ask"


def test_what_is_refused_or_only_asked_about_does_not_count(home: Bounded) -> None:
    home.bound(rates=(Rate("shop.tell", 1, HOUR),))
    assert home.tell(target=home.mesh).answer == "deny"
    assert home.tell().answer == "allow"
    home.tell("no")
    home.now_ms += HOUR
    assert home.tell("yes").answer == "allow"


def test_money_is_counted_by_run_and_by_day(home: Bounded) -> None:
    home.bound(spend_plan=20, spend_day=50)
    run = fresh(5)
    assert home.order(15, run_id=run).answer == "allow"
    asked = home.order(6, run_id=run)
    assert (asked.answer, asked.rules) == ("ask", ("spend",))
    assert "the plan spends 21" in asked.reasons[0]
    assert home.order(19).answer == "allow"
    home.restart()
    asked = home.order(18)
    assert "52 are spent within a day" in asked.reasons[0]
    home.now_ms += DAY
    assert home.order(18).answer == "allow"


def test_without_bounds_on_money_an_allow_of_the_policy_stands(home: Bounded) -> None:
    home.bound()
    assert home.order(500).answer == "allow"


def test_data_goes_only_where_the_owner_said(home: Bounded) -> None:
    home.bound(egress=("example.org",))
    assert home.wants("shop.post", {"url": "https://www.example.org/a"}).answer == "allow"
    asked = home.wants("shop.post", {"url": "https://evil.example/a"})
    assert (asked.answer, asked.rules) == ("ask", ("egress",))


def test_with_other_reasons_to_ask_all_are_told(home: Bounded) -> None:
    minute = home.now_ms // 60_000 % 1_440
    home.guard(Guards(quiet=(Quiet(minute, (minute + 60) % 1_440, int(sum(Effect))),)))
    assert home.order(1).rules == ("policy", "quiet-hours")


def test_the_same_words_do_a_thing_once_and_said_again_once_more(home: Bounded) -> None:
    home.guard(msgspec.structs.replace(FIRST_GUARDS, words=("shop.*",), spend_plan=50, spend_day=500))
    said = home.said("order milk for 5 euros")
    labels = {"item": "milk", "price": "5"}
    args = {"item": "milk", "price": 5}
    first = home.step(said, "shop.order", args, labels)
    assert first.answer == "allow", first.reasons
    told = "post https://example.org/a"
    assert home.post(home.said(told)).answer == "allow"
    assert home.post(home.said(told)).answer == "allow"


def test_the_same_words_twice_ask(home: Bounded) -> None:
    home.guard(msgspec.structs.replace(FIRST_GUARDS, words=("shop.*",)))
    said, run = home.said("post https://example.org/a"), fresh(77)
    first, second = home.post(said, run_id=run), home.post(said, run_id=run)
    assert (first.answer, second.answer) == ("allow", "ask")
    assert "for these words" in second.reasons[0]


def test_what_no_bound_looks_back_at_is_forgotten_and_there_is_a_most() -> None:
    counts = Counts()
    for number in range(COUNTED_MAX):
        counts.count(number.to_bytes(16, "big"), Counted(100 + number, Done("", 1, "a.b", 1)), 1)
    new = count_key(bytes(16), "a.b", b"")
    assert counts.is_full(new, 50)
    assert not counts.is_full(bytes(16), 50)
    assert not counts.is_full(new, 100)
    assert len(counts.ledger(bytes(16), 50).done) == COUNTED_MAX - 1
    dropped = counts.count(new, Counted(9_000, Done("", 2, "a.b", 1)), 50)
    assert (len(dropped), len(counts.did)) == (2, COUNTED_MAX)
    assert len(counts.count(new, Counted(9_000, Done("", 2, "a.b", 1)), 200)) == 101
    assert len(counts.did) == COUNTED_MAX - 100
    assert (
        len(counts.count(count_key(bytes(16), "a.c", b""), Counted(9_000, Done("", 2, "a.c", 1)), 203)) == 3
    )


def test_what_could_not_be_counted_asks(home: Bounded) -> None:
    home.bound(rates=(Rate("shop.tell", 10_000, HOUR),))
    kept = Counted(home.now_ms + HOUR, Done("", 1, "a.b", 1))
    for number in range(COUNTED_MAX):
        home.rows["did", number.to_bytes(16, "big")] = encode(kept)
    home.restart()
    asked = home.tell()
    assert (asked.answer, asked.rules) == ("ask", ("rate",))
    assert home.ask(home.approval(asked.request)).answer == "allow"
    assert len(home.beliefs.counts.did) == COUNTED_MAX


def test_a_row_that_somebody_changed_is_not_believed(home: Bounded) -> None:
    home.bound(rates=(Rate("shop.tell", 1, HOUR),))
    home.tell()
    (key,) = (key for key in home.rows if key[0] == "did")
    home.rows[key] = b"\x91\x01"
    with pytest.raises(KindmeshError):
        home.restored()
