"""English: the words; the sentences are in `en_sentences`, the answers in `en_replies`."""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.cortex.language import Language, Numbers, TimeWords
from kindmesh.coordinator.brain.cortex.languages.en_background import BACKGROUND
from kindmesh.coordinator.brain.cortex.languages.en_rephrased import REPHRASED
from kindmesh.coordinator.brain.cortex.languages.en_replies import REPLIES
from kindmesh.coordinator.brain.cortex.languages.en_sentences import SENTENCES

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth",
)  # fmt: skip
_SMALL: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

TIMES: Final = TimeWords(
    units={
        **dict.fromkeys(("second", "seconds", "sec", "secs"), _SECOND),
        **dict.fromkeys(("minute", "minutes", "min", "mins"), _MINUTE),
        **dict.fromkeys(("hour", "hours", "hr", "hrs"), _HOUR),
        **dict.fromkeys(("day", "days"), _DAY),
        **dict.fromkeys(("week", "weeks"), 7 * _DAY),
    },
    weekdays={
        **{name: number for number, name in enumerate(_WEEKDAYS)},
        **{f"{name}s": number for number, name in enumerate(_WEEKDAYS)},
    },
    months={name: number for number, name in enumerate(_MONTHS, 1)},
    parts={
        "morning": (5, 12, 8), "mornings": (5, 12, 8), "lunchtime": (11, 14, 12),
        "afternoon": (12, 18, 15), "evening": (17, 24, 19), "tonight": (17, 27, 21), "night": (18, 29, 21),
    },
    days={
        "the day after tomorrow": 2, "day after tomorrow": 2, "tomorrow": 1, "tomorrow's": 1, "tonight": 0, "today": 0,
        "today's": 0,
    },
    noon={"noon": 720, "midday": 720, "midnight": 0},
    within=("in", "within", "after"),
    hence=("from now", "from", "hence", "later"),
    at=("at", "by", "around", "about", "for", "@"),
    on=("on", "for", "by"),
    next_=("next",),
    this=("this", "coming"),
    every=("every", "each"),
    half=("half",),
    quarter=("quarter",),
    past=("past", "after"),
    to=("to", "before", "till", "til"),
    oclock=("o'clock", "oclock"),
    am=("am", "a.m"),
    pm=("pm", "p.m"),
    and_=("and",),
    one=("a", "an", "one"),
    daily=("daily", "everyday", "nightly"),
    weekday_words=("weekday", "weekdays"),
    of=("of",),
    the=("the",),
    before=("before",),
    sun={
        **dict.fromkeys((
            "sunset", "sundown", "sun down", "dusk", "nightfall", "sun goes down", "sun sets", "sun is down",
            "sun has set", "sun has gone down", "it gets dark", "it is dark", "it is getting dark", "it goes dark",
        ), "sunset"),
        **dict.fromkeys((
            "sunrise", "sunup", "sun up", "dawn", "daybreak", "first light", "sun comes up", "sun rises", "sun is up",
            "sun has risen", "sun goes up", "it gets light", "it is light", "it is getting light",
        ), "sunrise"),
    },
    sun_at=("at", "around", "about", "by", "when", "once", "as soon as", "on", "after", "for"),
    part_in=("in the", "at", "during the", "this"),
    ordinals={
        **{name: number for number, name in enumerate(_ORDINALS, 1)},
        "thirtieth": 30, "thirty-first": 31, "twenty-first": 21, "twenty-second": 22, "twenty-third": 23,
        "twenty-fourth": 24, "twenty-fifth": 25, "twenty-sixth": 26, "twenty-seventh": 27, "twenty-eighth": 28,
        "twenty-ninth": 29,
    },
)  # fmt: skip

NUMBERS: Final = Numbers(
    small={name: number for number, name in enumerate(_SMALL)},
    tens={name: 20 + 10 * number for number, name in enumerate(_TENS)},
    scales={"hundred": 100, "thousand": 1000},
    and_=("and",),
)

