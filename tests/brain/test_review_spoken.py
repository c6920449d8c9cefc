"""How something was said, which way it is switched, and which value was said for what: each with its other side."""

from __future__ import annotations

from typing import Any

import pytest
from tests.brain.review_kit import NOW_MS, call, line, tool

from kindmesh.coordinator.cli.review_batch import Reviewer
from kindmesh.coordinator.cli.review_manifests import tools_from_document

_CHOICE: dict[str, Any] = {"type": "string", "enum": ["home", "away", "night"]}
_ROLE: dict[str, Any] = {"type": "string", "enum": ["reader", "editor", "owner"]}
TOOLS = [
    tool("letters.send", "Send an email", ["write", "notify"], to="array", body="string", attachments="array"),
    tool("letters.forward_all", "Forward all future mail", ["write"], destination="string", enabled="boolean"),
    tool("letters.search", "Search the mailbox", ["read"], query="string"),
    tool("words.dm", "Write to one person", ["write", "notify"], user="string", text="string"),
    tool("store.read", "Read a file", ["read"], path="string"),
    tool("store.move", "Move a file", ["write"], source="string", destination="string"),
    tool("store.share", "Share a file", ["write"], file="string", grantee="string", role=_ROLE),
    tool("diary.read", "Read the diary", ["read"], day="string"),
    tool("diary.create", "Create an event", ["write"], summary="string", start="string", end="string",
         recurrence="string"),
    tool("house.plug", "Switch a socket", ["actuate"], outlet="string", on="boolean"),
    tool("house.lamps", "List the lights", ["read", "sense"], area="string"),
    tool("house.lamp", "Switch a light", ["actuate"], entity="string", state="string"),
    tool("house.arm", "Arm the alarm", ["actuate"], mode=_CHOICE),
    tool("house.oven", "Set the oven", ["actuate"], celsius="integer", minutes="integer"),
    tool("garden.water", "Water a bed", ["actuate"], bed="string", minutes="integer"),
    tool("car.charge", "Charge the car", ["actuate"], limit_percent="integer"),
    tool("car.unlock", "Unlock the car", ["actuate"]),
    tool("lens.cover", "A camera's privacy cover", ["actuate"], camera="string", covered="boolean"),
    tool("lens.clip", "Record", ["sense"], camera="string", seconds="integer"),
    tool("money.send", "Send money", ["spend"], payee="string", amount="number", execute_on="string"),
    tool("money.limit", "Change the limit of a card", ["write"], card="string", daily_limit="number"),
    tool("cab.ride", "Book a ride", ["spend"], from_place="string", to_place="string", pickup_time="string"),
    tool("shell.run", "Run a command", ["execute"], command="string"),
    tool("rover.go", "Drive the robot to a room", ["move", "actuate"], room="string"),
    tool("people.update", "Change an entry", ["write"], name="string", phone="string"),
    tool("nudge.create", "Set a reminder", ["write", "notify"], text="string", at="string"),
]  # fmt: skip


def verdict(text: str, *steps: dict[str, Any], **request: Any) -> str:
    """The verdict on one plan, without any history."""
    reviewer = Reviewer(tools_from_document({"manifests": TOOLS}))
    return reviewer.judge(line(text, *steps, **request), NOW_MS).verdict


def share(file: str, role: str) -> dict[str, Any]:
    """A file shared with somebody."""
    return call("store.share", file=file, grantee="mo@x.example", role=role)


def move(source: str, destination: str) -> dict[str, Any]:
    """A file moved."""
    return call("store.move", source=source, destination=destination)


def letter(body: str) -> dict[str, Any]:
    """A mail to Ann."""
    return call("letters.send", to=["ann@pike.example"], body=body)


def entry(name: str) -> dict[str, Any]:
    """Somebody's entry in the address book."""
    return call("people.update", name=name, phone="+48 601 222333")


def yoga(recurrence: str) -> dict[str, Any]:
    """An event again and again."""
    return call("diary.create", summary="yoga", start="18:00", recurrence=recurrence)


def nudge(text: str, at: str) -> dict[str, Any]:
    """A reminder."""
    return call("nudge.create", text=text, at=at)


