"""German: the proof that a language is data only. The words; its sentences and answers are in `de_sentences`."""

from __future__ import annotations

from typing import Final

from kindmesh.coordinator.brain.cortex.language import Language, Numbers, TimeWords
from kindmesh.coordinator.brain.cortex.languages.de_sentences import REPLIES, SENTENCES

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_WEEKDAYS: Final = ("montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag", "sonntag")
_MONTHS: Final = (
    "januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
    "dezember",
)  # fmt: skip
_SMALL: Final = (
    "null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf",
    "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn", "neunzehn",
)  # fmt: skip
_TENS: Final = ("zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")
_ORDINALS: Final = (
    "erste", "zweite", "dritte", "vierte", "fünfte", "sechste", "siebte", "achte", "neunte", "zehnte", "elfte",
    "zwölfte", "dreizehnte", "vierzehnte", "fünfzehnte", "sechzehnte", "siebzehnte", "achtzehnte", "neunzehnte",
    "zwanzigste",
)  # fmt: skip
_JOINED: Final = {
    f"{'ein' if one == 'eins' else one}und{ten}": 20 + 10 * number + digit
    for number, ten in enumerate(_TENS)
    for digit, one in enumerate(_SMALL[1:10], 1)
}

TIMES: Final = TimeWords(
    units={
        **dict.fromkeys(("sekunde", "sekunden"), _SECOND),
        **dict.fromkeys(("minute", "minuten", "min"), _MINUTE),
        **dict.fromkeys(("stunde", "stunden", "std"), _HOUR),
        **dict.fromkeys(("tag", "tage", "tagen"), _DAY),
        **dict.fromkeys(("woche", "wochen"), 7 * _DAY),
    },
    weekdays={**{name: number for number, name in enumerate(_WEEKDAYS)}, "sonnabend": 5},
    months={name: number for number, name in enumerate(_MONTHS, 1)},
    parts={
        "früh": (5, 12, 8), "morgen": (5, 12, 8), "morgens": (5, 12, 8), "vormittag": (8, 12, 10),
        "mittag": (11, 14, 12),
        "mittags": (11, 14, 12), "nachmittag": (12, 18, 15), "nachmittags": (12, 18, 15), "abend": (17, 24, 19),
        "abends": (17, 24, 19), "nacht": (18, 29, 22), "nachts": (21, 29, 22),
    },
    days={"übermorgen": 2, "morgen": 1, "heute": 0},
    noon={"mitternacht": 0},
    within=("in", "nach"),
    hence=("ab jetzt", "später"),
    at=("um", "gegen", "ab", "auf"),
    on=("am", "für", "an"),
    next_=("nächsten", "nächste", "nächster", "kommenden"),
    this=("diesen", "diese", "dieser"),
    every=("jeden", "jede", "jedes", "alle"),
    half=("halb", "halbe", "halben", "halber"),
    quarter=("viertel",),
    past=("nach",),
    to=("vor",),
    oclock=("uhr",),
    am=(),
    pm=(),
    and_=("und",),
    one=("ein", "eine", "einer", "einem", "einen"),
    daily=("täglich",),
    weekday_words=("werktag", "wochentag"),
    of=("von",),
    the=("der", "den", "dem"),
    before=("vor",),
    sun={
        **dict.fromkeys(("sonnenuntergang", "die sonne untergeht", "es dunkel wird"), "sunset"),
        **dict.fromkeys(("sonnenaufgang", "die sonne aufgeht", "es hell wird"), "sunrise"),
    },
    sun_at=("bei", "zum", "zu", "nach", "wenn", "sobald"),
    part_in=("am", "in der"),
    half_to=True,
    ordinals={
        **{name: number for number, name in enumerate(_ORDINALS, 1)},
        **{f"{name}n": number for number, name in enumerate(_ORDINALS, 1)},
    },
)  # fmt: skip