_VERBS: Final = (
    "turn", "switch", "put", "set", "make", "open", "close", "shut", "lock", "unlock", "start", "stop", "pause",
    "play", "resume", "dim", "brighten", "lower", "raise", "increase", "decrease", "add", "remove", "delete",
    "remind", "wake", "tell", "say", "announce", "show", "read", "call", "cancel", "clean", "vacuum", "run",
    "activate", "deactivate", "enable", "disable", "arm", "disarm", "mute", "unmute", "skip", "what", "who", "when",
    "where", "which", "how", "is", "are", "do", "does", "did", "give", "take", "send", "message", "text", "change",
    "adjust", "create", "schedule", "book", "check", "dock", "return", "kill", "warm", "heat", "cool", "water",
    "find", "get", "let", "bring", "leave", "keep", "note", "remember", "forget", "broadcast", "trigger", "launch",
    "begin", "end", "snooze", "power", "draw", "pull", "roll", "mow", "empty", "clear", "complete", "cross", "cut",
    "crank", "bump", "light", "darken", "bolt", "secure", "go", "move", "shuffle", "repeat", "list", "hit", "flip",
    "shutdown", "buy", "order", "ask",
)  # fmt: skip

_PARTICIPLES: Final = {
    "turning": "turn", "switching": "switch", "putting": "put", "setting": "set", "making": "make", "opening": "open",
    "closing": "close", "shutting": "shut", "locking": "lock", "unlocking": "unlock", "starting": "start",
    "stopping": "stop", "pausing": "pause", "playing": "play", "dimming": "dim", "brightening": "brighten",
    "lowering": "lower", "raising": "raise", "increasing": "increase", "decreasing": "decrease", "adding": "add",
    "removing": "remove", "deleting": "delete", "reminding": "remind", "waking": "wake", "telling": "tell",
    "saying": "say", "showing": "show", "reading": "read", "calling": "call", "cancelling": "cancel",
    "canceling": "cancel", "cleaning": "clean", "vacuuming": "vacuum", "running": "run", "giving": "give",
    "activating": "activate", "muting": "mute", "checking": "check", "changing": "change", "arming": "arm",
    "disarming": "disarm", "skipping": "skip", "sending": "send", "resuming": "resume", "creating": "create",
    "scheduling": "schedule", "taking": "take", "powering": "power", "warming": "warm", "cooling": "cool",
}  # fmt: skip

_ASKING: Final = (
    "could not you", "can not you", "could not we", "can not we", "would not you",
    "could somebody", "can somebody", "would somebody", "could someone", "can someone", "would someone",
    "could you", "can you", "would you", "will you", "can i get you to", "could i get you to", "can we", "could we",
    "i want you to", "i would like you to", "i need you to", "i like you to", "i want to", "i need to",
    "i would like to", "i would love you to", "i would love it if you could", "i would appreciate it if you could",
    "i would be grateful if you could", "i wonder if you could", "i was wondering if you could", "we need to",
    "i was wondering if you can", "do you think you could", "do you think you can", "is it possible to",
    "would it be possible to", "is it possible for you to",
    "would it be possible for you to", "would you be able to", "are you able to",
    "you can", "you could", "you may", "you should", "feel free to", "be a dear and", "be so kind as to",
    "be so kind and", "be kind enough to", "do me a favor and", "do me a favour and", "make sure to", "be sure to",
    "make sure you", "go ahead and", "try to", "it is time to", "time to", "help me to", "help me", "go and",
    "if it is no trouble", "if it is no bother", "if it is not too much trouble", "if you would not mind",
    "if you do not mind", "if you would be so kind", "if you could", "if you can", "when you get a minute",
    "when you get a moment", "when you have a minute", "when you have a moment", "there is a good lad",
    "there is a dear",
    "please", "kindly", "quickly", "also", "maybe", "perhaps", "possibly", "now", "then", "let us",
)  # fmt: skip

