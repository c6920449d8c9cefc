"""What a device's own manifest tells about an operation and its values: where output comes from, what a value decides.

Recognised from names, titles, types and the look of values, never from a list of our own operations, because people
bring manifests of other systems. When in doubt a value is a *sink*: something that decides who gets it, where it goes,
what is run, what opens; those are held to the strictest proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from kindmesh.coordinator.brain.medulla import review_bits as bits
from kindmesh.coordinator.brain.medulla.review_looks import SHORT, look
from kindmesh.coordinator.brain.medulla.review_words import stem, tokens
from kindmesh.protocol.manifest import Operation
from kindmesh.protocol.plan_labels import Label, Source, join

if TYPE_CHECKING:
    from kindmesh.coordinator.brain.medulla.review_facts import Kept
    from kindmesh.coordinator.brain.medulla.review_trace import Leaf


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in text.split())


_WEB: Final = _stems(
    """web www http url fetch browse browser crawl scrape internet site website search google bing news
    feed rss mail email inbox message messages sms chat slack teams telegram whatsapp signal post
    comment review forum social tweet download wiki webhook issue ticket invite attachment"""
)
_MEMORY: Final = _stems(
    "memory memo recall remember note notes kv store storage cache vector knowledge clipboard profile"
)
_MODEL: Final = _stems(
    "llm model gpt chat completion complete generate summarise summarize translate assistant ai prompt"
)
_BOOK: Final = _stems("contact contacts address addressbook people directory phonebook")
_RECIPIENT: Final = _stems(
    """to recipient recipients cc bcc email mail address attendee attendees participant participants
    invitee invitees contact phone number payee beneficiary iban account receiver destination
    channel group member members whom handle msisdn wallet bic swift username recipient_id user
    users person people guest guests share chat room_id thread invite assignee owner doctor nurse
    carer caregiver teacher neighbour forward reply sender_to creditor vendor merchant shop seller
    bank collaborator collaborators friend patient"""
)
_URL: Final = _stems(
    "url uri link endpoint webhook website host hostname domain server callback href site homepage ip"
)
_SHELL: Final = _stems(
    "command cmd shell script code program exec executable argv sql bash python statement expression eval"
)
_PATH: Final = _stems("path file filename folder directory dir filepath")
_THING: Final = _stems(
    """entity entities device devices lock door gate garage thing appliance valve cover light camera robot
    plate zone speaker screen display machine vehicle car socket plug heater compartment"""
)
_WHERE: Final = _stems("area areas room rooms zone floor place location")
_CONTENT: Final = _stems(
    """body text message content subject title summary description note notes comment caption reason label details
    memo remark question topic transcript name item query q headline"""
)
_MONEY: Final = _stems("amount price total sum cost fee budget payment value money tip donation")
_OUTWARD: Final = _stems(
    """send mail email sms post publish upload share forward reply invite tweet webhook transfer pay donate order buy
    purchase checkout call dial export submit push sync message whatsapp telegram slack announce_public"""
)
_RISKY: Final = _stems(
    """lock unlock door gate garage alarm disarm stove oven hob cooker gas valve medicine medication pill dispense drug
    dose insulin robot arm move drive vehicle car drone gun safe"""
)
_OPENING: Final = _stems(
    "unlock open unbolt disarm dispense ignite drive start on move raise enable release fire"
)
_SAFE: Final = _stems("lock close shut off stop arm halt secure disable lower pause dock return")
_HARMLESS_DOMAINS: Final = frozenset(
    {"light", "sensor", "binary_sensor", "camera", "media_player", "timer", "todo", "calendar"}
)
_RISKY_DOMAINS: Final = frozenset({"lock", "alarm_control_panel", "valve"})
_PRIVATE_WORDS: Final = _stems(
    """mail email inbox message calendar contact file document photo camera health medical bank transaction account
    password secret diary note location history balance statement record personal private memory"""
)
_PRIVATE_CLASSES: Final = frozenset({"notes", "text", "image", "audio", "health", "location", "other"})

_OWN_CLASSES: Final = frozenset({"notes", "image", "audio", "health"})

_ACTION_FIELDS: Final = _stems("service action mode operation method verb")
_READING: Final = int(bits.READ | bits.NOTIFY | bits.SENSE)

_FOLDERS: Final = frozenset(
    ("inbox", "sent", "drafts", "trash", "spam", "archive", "all", "starred", ".", "/", "")
)
"""What reading tools list when nobody names a place."""

SINKS: Final = ("recipient", "link", "shell", "path", "lock", "thing")


def field_words(operation: Operation | None, leaf: Leaf) -> frozenset[str]:
    """Stems of an argument's name, without its title."""
    return _field_words(leaf.field, leaf.path)