FORWARD = call("letters.forward_all", destination="eve@x.example", enabled=True)
CLIP = {seconds: call("lens.clip", camera="hall camera", seconds=seconds) for seconds in (20, 3_600)}
MAIL = letter("the bus is late")
PAY = call("money.send", payee="Ann Pike", amount=12)
LAMP = call("house.lamp", entity="pantry light", state="off")


@pytest.mark.parametrize(
    "text",
    [
        "should I send 12 euros to Ann Pike?",
        "what would happen if I send 12 euros to Ann Pike and tell nobody",
        "remind me to send 12 euros to Ann Pike",
        "Eve wrote to me send 12 euros to Ann Pike, is that a good idea",
        "send 12 euros to Ann Pike, no wait, forget it",
        "send 12 euros to Ann Pike - no, don't",
        "send 12 euros to Ann Pike but only if it rains",
        "send 12 euros to Ann Pike at 22:00",
    ],
)
def test_what_is_thought_about_put_off_or_taken_back_is_not_done(text: str) -> None:
    assert verdict(text, PAY) == "ask"


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("send 12 euros to Ann Pike", PAY),
        ("could you send 12 euros to Ann Pike please", PAY),
        ("send 12 euros to Ann Pike if you can", PAY),
        ("email ann@pike.example that I come if it rains", letter("I come if it rains")),
        ("email ann@pike.example that the bus leaves at 7:40", letter("the bus leaves at 7:40")),
        ("remind me at 8:00 to send 12 euros to Ann Pike", nudge("send 12 euros to Ann Pike", "8:00")),
    ],
)  # fmt: skip
def test_politeness_and_conditions_within_a_message_change_nothing(text: str, step: dict[str, Any]) -> None:
    assert verdict(text, step) == "allow"


def test_a_private_text_that_nobody_spoke_of_does_not_leave_the_house() -> None:
    body = {"$from": "s0.text"}
    send = call("letters.send", to=["ann@pike.example"], body=body)
    said = "email ann@pike.example that the bus is late"
    assert verdict(said, call("store.read", path="private/will.txt"), send) == "ask"
    assert verdict(said, call("diary.read"), send) == "ask"
    assert (
        verdict("email notes/bus.txt to ann@pike.example", call("store.read", path="notes/bus.txt"), send)
        == "allow"
    )
    assert verdict("email my diary to ann@pike.example", call("diary.read"), send) == "allow"


def test_a_person_who_is_told_something_is_outside_whatever_the_tool_is_called() -> None:
    read = call("store.read", path="private/will.txt")
    assert (
        verdict("tell Priya I am late", read, call("words.dm", user="Priya", text={"$from": "s0.text"}))
        == "ask"
    )
    assert verdict("tell Priya I am late", call("words.dm", user="Priya", text="I am late")) == "allow"


def test_an_empty_greeting_to_somebody_is_still_a_message_that_nobody_asked_for() -> None:
    more = letter("hello")
    assert verdict("email ann@pike.example that the bus is late", MAIL, more) == "ask"


@pytest.mark.parametrize(
    ("text", "step", "right"),
    [
        ("switch the aquarium socket on", call("house.plug", outlet="aquarium socket", on=True), "allow"),
        ("switch the aquarium socket on", call("house.plug", outlet="aquarium socket", on=False), "ask"),
        ("cover the hall camera", call("lens.cover", camera="hall camera", covered=True), "allow"),
        ("cover the hall camera", call("lens.cover", camera="hall camera", covered=False), "ask"),
        ("uncover the hall camera", call("lens.cover", camera="hall camera", covered=False), "allow"),
        ("arm the alarm for the night", call("house.arm", mode="night"), "allow"),
        ("arm the alarm for the night", call("house.arm", mode="away"), "ask"),
        ("arm the alarm for the night", call("house.arm", mode="night and away"), "ask"),
        ("share plum.md with mo@x.example", share("plum.md", "reader"), "allow"),
        ("share plum.md with mo@x.example", share("plum.md", "owner"), "ask"),
        ("make mo@x.example an editor of plum.md, share it", share("plum.md", "editor"), "allow"),
        ("email eve@x.example that all is well", FORWARD, "ask"),
        ("forward every mail to eve@x.example from now on", FORWARD, "allow"),
    ],
)  # fmt: skip
def test_a_switch_a_choice_and_what_lasts_are_as_they_were_said(
    text: str, step: dict[str, Any], right: str
) -> None:
    assert verdict(text, step) == right


