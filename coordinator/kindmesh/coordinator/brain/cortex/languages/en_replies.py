"""English: what is answered. A key has one or more wordings of the same meaning."""

from __future__ import annotations

from typing import Final

REPLIES: Final[dict[str, tuple[str, ...]]] = {
    "not_understood": (
        "Sorry, I did not understand that. Nothing was done.",
        "I am not sure what you mean, so I have done nothing.",
        "Sorry, I cannot help with that. I have not done anything.",
    ),
    "part_not_understood": (
        "I understood some of it, but not “{part}”. So I have done nothing yet.",
        "I did not understand “{part}”, so I have left everything as it is.",
    ),
    "nothing_said": ("I did not hear anything.",),
    "no_device": (
        "I understood you, but no device here can do that.",
        "I know what you mean, but there is no device here that can do that.",
    ),
    "barred": ("I do not follow “not”, “if” or “when” yet, so I have done nothing.",),
    "no_repeat": (
        "I understood, but I cannot do that again and again by myself yet. Nothing was done. kindmesh schedule add does"
        " things at certain times.",
    ),
    "no_place": (
        "I do not know where this home is, so I cannot tell when the sun rises or sets. Say an hour, or set latitude"
        " and longitude under [household] in config.toml.",
    ),
    "no_sun": ("The sun does not rise or set here that day. Please say an hour.",),
    "after_that": ("After that: {text}.",),
    "no_back": ("I can do that, but not put it back by myself afterwards. Nothing was done.",),
    "back_for": ("I will put it back in {length}.",),
    "back_at": ("I will put it back {when}.",),
    "timer_runs": ("{name} runs already.",),
    "how_long": ("For how long shall I set {name}?",),
    "passed": ("That time has already passed. When shall I do it?",),
    "which_hour": ("At what time {day}?",),
    "too_far": ("That is too far ahead for me. Please choose a nearer time.",),
    "delay_which": ("Do you want me to “{first}” now, or later too? Please say the time with it.",),
    "several": ("Do you mean “{first}” or “{second}”?",),
    "what_it": ("What do you mean by “{word}”?",),
    "which_other": ("Which one do you mean: {names}?",),
    "no_other": ("There is no other one that I know of.",),
    "cannot_undo": ("I cannot undo that by myself. Please tell me what to do instead.",),
    "nothing_before": ("I am not sure what that refers to. Please say all of it.",),
    "help": (
        "I can switch lights, heating, blinds and other things here, tell you how they are, set timers, keep your"
        " lists and calendar, and remind you. Try “turn on the kitchen light” or “what is on my shopping list”."
        " In an emergency, say “emergency”.",
    ),
    "greeting": ("Hello! What can I do for you?", "Hello. How can I help?"),
    "goodbye": ("Goodbye.", "See you later."),
    "thanks": ("You are welcome.", "My pleasure."),
    "who": ("I am the assistant of this home. I am a program, and I run on your own devices.",),
    "repeat_none": ("I have not said anything lately.",),
    "yes_what": ("I have not asked you anything just now.",),
    "no_fine": ("All right, I will leave it.",),
    "no_put_off": (
        "I cannot call that off by myself, so it will still be done at its time. kindmesh jobs runs shows it, and "
        "kindmesh jobs cancel ends it.",
    ),
    "stop": ("Stopping everything.",),
    "emergency_said": (
        "I am asking for help out loud. If you can, call the emergency number, or call out to somebody near you.",
    ),
    "emergency_none": (
        "No device here can call for help. Please call the emergency number now (112 or 911), or call out to"
        " somebody near you.",
    ),
    "emergency_loud": ("Help is needed here! Please come at once!",),
    "no_list": ("There is no list called “{name}” here.",),
    "no_lists": ("There are no lists here.",),
    "which_list": ("Which list do you mean: {names}?",),
    "what_item": ("What shall I put on {list}?",),
    "which_item": ("Which item do you mean?",),
    "not_on_list": ("“{item}” is not on {list}.",),
    "shall_add": ("Shall I put “{item}” on {list}?",),
    "list_empty": ("There is nothing on {list}.",),
    "lists": ("Your lists are: {names}.",),
    "no_calendar": ("There is no calendar here.",),
    "which_calendar": ("Which calendar do you mean: {names}?",),
    "when_event": ("When is “{event}”?",),
    "no_event": ("I cannot find “{event}” in the calendar.",),
    "which_event": ("There are several. Which one do you mean: {names}?",),
    "shall_clear": ("That would remove {count} appointments. Please name those that I shall remove.",),
    "calendar_empty": ("There is nothing in the calendar{day}.",),
    "when_remind": ("When shall I remind you?",),
    "what_remind": ("What shall I remind you of?",),
    "other_remind": ("I can only remind the person who asks me.",),
    "when_alarm": ("For what time shall I set it?",),
    "no_alarm": ("There is no alarm set.",),
    "alarm_say": ("Good morning! It is time to get up.",),
    "remind_say": ("Here is your reminder: {text}.",),
    "who_unknown": ("I do not know how to reach {who}.",),
    "what_message": ("What shall I tell {who}?",),
    "no_room_speech": ("I cannot choose the room for an announcement yet. Nothing was said.",),
    "no_memory": ("I do not know where that is, and no device here can remember such things yet.",),
    "no_game": ("I do not know any games, sorry.",),
    "no_picture": (
        "I cannot see anything from here. Give me a photograph of it: kindmesh call vision.read_text image=@FILE.",
    ),
    "own.done": ("Done.",),
    "own.added": ("{items} is on {list} now.",),
    "own.added_many": ("{items} are on {list} now.",),
    "own.removed": ("{items} is off {list} now.",),
    "own.removed_many": ("{items} are off {list} now.",),
    "own.cleared": ("{list} is empty now.",),
    "own.list": ("On {list}: {items}.",),
    "own.list_count": ("There are {count} things on {list}.",),
    "own.list_count_one": ("There is one thing on {list}.",),
    "own.list_has": ("Yes, {item} is on {list}.",),
    "own.list_has_not": ("No, {item} is not on {list}.",),
    "own.events": ("{events}.",),
    "own.event_added": ("“{event}” is in the calendar, {when}.",),
    "own.event_removed": ("“{event}” is no longer in the calendar.",),
    "own.reminder": ("I will remind you {when}: {text}.",),
    "own.noted_reminder": ("I wrote it down for {when}: {text}. No device here can tell you out loud.",),
    "own.alarm": ("The alarm is set for {when}.",),
    "own.alarm_off": ("The alarm is off.",),
    "own.message": ("The message to {who} was handed over.",),
    "own.said": ("It was said.",),
    "own.timer_started": ("{name} runs.",),
    "own.noted": ("I wrote that down.",),
    "own.found": ("",),
    "own.not_yet": ("I tried, but I do not see it done yet.",),
}

__all__ = ["REPLIES"]