@lru_cache(maxsize=4096)
def _field_words(field: str, path: str) -> frozenset[str]:
    last = path.rsplit(".", maxsplit=1)[-1] if path else field
    return frozenset(
        stem(word) for word in (*tokens(field.replace("_", " ")), *tokens(last.replace("_", " ")))
    )


def title_words(operation: Operation | None, leaf: Leaf) -> frozenset[str]:
    """Stems of an argument's title as the device declares it."""
    if operation is None:
        return frozenset()
    return _title_words(_title(operation, leaf.field))


def _title(operation: Operation, name: str) -> str:
    return next((field.title for field in operation.input if field.name == name), "")


@lru_cache(maxsize=4096)
def _title_words(title: str) -> frozenset[str]:
    return frozenset(stem(word) for word in tokens(title))


def name_words(name: str, operation: Operation | None) -> list[str]:
    """Stems of an operation's name and title, in order."""
    said = name.replace("_", " ").replace(".", " ")
    return [stem(word) for word in tokens(f"{said} {operation.title if operation else ''}")]


def is_content(operation: Operation | None, leaf: Leaf) -> bool:
    """Whether an argument is what is said or written, by its name."""
    return bool(field_words(operation, leaf) & _CONTENT)


def sink_of(call_effects: int, name: str, operation: Operation | None, leaf: Leaf) -> str:
    """Which kind of sink a value is (`SINKS`), or empty."""
    value = leaf.value
    if isinstance(value, str):
        find = _short_sink if len(value) <= SHORT else _sink
    else:
        find = _short_sink if isinstance(value, (bool, int, float)) else _sink
    title = "" if operation is None else _title(operation, leaf.field)
    outward = is_outward(name, operation, call_effects)
    words = field_words(operation, leaf)
    return find(call_effects, outward, words, value if leaf.known else None, title)


def _sink(effects: int, outward: bool, words: frozenset[str], value: Any, title: str) -> str:
    """`words`, `title`: of the argument; `value`: None where it is not known yet."""
    looks = look(value)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if words & _ACTION_FIELDS and not effects & bits.EXECUTE and looks in ("", "entity"):
        return ""
    if effects & bits.EXECUTE and (words & _SHELL or (not numeric and not isinstance(value, bool))):
        return "shell"
    if (
        words & _SHELL
        and not words & frozenset({"country", "currency", "zip", "language"})
        and effects & ~bits.READ
    ):
        return "shell"
    if looks in ("recipient", "link", "shell") and not (words & _CONTENT and effects & ~bits.NOTIFY == 0):
        return looks
    if words & _URL or (isinstance(value, str) and value.startswith(("http://", "https://"))):
        return "link"
    if words & _PATH or looks == "path":
        folder = isinstance(value, str) and value.casefold() in _FOLDERS and not effects & ~_READING
        return "path" if effects & ~int(bits.READ | bits.NOTIFY) and not folder else ""
    if looks == "entity" or (words & _THING and not numeric and not isinstance(value, bool)):
        return "lock" if _is_lock(value, words) else "thing"
    if (words & _RECIPIENT and not words & _CONTENT) or (
        not words & _CONTENT
        and _title_words(title) & _stems("recipient payee receiver iban email phone addressee")
    ):
        if numeric and not words & _stems("number phone account iban msisdn"):
            return ""
        if isinstance(value, bool):
            return ""
        if outward or effects & (bits.SPEND | bits.WRITE | bits.EXECUTE):
            return "recipient"
    if words & _WHERE and effects & (bits.ACTUATE | bits.MOVE) and not numeric:
        return "thing"
    return ""