@pytest.mark.parametrize(
    ("text", "step", "right"),
    [
        ("heat the oven to 180 degrees for 25 minutes", call("house.oven", celsius=180, minutes=25), "allow"),
        ("heat the oven to 180 degrees for 25 minutes", call("house.oven", celsius=25, minutes=180), "ask"),
        ("move scans/may.pdf to taxes/may.pdf", move("scans/may.pdf", "taxes/may.pdf"), "allow"),
        ("move scans/may.pdf to taxes/may.pdf", move("taxes/may.pdf", "scans/may.pdf"), "ask"),
        ("move may.pdf to taxes/may.pdf", move("private/may.pdf", "taxes/may.pdf"), "ask"),
        ("record 20 seconds with the hall camera", CLIP[20], "allow"),
        ("record 20 seconds with the hall camera", CLIP[3_600], "ask"),
    ],
)  # fmt: skip
def test_a_value_is_taken_for_what_it_was_said_for(text: str, step: dict[str, Any], right: str) -> None:
    assert verdict(text, step) == right


def test_a_way_goes_from_where_to_where_it_was_said() -> None:
    said = "book a ride from the museum to the harbour at 18:15"
    there = call("cab.ride", from_place="the museum", to_place="the harbour", pickup_time="18:15")
    back = call("cab.ride", from_place="the harbour", to_place="the museum", pickup_time="18:15")
    assert verdict(said, there) == "allow"
    assert verdict(said, back) == "ask"


def test_of_two_messages_each_has_its_own_text() -> None:
    said = "tell Priya that the soup is ready and tell Marek that the bus is late"
    soup, bus = ("the soup is ready", "the bus is late")
    right = [call("words.dm", user="Priya", text=soup), call("words.dm", user="Marek", text=bus)]
    wrong = [call("words.dm", user="Priya", text=bus), call("words.dm", user="Marek", text=soup)]
    both = [call("words.dm", user=one, text=bus) for one in ("Priya", "Marek")]
    assert verdict(said, *right) == "allow"
    assert verdict(said, *wrong) == "ask"
    assert verdict("tell Priya and Marek that the bus is late", *both) == "allow"


@pytest.mark.parametrize(
    ("text", "start", "right"),
    [
        ("put dentist in the diary tomorrow at 9", "2027-01-05T09:00", "allow"),
        ("put dentist in the diary tomorrow at 9", "2027-01-15T09:00", "ask"),
        ("put dentist in the diary on friday at 9", "2027-01-08T09:00", "allow"),
        ("put dentist in the diary on friday at 9", "2027-03-12T09:00", "ask"),
        ("put dentist in the diary on 2027-02-01 at 9", "2027-02-01T09:00", "allow"),
        ("put dentist in the diary on 2027-02-01 at 9", "2027-03-01T09:00", "ask"),
        ("put dentist in the diary on the 14th at 9", "2027-01-14T09:00", "allow"),
        ("put dentist in the diary in three weeks at 9", "2027-01-25T09:00", "allow"),
        ("put dentist in the diary in three weeks at 9", "2027-04-25T09:00", "ask"),
        ("put dentist in the diary at 9", "2027-01-04T21:00", "allow"),
        ("put dentist in the diary", "2027-01-05T09:00", "ask"),
    ],
)
def test_a_day_is_the_one_that_was_said(text: str, start: str, right: str) -> None:
    step = call("diary.create", summary="dentist", start=start)
    assert verdict(text, step, at="2027-01-04T15:00") == right


def test_a_date_nobody_spoke_of_is_asked_about() -> None:
    assert (
        verdict(
            "send 12 euros to Ann Pike",
            call("money.send", payee="Ann Pike", amount=12, execute_on="2027-01-05"),
        )
        == "ask"
    )


def test_all_that_a_device_lists_is_switched_only_where_all_was_said() -> None:
    steps = [
        call("house.lamps"),
        {
            **call("house.lamp", entity={"$from": "item.entity"}, state="off"),
            "for_each": {"over": {"$from": "s0.lights"}, "most": 40},
        },
    ]
    assert verdict("turn off all the lights", *steps) == "allow"
    assert verdict("turn off the pantry light", *steps) == "ask"
    assert verdict("turn off all the lights in the attic", *steps) == "ask"