LANGUAGE: Final = Language(
    code="en",
    wake=("kindmesh", "assistant", "computer", "alexa", "siri", "google", "olly", "house", "jarvis", "cortana", "home"),
    wake_before=("hey", "ok", "okay", "hi", "hello", "yo", "dear"),
    opening=_ASKING,
    closing=(
        "please", "for me", "for us", "thanks", "thank you", "thank you very much", "thanks a lot", "now",
        "right now",
        "right away", "immediately", "at once", "asap", "as soon as possible", "would you", "could you", "will you",
        "can you", "if you can", "if you could", "if you would", "if you do not mind", "if you please",
        "if possible", "if it is no trouble", "if it is no bother", "if it is not too much bother",
        "if that is alright",
        "if that is all right", "if you would be so kind", "if you would be so good", "if you could be so kind",
        "if you would",
        "if it is all the same to you", "if it is all the same", "when you get a minute", "when you get a moment",
        "when you get a sec", "when you have a sec", "when you get a mo", "when you have got a minute",
        "there is a good lad",
        "there is a good girl", "there is a dear", "there is a love", "there is a good chap", "be a love", "be a dear",
        "if that is okay", "if that is ok", "when you can", "when you get a chance", "okay", "ok",
        "for a bit please", "while you are at it", "while you are there", "when you have a minute",
        "when you have a moment", "when you have a second", "when you are ready", "if you get a chance",
        "if it is not too much trouble", "if you would not mind", "if you are able to", "if you like", "love",
        "cheers",
        "ta", "will not you", "this instant", "quickly", "quick", "my dear", "my love", "man", "dude",
        "again please", "darling", "dear", "mate", "buddy", "sweetheart", "honey", "too", "as well",
        "shall we", "thx", "thank you kindly",
    ),
    mind=("would you mind", "do you mind", "would you please mind", "can you start", "how about", "what about"),
    participles=_PARTICIPLES,
    fillers=(
        "um", "umm", "uh", "uhh", "uhm", "er", "erm", "err", "hmm", "hm", "ah", "eh", "mm", "you know", "i mean",
        "basically", "just", "actually", "kind of", "sort of", "simply",
    ),
    reports=(
        "says to", "said to", "says you should", "wants you to", "asked you to", "would like you to", "asks you to",
    ),
    starters=(
        "so", "well", "okay", "ok", "alright", "all right", "right", "oh", "hey there", "hey", "hi there", "hi", "yo",
        "hello there", "hello dear", "hello", "dear me",
        "listen", "like", "look",  "excuse me", "sorry",
    ),
    contractions={
        **dict.fromkeys(("what's", "whats"), ("what", "is")),
        **dict.fromkeys(("who's",), ("who", "is")),
        **dict.fromkeys(("where's", "wheres"), ("where", "is")),
        **dict.fromkeys(("when's", "whens"), ("when", "is")),
        **dict.fromkeys(("how's", "hows"), ("how", "is")),
        **dict.fromkeys(("that's", "thats"), ("that", "is")),
        **dict.fromkeys(("there's", "theres"), ("there", "is")),
        **dict.fromkeys(("it's",), ("it", "is")),
        "here's": ("here", "is"), "heres": ("here", "is"), "let's": ("let", "us"), "lets": ("let", "us"),
        "i'm": ("I", "am"), "im": ("I", "am"), "i've": ("I", "have"), "ive": ("I", "have"), "i'll": ("I", "will"),
        "i'd": ("I", "would"), "id": ("I", "would"), "you're": ("you", "are"), "we're": ("we", "are"),
        "they're": ("they", "are"), "theyre": ("they", "are"), "you've": ("you", "have"), "we've": ("we", "have"),
        "what're": ("what", "are"), "who're": ("who", "are"), "what'd": ("what", "did"),
        "don't": ("do", "not"), "dont": ("do", "not"), "doesn't": ("does", "not"), "doesnt": ("does", "not"),
        "didn't": ("did", "not"), "didnt": ("did", "not"), "isn't": ("is", "not"), "isnt": ("is", "not"),
        "aren't": ("are", "not"), "arent": ("are", "not"), "won't": ("will", "not"), "can't": ("can", "not"),
        "cant": ("can", "not"), "cannot": ("can", "not"), "couldn't": ("could", "not"), "shouldn't": ("should", "not"),
        "wouldn't": ("would", "not"), "wasn't": ("was", "not"), "weren't": ("were", "not"), "haven't": ("have", "not"),
        "pls": ("please",), "plz": ("please",), "gonna": ("going", "to"), "wanna": ("want", "to"),
        "gimme": ("give", "me"), "lemme": ("let", "me"), "dunno": ("do", "not", "know"), "oclock": ("o'clock",),
        "nite": ("night",), "tonite": ("tonight",), "tmrw": ("tomorrow",), "2nite": ("tonight",),
    },
    spelling={
        "a m": ("am",), "p m": ("pm",), "per cent": ("percent",), "o clock": ("o'clock",), "to night": ("tonight",),
        "to day": ("today",), "to morrow": ("tomorrow",), "what s": ("what", "is"), "thermo stat": ("thermostat",),
        "bed room": ("bedroom",), "bath room": ("bathroom",), "turn of the": ("turn", "off", "the"),
        "switch of the": ("switch", "off", "the"), "turn of all": ("turn", "off", "all"), "t v": ("tv",),
        "a c": ("ac",), "no one": ("nobody",), "every day": ("every", "day"), "i d like": ("i", "would", "like"),
    },
    joins=(
        "and so",
        "and then", "and after that", "and afterwards", "after that", "and also", "as well as", "but also", "and",
        "then", "also", "plus", "so",
    ),
    ordered=("and then", "and after that", "and afterwards", "after that", "then"),
    verbs=_VERBS,
    particles=("on", "off", "up", "down"),
    prepositions=("in", "on", "at", "of", "for", "from", "to"),
    articles=("the", "a", "an", "my", "our", "all", "both", "every", "any", "this", "that"),
    negations=("not", "never", "without", "nobody", "nothing"),
    conditions=(
        "if", "when", "whenever", "unless", "until", "till", "while", "once", "because", "before", "after", "should",
        "as",
    ),
    whether=(
        "tell me if", "tell me whether", "let me know if", "let me know whether", "check if", "check whether",
        "see if",
        "do you know if", "do you know whether", "i want to know if", "i would like to know if", "find out if",
        "find out whether", "can you tell if", "know if", "to know if", "tell if", "i wonder if", "check that",
        "verify that", "verify if", "confirm that", "make sure that",
    ),
    be=("is", "are"),
    times=TIMES,
    numbers=NUMBERS,
    sentences=SENTENCES,
    replies=REPLIES,
    words={
        **BACKGROUND,
        **REPHRASED,
        "timer": ("timer", "timers"),
        "wake_and_name": ("house", "home"),
        "is_contracted": ("is",),
        "states": (
            "ready", "done", "still", "on", "off", "asleep", "up", "too", "so", "gone", "here", "home", "awake", "over",
            "late", "early", "cold", "hot", "warm", "dark", "bright", "loud", "noisy", "empty", "full", "open",
            "closed",
            "shut", "locked", "unlocked", "broken", "been", "not", "very", "really", "in", "out", "at", "lovely",
            "great",
            "nice", "fine", "left", "just", "finished", "wide", "on", "getting", "boiling", "burning", "ringing",
            "crying",
            "sleeping", "coming", "going", "running", "raining", "freezing", "playing", "leaking", "barking", "having",
            "working", "watching", "doing", "beeping", "blinking", "flashing", "dripping", "driving", "making", "back",
            "seeing", "got", "far", "way", "a", "rather", "quite", "bit", "pretty", "down", "under", "all", "always",
        ),
        "probe": ("status", "of"),
        "asking_when": ("when does", "when do", "when will", "when is", "when are", "how long till", "how long until",
                        "how much longer until", "how much longer till", "which", "what", "whats", "is nobody"),
        "units": ("percent", "%", "degrees", "degree", "celsius", "fahrenheit", "kelvin", "km", "miles", "dollars"),
        "stop": ("stop", "halt", "emergency stop", "stop everything", "stop now", "everything stop"),
        "pronouns": ("it", "that", "this", "them", "those", "these"),
        "idle": (
            "it is", "i am", "we are", "i feel", "that is", "this is", "there is", "good morning", "good evening",
            "good afternoon", "good night", "hello", "oh dear", "dear", "oh no", "my goodness", "goodness",
            "gosh", "wow", "right",
            "where was i", "let me see", "let me think", "you know what", "what a", "guess what", "brr", "phew",
            "hurry",
            "be a dear", "be an angel", "i think", "thank you", "thanks", "time for bed", "dinner is ready",
            "yes", "yeah",
        ),
        "before_verb": ("so",),
        "lasting": ("for",),
        "lasting_more": ("the next", "another", "about", "around", "just", "only", "exactly", "at least", "a good"),
        "until": ("until", "till", "til"),
        "kept": ("keep", "leave", "have"),
        "kept_as": (
            "on:turn * on", "off:turn * off", "open:open", "closed:close", "shut:close", "locked:lock",
            "unlocked:unlock", "running:turn * on", "going:turn * on", "playing:play",
        ),
        "leave": ("leave", "keep"),
        "but": ("but", "and"),
        "alone": ("alone", "on", "off", "open", "closed", "running"),
        "except": ("except for", "except", "apart from", "bar the", "save for", "but not", "other than",
                   "excluding", "besides", "and not"),
        "control": (
            "turn", "switch", "open", "close", "shut", "lock", "unlock", "dim", "set", "make", "stop", "start",
            "pause",
            "put", "raise", "lower",
        ),
        "within_place": ("in", "the"),
        "again": ("again", "back"),
        "or": ("or",),
        "list": ("list", "lists"),
        "empty": ("the", "my", "our", "a", "this", "that"),
        "shopping": ("shopping", "grocery", "groceries", "market", "supermarket", "food", "shop"),
        "todo": ("to do", "todo", "to dos", "todos", "task", "tasks", "chore", "chores", "to-do"),
        "reminders": ("reminder", "reminders"),
        "pairs": (
            "mac and cheese", "salt and pepper", "fish and chips", "peanut butter and jelly", "ham and cheese",
            "bread and butter", "rice and beans", "half and half", "oil and vinegar", "sweet and sour",
        ),
        "some": ("some", "the", "a", "an", "more"),
        "vague": (
            "something", "this", "that", "it", "item", "items", "an item", "this item", "that item", "the item",
            "the items", "things", "stuff", "something else", "anything", "a thing", "these", "those", "this one",
            "the following", "an event", "new item", "a new item", "everything",
        ),
        "me": ("me", "us"),
        "mine": ("my", "our", "i"),
        "alarm": ("alarm", "wake"),
        "calendar": ("calendar", "calendars", "schedule", "agenda", "diary"),
        "event": (
            "meeting", "appointment", "event", "birthday", "party", "dentist", "doctor", "doctors", "interview",
            "conference", "anniversary", "wedding", "reunion", "lunch", "dinner", "call", "lesson", "class",
            "checkup", "haircut", "visit", "plan", "appointments", "meetings", "events", "plans",
        ),
        "event_generic": ("event", "appointment", "meeting", "my", "the", "next"),
        "message": ("message", "text"),
        "that": ("that", "saying"),
        "near_days": ("today", "tomorrow"),
        "at": ("at",),
        "weekdays": tuple(name.capitalize() for name in _WEEKDAYS),
        "months": tuple(name.capitalize() for name in _MONTHS),
    },
)  # fmt: skip

__all__ = ["LANGUAGE", "NUMBERS", "TIMES"]