LANGUAGE: Final = Language(
    code="de",
    wake=("kindmesh", "computer", "alexa", "siri", "google", "assistent", "haus", "jarvis"),
    wake_before=("hey", "ok", "okay", "hallo", "hi"),
    opening=(
        "bitte", "kannst du", "könntest du", "würdest du", "kannst du mal", "könnten sie", "können sie", "würden sie",
        "ich möchte dass du", "ich will dass du", "sei so lieb und", "sei so nett und", "mal", "jetzt", "bitte mal",
    ),
    closing=(
        "bitte", "danke", "für mich", "jetzt", "sofort", "gleich", "mal", "wenn du kannst", "wenn es geht",
        "bitte mal",
    ),
    mind=("würde es dir etwas ausmachen",),
    participles={},
    fillers=("äh", "ähm", "hm", "hmm", "halt", "eben", "doch", "mal", "sozusagen", "irgendwie"),
    reports=("sagt du sollst", "möchte dass du"),
    starters=("also", "na", "nun", "so", "ok", "okay", "gut", "hör mal", "entschuldigung", "hey"),
    contractions={
        "wie's": ("wie", "ist"), "ist's": ("ist", "es"), "gibt's": ("gibt", "es"), "geht's": ("geht", "es"),
        "ins": ("in", "das"), "aufs": ("auf", "das"),
    },
    spelling={"wohn zimmer": ("wohnzimmer",), "schlaf zimmer": ("schlafzimmer",)},
    joins=("und dann", "und danach", "und außerdem", "danach", "sowie", "und", "dann", "außerdem"),
    ordered=("und dann", "und danach", "danach", "dann"),
    verbs=(
        "schalte", "schalt", "mach", "mache", "stell", "stelle", "öffne", "schließe", "schließ", "sperr", "sperre",
        "verriegle", "entriegle", "setz", "setze", "erinnere", "erinner", "weck", "wecke", "füge", "füg", "schreib",
        "schreibe", "spiel", "spiele", "stopp", "sag", "sage", "lies", "was", "wer", "wie", "wo", "wann",
        "welche", "ist",
        "sind", "gib", "zeig", "zeige", "starte", "dimme", "dimm", "lass", "merk", "merke", "streich",
        "streiche", "lösche",
        "fahr", "fahre",
    ),
    particles=("an", "aus", "ein", "auf", "zu", "ab", "hoch", "runter"),
    prepositions=("in", "im", "auf", "an", "am", "von", "vom", "für", "zu"),
    articles=("der", "die", "das", "den", "dem", "ein", "eine", "einen", "mein", "meine", "meiner", "alle", "unsere"),
    negations=("nicht", "nie", "niemals", "kein", "keine", "keinen", "ohne"),
    conditions=("wenn", "falls", "sobald", "solange", "bis", "während", "weil", "bevor", "nachdem", "damit"),
    whether=("sag mir ob", "weißt du ob", "prüfe ob", "schau ob", "ich möchte wissen ob"),
    be=(),
    times=TIMES,
    numbers=Numbers(
        small={**{name: number for number, name in enumerate(_SMALL)}, "zwo": 2, **_JOINED},
        tens={name: 20 + 10 * number for number, name in enumerate(_TENS)},
        scales={"hundert": 100, "tausend": 1000},
        and_=("und",),
    ),
    sentences=SENTENCES,
    replies=REPLIES,
    words={
        "probe": (),
        "units": ("prozent", "%", "grad", "kelvin", "euro"),
        "stop": ("stopp", "stop", "halt", "halt an", "notaus", "not aus", "alles stopp"),
        "pronouns": ("es", "sie", "ihn", "das", "die"),
        "idle": ("es ist", "ich bin", "mir ist", "wir sind", "guten morgen", "guten abend", "guten tag", "hallo"),
        "before_verb": ("also",),
        "lasting": ("für",),
        "lasting_more": ("die nächsten", "die nächste", "noch", "ungefähr", "etwa"),
        "lasting_after": ("lang",),
        "until": ("bis",),
        "kept": ("lass", "lasse"),
        "kept_as": ("an:schalte * an", "ein:schalte * ein", "aus:schalte * aus", "offen:öffne", "zu:schließe"),
        "leave": ("lass",),
        "but": ("aber", "und"),
        "alone": ("an", "aus", "auf", "zu", "so"),
        "except": ("außer", "bis auf", "ausgenommen"),
        "control": ("schalte", "schalt", "mach", "mache", "stell", "stelle", "öffne", "schließe", "dimme"),
        "within_place": ("in",),
        "again": ("wieder",),
        "or": ("oder",),
        "list": ("liste", "listen"),
        "empty": ("die", "der", "meine", "meiner", "unsere", "unserer"),
        "shopping": ("einkaufsliste", "einkauf", "einkaufen", "einkaufszettel"),
        "todo": ("aufgaben", "aufgabenliste", "to do", "todo"),
        "reminders": ("erinnerungen", "erinnerung"),
        "pairs": ("salz und pfeffer", "essig und öl"),
        "some": ("etwas", "der", "die", "das", "den", "ein", "eine", "einen", "noch", "mehr"),
        "vague": ("etwas", "das", "es", "dies", "dieses", "was", "alles"),
        "me": ("mich", "mir", "uns"),
        "mine": ("mein", "meine", "meinen", "unser", "unsere", "ich"),
        "alarm": ("wecker", "alarm"),
        "calendar": ("kalender", "terminkalender", "termine"),
        "event": ("termin", "termine", "treffen", "arzttermin", "geburtstag", "besprechung", "zahnarzt", "friseur"),
        "event_generic": ("termin", "mein", "meinen", "der", "den", "nächster"),
        "message": ("nachricht", "schreib", "schreibe"),
        "that": ("dass",),
        "near_days": ("heute", "morgen"),
        "at": ("um",),
        "weekdays": tuple(name.capitalize() for name in _WEEKDAYS),
        "months": tuple(name.capitalize() for name in _MONTHS),
    },
)  # fmt: skip

__all__ = ["LANGUAGE", "TIMES"]