_short_sink = lru_cache(maxsize=4096, typed=True)(_sink)


def _is_lock(value: Any, words: frozenset[str]) -> bool:
    if isinstance(value, str):
        domain = value.partition(".")[0]
        if domain in _HARMLESS_DOMAINS and "." in value:
            return False
        inside = {stem(word) for word in tokens(value.replace("_", " ").replace(".", " "))}
        if domain in _RISKY_DOMAINS or inside & _stems(
            "lock door gate garage alarm safe valve stove oven hob"
        ):
            return True
    return bool(words & _stems("lock door gate garage"))


def is_amount(operation: Operation | None, leaf: Leaf) -> bool:
    """Whether an argument's name says that it is money."""
    return bool((field_words(operation, leaf) | title_words(operation, leaf)) & _MONEY)


def is_outward(name: str, operation: Operation | None, effects: int) -> bool:
    """Whether it carries something out of the house: by what it is called, or by taking an address."""
    return _is_outward(name, tuple(field.name for field in operation.input) if operation else (), effects)


@lru_cache(maxsize=1024)
def _is_outward(name: str, takes: tuple[str, ...], effects: int) -> bool:
    said = set(tokens(name.replace("_", " ").replace(".", " ")))
    verbs = {stem(word) for word in said}
    if effects & (bits.SPEND | bits.EXECUTE):
        return True
    only_reads = not effects & ~(bits.READ | bits.SENSE)
    tail = {stem(word) for word in tokens(name.partition(".")[2].replace("_", " "))}
    if tail & _OUTWARD and not only_reads:
        return True
    fields = {stem(word) for field in takes for word in tokens(field.replace("_", " "))}
    if fields & _URL and not effects & (bits.ACTUATE | bits.MOVE):
        return True
    if effects & bits.NOTIFY and fields & _stems(
        "user username handle member members contact peer chat phone msisdn"
    ):
        return True
    if only_reads:
        return bool(verbs & _stems("web internet http google bing"))
    return bool(
        fields
        & _stems(
            """to recipient recipients cc bcc email attendee attendees participant participants invitee phone iban payee
            channel webhook share"""
        )
    ) or (
        bool(verbs & _stems("mail email sms message messaging bank"))
        and not effects & (bits.ACTUATE | bits.MOVE)
    )


def is_physical(name: str, operation: Operation | None, effects: int, leaves: Iterable[Leaf]) -> bool:
    """Whether somebody could be hurt or let in: movement, locks and doors, stove, medicine."""
    if effects & bits.MOVE:
        return True
    if not effects & (bits.ACTUATE | bits.EXECUTE | bits.WRITE | bits.SPEND):
        return False
    words = (
        set(name_words(name, operation)) - _stems("move arm drive safe")
        if not effects & bits.ACTUATE
        else {stem(word) for word in tokens(name.replace("_", " ").replace(".", " "))}
    )
    if not effects & bits.ACTUATE:
        return bool(words & _stems("medicine medication dispense pill insulin unlock disarm"))
    if name.endswith(".access") or words & _RISKY:
        return True
    for leaf in leaves:
        if isinstance(leaf.value, str) and not is_content(operation, leaf):
            domain = leaf.value.partition(".")[0]
            if domain in _HARMLESS_DOMAINS and "." in leaf.value:
                continue
            inside = {stem(word) for word in tokens(leaf.value.replace("_", " ").replace(".", " "))}
            if domain in _RISKY_DOMAINS or (inside & _RISKY and not inside & _stems("light lamp sensor")):
                return True
    return False


def is_opening(name: str, leaves: Iterable[Leaf]) -> bool:
    """Whether it opens, starts or moves, rather than closes, stops or secures."""
    said = {stem(word) for word in tokens(name.replace("_", " ").replace(".", " "))}
    for leaf in leaves:
        if isinstance(leaf.value, str) and (
            {stem(word) for word in tokens(leaf.field)}
            & _stems("service action command mode state position operation")
        ):
            value = leaf.value.partition(".")[2] or leaf.value
            said |= {stem(word) for word in tokens(value.replace("_", " "))}
    return not (said & _SAFE) or bool(said & (_OPENING - _SAFE) - _stems("on"))