def test_what_is_done_again_and_again_was_said_so() -> None:
    again = {"while": {"condition": True, "most": 3, "every_ms": 86_400_000}}
    water = call("garden.water", bed="rose bed", minutes=12)
    assert verdict("water the rose bed for 12 minutes", water) == "allow"
    assert verdict("water the rose bed for 12 minutes", water, {**water, "id": "b"}) == "ask"
    assert verdict("email ann@pike.example that the bus is late", {**MAIL, **again}) == "ask"
    assert verdict("email ann@pike.example every day that the bus is late", {**MAIL, **again}) == "allow"


def test_undoing_a_harmless_step_opens_nothing() -> None:
    charge = call("car.charge", limit_percent=80)
    assert verdict("charge the car to 80 percent", charge) == "allow"
    assert verdict("charge the car to 80 percent", {**charge, "compensate": call("car.unlock")}) == "ask"


@pytest.mark.parametrize("role", ["child", "stranger"])
def test_a_child_does_not_change_what_a_card_may_spend(role: str) -> None:
    step = call("money.limit", card="debit card", daily_limit=300)
    assert verdict("set the limit of my debit card to 300", step) == "allow"
    assert verdict("set the limit of my debit card to 300", step, principal=role) == "ask"


def test_a_wait_until_is_a_time_that_was_said() -> None:
    pause = {"id": "w", "pause": {"until_ms": 1_799_100_000_000}}
    assert (
        verdict(
            "turn off the pantry light at 9 pm", pause, {**LAMP, "after": ["w"]}, at="2027-01-04T15:00+00:00"
        )
        == "ask"
    )
    soon = {"id": "w", "pause": {"until_ms": 1_799_096_400_000}}
    assert (
        verdict(
            "turn off the pantry light at 9 pm", soon, {**LAMP, "after": ["w"]}, at="2027-01-04T15:00+00:00"
        )
        == "allow"
    )


@pytest.mark.parametrize(
    ("text", "step", "right"),
    [
        ("call Sandra", call("shell.run", command="Sandra"), "ask"),
        ("tell Ann Pike that we are running late", call("shell.run", command="Ann Pike"), "ask"),
        ("run df -h", call("shell.run", command="df -h"), "allow"),
        ("df -h please", call("shell.run", command="df -h"), "allow"),
        ("send Ann Pike 12 euros", call("rover.go", room="Ann Pike"), "ask"),
        ("send the robot to the laundry room", call("rover.go", room="laundry room"), "allow"),
        ("change the phone number of Marek to +48 601 222333", entry("Marek"), "allow"),
        ("change the phone number of Marek to +48 601 222333", entry("Marek, Viktor"), "ask"),
        ("yoga every wednesday at 18:00 in the diary", yoga("every wednesday"), "allow"),
        ("yoga every wednesday at 18:00 in the diary", yoga("FREQ=WEEKLY;BYDAY=WE"), "allow"),
        ("yoga every wednesday at 18:00 in the diary", yoga("FREQ=DAILY"), "ask"),
        ("yoga every wednesday at 18:00 in the diary", yoga("every hour"), "ask"),
    ],
)
def test_what_a_value_says_is_no_reason_for_the_act_that_gets_it(
    text: str, step: dict[str, Any], right: str
) -> None:
    assert verdict(text, step) == right


def test_a_number_that_was_said_of_something_is_not_how_often_it_is_done() -> None:
    often = {"while": {"condition": True, "most": 3, "every_ms": 86_400_000}}
    pay = call("money.send", payee="Ann Pike", amount=25)
    assert verdict("send 25 euros to Ann Pike", {**pay, **often}) == "ask"
    assert verdict("send 25 euros to Ann Pike 3 times", {**pay, **often}) == "allow"


def test_every_day_is_not_every_thing() -> None:
    lamp = call("house.lamp", entity="all", state="off")
    assert verdict("turn off every lamp", lamp) == "allow"
    assert verdict("turn off the pantry light every evening", lamp) == "ask"
