"""German, for the prover of spans: what each word is in the English that the rules know, as data.

`GLOSS`: a word to English (empty: it says nothing about what shall be done). `BEGINS`: the same by how it begins, for
verbs in all their forms; `ENDS`: kinds of things by how a compound ends ("Stehlampe"), which stays a name as well.
`ELSEWHERE` are words that English has too: they count as German only beside a word that is no English.
"""

from __future__ import annotations

from typing import Final


def _table(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.strip().splitlines():
        english, _, german = line.partition(":")
        for word in german.split():
            found[word] = english.strip()
    return found


GLOSS: Final = _table(
    """
    : der die das den dem des im in am vom von bei mit für bitte mal doch kannst könntest würdest kann du ich mir
    : mich wir uns es ist sind wird werden hat hast habe soll sollen sollst danke gerne gern etwas bisschen
    : wenig noch wieder jetzt
    : gleich sofort zum zur dein deine mein meine meinen
    : unser unsere unseren er sie ihn wie so ja na
    : also eben einfach
    : möchte will brauche brauchen hätte wäre dass ob auch nun hallo hey schon drin dort da sehr ganz
    light: licht beleuchtung
    lights: lichter
    lamp: lampe leuchte birne
    lamps: lampen leuchten birnen
    heating: heizung heizkörper
    thermostats: heizungen
    blind: rollladen rolladen rollo jalousie raffstore
    blinds: rollläden rolläden rollos jalousien rollladens
    curtain: vorhang gardine
    curtains: vorhänge gardinen
    awning: markise
    door: tür haustür
    doors: türen
    gate: tor
    window: fenster
    tv: fernseher fernsehen glotze
    speaker: lautsprecher
    music: musik lied song
    volume: lautstärke ton
    fan: ventilator lüfter
    fans: ventilatoren
    socket: steckdose
    sockets: steckdosen
    vacuum: staubsauger saugroboter
    mower: rasenmäher
    alarm: alarmanlage wecker
    lock: schloss
    list: liste zettel
    shopping list: einkaufsliste einkaufszettel
    calendar: kalender
    appointment: termin
    reminder: erinnerung
    scene: szene
    brightness: helligkeit
    temperature: temperatur
    colour: farbe
    valve: ventil wasserhahn
    red: rot rote
    blue: blau blaue
    green: grün grüne
    yellow: gelb gelbe
    purple: lila violett
    white: weiß weiss
    pink: rosa
    turquoise: türkis
    warm white: warmweiß warmweiss
    cool white: kaltweiß kaltweiss
    all: alle allen aller sämtliche sämtlichen
    everything: alles
    every: jede jeden jedes jeder
    both: beide beiden
    everywhere: überall
    whole: ganze ganzen ganzes
    and: und
    then: dann danach
    but: aber sondern
    except: außer ausser
    not: nicht kein keine keinen
    never: nie niemals
    here: hier
    up: hoch rauf hinauf herauf
    down: runter herunter hinunter nieder
    louder: lauter
    quieter: leiser
    brighter: heller
    dimmer: dunkler
    warmer: wärmer
    colder: kälter kühler
    higher: höher
    lower: niedriger tiefer
    faster: schneller
    slower: langsamer
    mute: stumm
    bright: hell
    dark: dunkel
    cold: kalt
    warm: heiß heiss
    home: hause
    percent: prozent
    degrees: grad
    degree: celsius
    minute: minute
    minutes: minuten
    hour: stunde
    hours: stunden
    second: sekunde
    seconds: sekunden
    day: tag
    days: tage tagen
    week: woche
    weeks: wochen
    today: heute
    tomorrow: morgen
    evening: abend abends
    morning: früh vormittag morgens
    afternoon: nachmittag nachmittags
    noon: mittag mittags
    night: nacht nachts
    midnight: mitternacht
    daily: täglich
    monday: montag montags
    tuesday: dienstag dienstags
    wednesday: mittwoch mittwochs
    thursday: donnerstag donnerstags
    friday: freitag freitags
    saturday: samstag samstags sonnabend
    sunday: sonntag sonntags
    half: halb halbe halber halben hälfte
    quarter: viertel viertelstunde
    third: drittel
    full: voll volle voller maximal maximum
    one and a half: anderthalb eineinhalb
    zero: null
    one: eins
    two: zwei
    three: drei
    four: vier
    five: fünf
    six: sechs
    seven: sieben
    eight: acht
    nine: neun
    ten: zehn
    eleven: elf
    twelve: zwölf
    thirteen: dreizehn
    fourteen: vierzehn
    fifteen: fünfzehn
    sixteen: sechzehn
    seventeen: siebzehn
    eighteen: achtzehn
    nineteen: neunzehn
    twenty: zwanzig
    thirty: dreißig dreissig
    forty: vierzig
    fifty: fünfzig
    sixty: sechzig
    seventy: siebzig
    eighty: achtzig
    ninety: neunzig
    hundred: hundert
    """
)
BEGINS: Final = {
    "schalt": "switch", "mach": "make", "stell": "set", "dreh": "turn", "knips": "switch", "setz": "put",
    "öffn": "open", "dimm": "dim", "spiel": "play", "pausier": "pause", "start": "start", "stopp": "stop",
    "halt": "stop", "beend": "end", "saug": "vacuum clean", "reinig": "clean", "weck": "wake", "erinner": "remind",
    "streich": "strike remove", "lösch": "delete", "füg": "add", "hinzu": "add", "kauf": "buy", "heiz": "heat",
    "kühl": "cool", "mäh": "mow", "sag": "say", "schick": "send", "send": "send", "ruf": "call",
    "schreib": "write", "trag": "enter add", "zieh": "pull", "fahr": "move", "lass": "let", "tu": "put",
    "pack": "put", "verriegel": "lock", "entriegel": "unlock", "hak": "tick", "abhak": "tick",
    "aktivier": "activate", "deaktivier": "deactivate", "erhöh": "raise", "senk": "lower", "verringer": "lower",
    "reduzier": "reduce", "entfern": "remove", "nimm": "take", "brenn": "on",
}  # fmt: skip
"""Verbs; what follows is one of the endings in `VERB_ENDS`."""
VERB_ENDS: Final = ("", "e", "en", "st", "t", "et", "te", "n", "le", "re")
ENDS: Final = {
    "lampe": "lamp", "lampen": "lamps", "licht": "light", "lichter": "lights", "leuchte": "lamp", "heizung": "heating",
    "rollladen": "blind", "rolladen": "blind", "rollo": "blind", "jalousie": "blind", "vorhang": "curtain",
    "gardine": "curtain", "tür": "door", "türen": "doors", "fenster": "window", "fernseher": "tv",
    "lautsprecher": "speaker", "lüfter": "fan", "steckdose": "socket",
    "liste": "list", "kalender": "calendar", "wecker": "alarm",
}  # fmt: skip
ELSEWHERE: Final = frozenset({
    "an", "am", "in", "im", "die", "der", "den", "das", "dem", "was", "so", "will", "war", "hell", "rot",
    "elf", "all", "also", "hat", "halt", "man", "mit", "not", "fan", "da", "es", "er", "sie", "fast",
    "start", "send", "tag", "ton", "hey", "song", "maximum", "minimum", "on", "one", "ab", "ja", "na",
    "um", "minute", "radio", "timer", "warm", "tor", "null", "pack", "von", "bei", "tun", "mal", "era",
    "lied", "pause", "stop", "home", "bad", "stark", "alarm", "lass", "mach", "hallo", "ich", "bin",
    "dark", "light", "sag", "halts", "tags",
})  # fmt: skip
"""Words of English, too."""
TENS: Final = (
    "zwanzig", "dreißig", "dreissig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
)  # fmt: skip
ONES: Final = {"ein": "one"} | {
    word: GLOSS[word] for word in ("zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
}
ON: Final = ("an", "ein")
OFF: Final = ("aus", "ab")

__all__ = ["BEGINS", "ELSEWHERE", "ENDS", "GLOSS", "OFF", "ON", "ONES", "TENS", "VERB_ENDS"]