def is_address_book(name: str, operation: Operation) -> bool:
    """Whether it looks people up: only reads, and says so."""
    reads = not operation.effects & ~(bits.READ | bits.SENSE)
    head = {stem(word) for word in tokens(name.replace("_", " ").replace(".", " "))}
    return reads and bool(head & _BOOK) and not head & _stems("web search url mail inbox memory")


def source_of(name: str, operation: Operation | None) -> Label:
    """The label that everything this operation gives carries at least."""
    if operation is None:
        return Label("web")
    words = {stem(word) for word in tokens(name.replace("_", " ").replace(".", " "))}
    source: Source = "device"
    if words & _MODEL and operation.name.startswith(("llm.", "model.", "ai.")):
        source = "model"
    if words & (_MEMORY | _stems("file document drive")) and not words & _WEB:
        source = "memory" if words & _MEMORY else "device"
    if is_address_book(name, operation):
        return Label("memory", data_class=("other",))
    if words & _WEB and not words & _stems("speech"):
        source = "web"
    if any(stem(word) in _URL for field in operation.input for word in tokens(field.name.replace("_", " "))):
        source = "web"
    return Label(source)


def is_private(name: str, operation: Operation | None) -> bool:
    """Whether what it gives is somebody's own: it senses, or is about what people keep to themselves."""
    if operation is None:
        return True
    if is_address_book(name, operation):
        return False
    words = {stem(word) for word in tokens(name.replace("_", " ").replace(".", " "))}
    if words & _stems("web www http url internet news wiki weather search"):
        # What everybody can read is nobody's own.
        return bool(set(operation.data_classes) & _OWN_CLASSES)
    if operation.effects & bits.SENSE or set(operation.data_classes) & _PRIVATE_CLASSES:
        return True
    return bool(words & _PRIVATE_WORDS)


_PUT: Final = _stems("put set save store remember write append add create insert update upsert memorise push")
_KEYS: Final = _stems("key name path file filename id title topic slot label field")


def writes_of(
    name: str, operation: Operation | None, leaves: Sequence[Leaf], influence: Label
) -> list[tuple[str, str, Label]]:
    """Where a call writes what: `(place, key, label)`; the key is empty where the plan does not say it."""
    if operation is None or not operation.effects & bits.WRITE:
        return []
    labels = [leaf.label for leaf in leaves if leaf.label is not None]
    label = join([influence, *labels])
    place = name.partition(".")[0]
    keys = [
        leaf.value.casefold()
        for leaf in leaves
        if isinstance(leaf.value, str) and field_words(operation, leaf) & _KEYS and leaf.label is None
    ]
    keys += [
        leaf.value.casefold()
        for leaf in leaves
        if isinstance(leaf.value, str) and field_words(operation, leaf) & _KEYS and leaf.label is not None
    ]
    return [(place, key, label) for key in dict.fromkeys(keys or [""])]


def kept_label(
    name: str,
    operation: Operation,
    keys: Iterable[str],
    before: Sequence[Kept],
    here: Mapping[tuple[str, str], Label],
) -> Label:
    """The label of what was written earlier to where this reads: of the same key, or of all of it if none is named."""
    if not operation.effects & (bits.READ | bits.SENSE):
        return Label()
    place = name.partition(".")[0]
    named = {key.casefold() for key in keys}
    found = [(kept.place, kept.key, kept.label) for kept in before]
    found += [(where, key, label) for (where, key), label in here.items()]
    fits = [label for where, key, label in found if where == place and (not named or not key or key in named)]
    if not fits and named:
        # A search within the place finds whatever was put there.
        said = set(name_words(name, operation))
        if said & _stems("search find query list look recall all"):
            fits = [label for where, _, label in found if where == place]
    return join(fits)


__all__ = [
    "SINKS", "field_words", "is_address_book", "is_amount", "is_content", "is_opening", "is_outward",
    "is_physical", "is_private", "kept_label", "name_words", "sink_of", "source_of", "title_words", "writes_of",
]  # fmt: skip
